-- Who may do what. Three kinds of callers:
--   anon, authenticated   the browser, through Supabase's API: may read rows of their own, and write nothing here
--   service_role          RaptorFlow's API: bypasses row level security
--   raptorflow_functions  these functions: what is granted table by table, and nothing else
-- Supabase grants everything in public to the first three by default, so each table starts with a revoke.

-- The password is set by whoever deploys (`alter role raptorflow_functions password ...`), never in a migration.
do $$
begin
    if not exists (select from pg_roles where rolname = 'raptorflow_functions') then
        begin
            create role raptorflow_functions with login noinherit nosuperuser nocreatedb nocreaterole nobypassrls;
        exception when duplicate_object or unique_violation then
            null; -- another database of this server was migrated at the same moment
        end;
    end if;
    if exists (select from pg_roles where rolname = 'raptorflow_functions' and (rolsuper or rolbypassrls)) then
        raise exception 'the role raptorflow_functions must not be a superuser or bypass row level security';
    end if;
end
$$;

grant usage on schema public to raptorflow_functions;

create function public.set_updated_at() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;
revoke execute on function public.set_updated_at() from public, anon, authenticated;
