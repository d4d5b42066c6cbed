-- Plans, users and workspaces.

create table public.plans (
    plan text primary key check (plan ~ '^[a-z][a-z0-9_]{0,31}$'),
    rank int not null unique,
    monthly_price_paise bigint not null check (monthly_price_paise >= 0),
    annual_price_paise bigint not null check (annual_price_paise >= 0),
    ai_budget_micro_usd bigint not null check (ai_budget_micro_usd >= 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.plans is 'Prices without GST; ai_budget_micro_usd is for one month.';

insert into public.plans (plan, rank, monthly_price_paise, annual_price_paise, ai_budget_micro_usd)
values
    ('free', 0, 0, 0, 1000000),
    ('starter', 1, 79900, 799000, 10000000),
    ('growth', 2, 299900, 2999000, 50000000),
    ('enterprise', 3, 999900, 9999000, 200000000);

create table public.users (
    id uuid primary key references auth.users (id) on delete cascade,
    email text not null check (length(email) between 3 and 320),
    full_name text check (length(full_name) <= 200),
    avatar_url text check (length(avatar_url) <= 2048),
    subscription_tier text not null default 'free' references public.plans (plan),
    budget_limit_monthly_micro_usd bigint not null default 1000000 check (budget_limit_monthly_micro_usd >= 0),
    onboarding_completed_at timestamptz,
    preferences jsonb not null default '{}' check (jsonb_typeof(preferences) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index users_subscription_tier on public.users (subscription_tier);

create table public.workspaces (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    name text not null check (length(name) between 1 and 300),
    slug text not null unique check (slug ~ '^ws-[0-9a-f]{8}$'),
    settings jsonb not null default '{"timezone": "Asia/Kolkata", "currency": "INR", "language": "en"}'
        check (jsonb_typeof(settings) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (id, user_id) -- what a row of both a workspace and a user refers to, so that they belong together
);
create index workspaces_user_id on public.workspaces (user_id, created_at);

-- Runs as its owner, so that a policy may ask without the caller's own policies answering. It says nothing that the
-- caller could not read from workspaces itself.
create function public.user_owns_workspace(workspace uuid) returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select exists (
        select from public.workspaces where workspaces.id = workspace and workspaces.user_id = auth.uid()
    )
$$;
revoke execute on function public.user_owns_workspace(uuid) from public, anon;
grant execute on function public.user_owns_workspace(uuid) to authenticated;

create trigger plans_updated_at before update on public.plans
    for each row execute function public.set_updated_at();
create trigger users_updated_at before update on public.users
    for each row execute function public.set_updated_at();
create trigger workspaces_updated_at before update on public.workspaces
    for each row execute function public.set_updated_at();

alter table public.plans enable row level security;
alter table public.users enable row level security;
alter table public.workspaces enable row level security;

revoke all on public.plans, public.users, public.workspaces from anon, authenticated;

grant select on public.plans to anon, authenticated;
grant select on public.users, public.workspaces to authenticated;
create policy everyone_reads on public.plans for select to anon, authenticated using (true);
create policy owner_reads on public.users for select to authenticated using (id = (select auth.uid()));
create policy owner_reads on public.workspaces for select to authenticated using (user_id = (select auth.uid()));

grant select on public.plans, public.users, public.workspaces to raptorflow_functions;
grant update (subscription_tier, budget_limit_monthly_micro_usd) on public.users to raptorflow_functions;
create policy functions on public.plans for select to raptorflow_functions using (true);
create policy functions on public.users for all to raptorflow_functions using (true) with check (true);
create policy functions on public.workspaces for select to raptorflow_functions using (true);
