-- Subscriptions and payments: what was ordered, what was paid, what it bought. Users may read their own.

create table public.subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique references public.users (id) on delete cascade,
    plan text not null default 'free' references public.plans (plan),
    status text not null default 'active' check (status in ('active', 'cancelled', 'past_due', 'trialing')),
    price_paise bigint not null default 0 check (price_paise >= 0),
    billing_cycle text check (billing_cycle in ('monthly', 'annual')),
    current_period_start timestamptz,
    current_period_end timestamptz,
    trial_end timestamptz,
    phonepe_subscription_id text unique check (length(phonepe_subscription_id) between 1 and 255),
    cancelled_at timestamptz,
    last_event_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (id, user_id),
    constraint subscriptions_cycle_unless_free check ((plan = 'free') = (billing_cycle is null)),
    constraint subscriptions_free_costs_nothing check (plan <> 'free' or price_paise = 0),
    constraint subscriptions_period_has_both_ends
        check ((current_period_start is null) = (current_period_end is null)),
    constraint subscriptions_period_unless_free check (plan = 'free' or current_period_end is not null),
    constraint subscriptions_period_ends_after_start check (current_period_end > current_period_start)
);
comment on column public.subscriptions.price_paise is 'For one billing cycle, without GST.';
comment on column public.subscriptions.last_event_at is 'Time of the newest provider event applied; older ones are late.';
create index subscriptions_plan on public.subscriptions (plan);

create table public.payments (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null,
    user_id uuid not null,
    subscription_id uuid,
    amount_paise bigint not null check (amount_paise >= 0),
    gst_amount_paise bigint not null check (gst_amount_paise >= 0),
    total_amount_paise bigint not null check (total_amount_paise > 0),
    refunded_paise bigint not null default 0,
    currency text not null default 'INR' check (currency = 'INR'),
    status text not null default 'pending'
        check (status in ('pending', 'processing', 'completed', 'failed', 'partially_refunded', 'refunded')),
    phonepe_merchant_transaction_id text not null unique
        check (length(phonepe_merchant_transaction_id) between 1 and 255),
    phonepe_transaction_id text unique check (length(phonepe_transaction_id) between 1 and 255),
    payment_method text check (length(payment_method) <= 64),
    payment_instrument jsonb check (jsonb_typeof(payment_instrument) = 'object'),
    metadata jsonb not null,
    plan text not null generated always as (metadata ->> 'plan') stored references public.plans (plan),
    billing_cycle text not null generated always as (metadata ->> 'billing_cycle') stored,
    period_start timestamptz,
    period_end timestamptz,
    failure_code text check (length(failure_code) <= 200),
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    foreign key (workspace_id, user_id) references public.workspaces (id, user_id) on delete cascade,
    foreign key (subscription_id, user_id) references public.subscriptions (id, user_id)
        on delete set null (subscription_id),
    constraint payments_total_is_amount_and_gst check (amount_paise + gst_amount_paise = total_amount_paise),
    constraint payments_refund_within_total check (refunded_paise between 0 and total_amount_paise),
    constraint payments_refund_fits_status check (
        case status
            when 'refunded' then refunded_paise = total_amount_paise
            when 'partially_refunded' then refunded_paise > 0 and refunded_paise < total_amount_paise
            else refunded_paise = 0
        end
    ),
    constraint payments_buy_a_paid_plan check (plan <> 'free'),
    constraint payments_buy_a_cycle check (billing_cycle in ('monthly', 'annual')),
    constraint payments_completed_say_what_they_bought check (
        status not in ('completed', 'partially_refunded', 'refunded')
        or (completed_at is not null and period_start is not null and period_end is not null)
    ),
    constraint payments_period_ends_after_start check (period_end > period_start)
);
comment on column public.payments.phonepe_merchant_transaction_id is 'The merchantOrderId of PhonePe''s current API.';
comment on column public.payments.payment_instrument is 'Masked: never a whole card, account or UPI number.';
comment on column public.payments.metadata is 'What was ordered: {"plan": ..., "billing_cycle": ...}.';
comment on column public.payments.period_start is 'With period_end, what this payment bought; set when it completes.';
create index payments_workspace_id on public.payments (workspace_id, created_at);
create index payments_user_id on public.payments (user_id);
create index payments_subscription_id on public.payments (subscription_id);
create index payments_plan on public.payments (plan);
create index payments_unsettled on public.payments (created_at) where status in ('pending', 'processing');

-- An order stays what it was when it was placed, and its status moves one way, whoever writes.
create function public.guard_payment() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if (new.id, new.amount_paise, new.gst_amount_paise, new.total_amount_paise, new.currency, new.workspace_id,
        new.user_id, new.phonepe_merchant_transaction_id, new.metadata)
        is distinct from
        (old.id, old.amount_paise, old.gst_amount_paise, old.total_amount_paise, old.currency, old.workspace_id,
        old.user_id, old.phonepe_merchant_transaction_id, old.metadata)
    then
        raise exception 'what payment % ordered cannot change', old.id
            using errcode = 'check_violation', constraint = 'payments_order_is_fixed';
    end if;
    if new.status <> old.status and (old.status, new.status) not in (
        ('pending', 'processing'), ('pending', 'completed'), ('pending', 'failed'),
        ('processing', 'completed'), ('processing', 'failed'),
        ('failed', 'completed'), -- the status API may know better than an earlier callback
        ('completed', 'partially_refunded'), ('completed', 'refunded'),
        ('partially_refunded', 'refunded')
    ) then
        raise exception 'payment % cannot move from % to %', old.id, old.status, new.status
            using errcode = 'check_violation', constraint = 'payments_status_moves';
    end if;
    if new.refunded_paise < old.refunded_paise then
        raise exception 'a refund of payment % cannot be undone', old.id
            using errcode = 'check_violation', constraint = 'payments_refund_grows';
    end if;
    return new;
end
$$;
revoke execute on function public.guard_payment() from public, anon, authenticated;

create trigger payments_guard before update on public.payments
    for each row execute function public.guard_payment();
create trigger payments_updated_at before update on public.payments
    for each row execute function public.set_updated_at();
create trigger subscriptions_updated_at before update on public.subscriptions
    for each row execute function public.set_updated_at();

alter table public.subscriptions enable row level security;
alter table public.payments enable row level security;

revoke all on public.subscriptions, public.payments from anon, authenticated;

grant select on public.subscriptions, public.payments to authenticated;
create policy owner_reads on public.subscriptions for select to authenticated using (user_id = (select auth.uid()));
create policy owner_reads on public.payments for select to authenticated using (user_id = (select auth.uid()));

grant select, insert, update on public.subscriptions to raptorflow_functions;
grant select, update on public.payments to raptorflow_functions;
create policy functions on public.subscriptions for all to raptorflow_functions using (true) with check (true);
create policy functions on public.payments for all to raptorflow_functions using (true) with check (true);
