-- Tax documents: who is billed, what was refunded, and the invoices and credit notes that the law wants kept for years.
-- A document refers to workspace, user and payment by their ids without a foreign key: it outlives them.

alter table public.plans add column display_name text check (length(display_name) between 1 and 64);
update public.plans set display_name = initcap(plan);
alter table public.plans alter column display_name set not null;

create table public.billing_profiles (
    user_id uuid primary key references public.users (id) on delete cascade,
    legal_name text not null check (length(legal_name) between 1 and 300),
    gstin text check (gstin ~ '^[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]$'),
    address text not null default '' check (length(address) <= 1000),
    state_code text check (state_code ~ '^[0-9]{2}$'),
    country text not null default 'IN' check (country ~ '^[A-Z]{2}$'),
    special_economic_zone boolean not null default false,
    email text check (length(email) between 3 and 320),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint billing_profiles_abroad_has_no_gstin check (country = 'IN' or gstin is null)
);
comment on column public.billing_profiles.state_code is 'Two digits of GST''s list; missing blocks the invoice.';

create table public.payment_refunds (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null,
    payment_id uuid not null references public.payments (id) on delete cascade,
    merchant_refund_id text not null unique check (length(merchant_refund_id) between 1 and 255),
    phonepe_refund_id text unique check (length(phonepe_refund_id) between 1 and 255),
    amount_paise bigint not null check (amount_paise > 0),
    status text not null check (status in ('pending', 'completed', 'failed')),
    failure_code text check (length(failure_code) <= 200),
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint payment_refunds_completed_say_when check ((status = 'completed') = (completed_at is not null))
);
create index payment_refunds_payment_id on public.payment_refunds (payment_id);
create index payment_refunds_workspace_id on public.payment_refunds (workspace_id);

-- One row for each series and fiscal year. Its lock is what makes numbers consecutive: a rollback gives the number back.
create table public.document_counters (
    series text not null check (series in ('RF', 'RC')),
    fy text not null check (fy ~ '^[0-9]{4}-[0-9]{2}$'),
    last_seq int not null check (last_seq between 1 and 99999),
    primary key (series, fy)
);

create table public.invoices (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null,
    user_id uuid not null,
    payment_id uuid not null unique,
    number text not null unique check (length(number) <= 16),
    series text not null check (series = 'RF'),
    fy text not null,
    seq int not null,
    issue_date date not null,
    period text not null check (period ~ '^[0-9]{4}-[0-9]{2}$'),
    supply_type text not null check (supply_type in ('intra', 'inter', 'export', 'sez')),
    place_of_supply text not null check (place_of_supply ~ '^[0-9]{2}$'),
    taxable_paise bigint not null check (taxable_paise >= 0),
    cgst_paise bigint not null check (cgst_paise >= 0),
    sgst_paise bigint not null,
    igst_paise bigint not null check (igst_paise >= 0),
    round_off_paise bigint not null check (round_off_paise between -1 and 1),
    total_paise bigint not null check (total_paise > 0),
    document jsonb not null check (jsonb_typeof(document) = 'object'),
    status text not null default 'issued' check (status = 'issued'),
    irn text check (length(irn) <= 64),
    signed_qr text,
    pdf_object text check (length(pdf_object) <= 1024),
    pdf_sha256 text check (pdf_sha256 ~ '^[0-9a-f]{64}$'),
    mailed_at timestamptz,
    created_at timestamptz not null default now(),
    unique (series, fy, seq),
    constraint invoices_halves_are_equal check (sgst_paise = cgst_paise),
    constraint invoices_halves_or_igst check (igst_paise = 0 or cgst_paise = 0),
    constraint invoices_add_up
        check (taxable_paise + cgst_paise + sgst_paise + igst_paise + round_off_paise = total_paise),
    constraint invoices_pdf_has_a_hash check ((pdf_object is null) = (pdf_sha256 is null))
);
comment on column public.invoices.document is 'All that is printed, as it was on the day of issue.';
create index invoices_workspace_id on public.invoices (workspace_id, period);
create index invoices_user_id on public.invoices (user_id);
create index invoices_unfinished on public.invoices (created_at) where pdf_object is null or mailed_at is null;

