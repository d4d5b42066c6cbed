-- What an auditor would look for: series that only grow by one, numbers that are what they say, tables that nobody empties.
-- Row triggers do not see a truncation, and Supabase grants one to the API's own role.

create function public.guard_counter() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if tg_op = 'UPDATE' and (new.series, new.fy, new.last_seq) = (old.series, old.fy, old.last_seq + 1) then
        return new;
    end if;
    raise exception 'series % of % goes on by one', old.series, old.fy
        using errcode = 'check_violation', constraint = 'document_counters_go_on_by_one';
end
$$;
revoke execute on function public.guard_counter() from public, anon, authenticated;
create trigger document_counters_guard before update or delete on public.document_counters
    for each row execute function public.guard_counter();

create function public.refuse_truncation() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    raise exception 'the rows of % are kept', tg_table_name
        using errcode = 'check_violation', constraint = 'documents_are_kept';
end
$$;
revoke execute on function public.refuse_truncation() from public, anon, authenticated;
create trigger invoices_kept before truncate on public.invoices
    for each statement execute function public.refuse_truncation();
create trigger credit_notes_kept before truncate on public.credit_notes
    for each statement execute function public.refuse_truncation();
create trigger document_counters_kept before truncate on public.document_counters
    for each statement execute function public.refuse_truncation();

-- The fiscal year begins in April: three months earlier it is the calendar's.
alter table public.invoices
    add constraint invoices_number_is_its_parts check (number = series || '/' || fy || '/' || lpad(seq::text, 5, '0')),
    add constraint invoices_day_is_of_its_year check (
        fy = extract(year from issue_date - interval '3 months')::text || '-'
        || lpad((extract(year from issue_date + interval '9 months') % 100)::text, 2, '0')
    );
alter table public.credit_notes
    add constraint credit_notes_number_is_its_parts
        check (number = series || '/' || fy || '/' || lpad(seq::text, 5, '0')),
    add constraint credit_notes_day_is_of_its_year check (
        fy = extract(year from issue_date - interval '3 months')::text || '-'
        || lpad((extract(year from issue_date + interval '9 months') % 100)::text, 2, '0')
    );
