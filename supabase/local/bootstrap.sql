-- What Supabase brings and a bare Postgres lacks: schemas, API roles, auth.users and auth.uid(), and the default
-- privileges that hand every new table in public to the API roles. For local databases only; safe to repeat.

do $$
begin
    if exists (select from pg_roles where rolname = 'supabase_auth_admin') then
        raise exception 'this is a database of Supabase: use `supabase db push`';
    end if;
end
$$;

-- Roles belong to the server, so two databases may be set up at the same moment.
do $$
declare
    wanted text;
begin
    foreach wanted in array array ['anon nologin', 'authenticated nologin', 'service_role nologin bypassrls'] loop
        if not exists (select from pg_roles where rolname = split_part(wanted, ' ', 1)) then
            begin
                execute 'create role ' || wanted;
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
end
$$;

create schema if not exists extensions;
create schema if not exists auth;

do $$
declare
    wanted text;
begin
    for wanted in select name from pg_available_extensions where name in ('pgcrypto', 'vector') loop
        execute format('create extension if not exists %I with schema extensions', wanted);
    end loop;
end
$$;

create table if not exists auth.users (
    id uuid primary key default gen_random_uuid(),
    email text,
    raw_user_meta_data jsonb,
    created_at timestamptz default now()
);

-- As Supabase defines it: PostgREST puts the verified claims of the caller's token into the transaction's settings.
create or replace function auth.uid() returns uuid
language sql
stable
as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

grant usage on schema public, auth, extensions to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