create table public.credit_notes (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null,
    user_id uuid not null,
    invoice_id uuid not null references public.invoices (id),
    refund_id uuid not null unique,
    number text not null unique check (length(number) <= 16),
    series text not null check (series = 'RC'),
    fy text not null,
    seq int not null,
    issue_date date not null,
    taxable_paise bigint not null check (taxable_paise >= 0),
    cgst_paise bigint not null check (cgst_paise >= 0),
    sgst_paise bigint not null,
    igst_paise bigint not null check (igst_paise >= 0),
    round_off_paise bigint not null check (round_off_paise between -1 and 1),
    total_paise bigint not null check (total_paise > 0),
    document jsonb not null check (jsonb_typeof(document) = 'object'),
    status text not null default 'issued' check (status = 'issued'),
    irn text check (length(irn) <= 64),
    signed_qr text,
    pdf_object text check (length(pdf_object) <= 1024),
    pdf_sha256 text check (pdf_sha256 ~ '^[0-9a-f]{64}$'),
    mailed_at timestamptz,
    created_at timestamptz not null default now(),
    unique (series, fy, seq),
    constraint credit_notes_halves_are_equal check (sgst_paise = cgst_paise),
    constraint credit_notes_halves_or_igst check (igst_paise = 0 or cgst_paise = 0),
    constraint credit_notes_add_up
        check (taxable_paise + cgst_paise + sgst_paise + igst_paise + round_off_paise = total_paise),
    constraint credit_notes_pdf_has_a_hash check ((pdf_object is null) = (pdf_sha256 is null))
);
create index credit_notes_invoice_id on public.credit_notes (invoice_id);
create index credit_notes_workspace_id on public.credit_notes (workspace_id);
create index credit_notes_user_id on public.credit_notes (user_id);
create index credit_notes_unfinished on public.credit_notes (created_at) where pdf_object is null or mailed_at is null;

-- Issued is issued: what comes later (the PDF, the mail, the portal's reference) is written once, the rest never again.
create function public.guard_document() returns trigger
language plpgsql
set search_path = ''
as $$
declare
    later constant text[] := array['irn', 'signed_qr', 'pdf_object', 'pdf_sha256', 'mailed_at'];
    field text;
begin
    if tg_op = 'DELETE' then
        raise exception 'document % is kept', old.number
            using errcode = 'check_violation', constraint = 'documents_are_kept';
    end if;
    if to_jsonb(new) - later is distinct from to_jsonb(old) - later then
        raise exception 'document % cannot change', old.number
            using errcode = 'check_violation', constraint = 'documents_are_fixed';
    end if;
    foreach field in array later loop
        if to_jsonb(old) ->> field is not null and to_jsonb(new) ->> field is distinct from to_jsonb(old) ->> field then
            raise exception '% of document % is already written', field, old.number
                using errcode = 'check_violation', constraint = 'documents_are_completed_once';
        end if;
    end loop;
    return new;
end
$$;
revoke execute on function public.guard_document() from public, anon, authenticated;

create trigger invoices_guard before update or delete on public.invoices
    for each row execute function public.guard_document();
create trigger credit_notes_guard before update or delete on public.credit_notes
    for each row execute function public.guard_document();
create trigger billing_profiles_updated_at before update on public.billing_profiles
    for each row execute function public.set_updated_at();
create trigger payment_refunds_updated_at before update on public.payment_refunds
    for each row execute function public.set_updated_at();

alter table public.billing_profiles enable row level security;
alter table public.payment_refunds enable row level security;
alter table public.document_counters enable row level security;
alter table public.invoices enable row level security;
alter table public.credit_notes enable row level security;

revoke all on public.billing_profiles, public.payment_refunds, public.document_counters, public.invoices,
    public.credit_notes from anon, authenticated;

grant select on public.billing_profiles, public.payment_refunds, public.invoices, public.credit_notes to authenticated;
create policy owner_reads on public.billing_profiles for select to authenticated using (user_id = (select auth.uid()));
create policy owner_reads on public.payment_refunds for select to authenticated
    using (public.user_owns_workspace(workspace_id));
create policy owner_reads on public.invoices for select to authenticated using (user_id = (select auth.uid()));
create policy owner_reads on public.credit_notes for select to authenticated using (user_id = (select auth.uid()));

grant select on public.billing_profiles to raptorflow_functions;
grant select, insert, update on public.payment_refunds, public.document_counters to raptorflow_functions;
grant select, insert, update (irn, signed_qr, pdf_object, pdf_sha256, mailed_at)
    on public.invoices, public.credit_notes to raptorflow_functions;
create policy functions on public.billing_profiles for select to raptorflow_functions using (true);
create policy functions on public.payment_refunds for all to raptorflow_functions using (true) with check (true);
create policy functions on public.document_counters for all to raptorflow_functions using (true) with check (true);
create policy functions on public.invoices for all to raptorflow_functions using (true) with check (true);
create policy functions on public.credit_notes for all to raptorflow_functions using (true) with check (true);
