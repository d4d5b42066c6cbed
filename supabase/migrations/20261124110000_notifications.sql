-- Notifications: what was sent to whom, once for each key, and what people do not want to be sent.

create table public.notification_log (
    dedupe_key text primary key check (length(dedupe_key) between 1 and 256), -- also the provider's idempotency key
    user_id uuid not null,
    workspace_id uuid not null,
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    channel text not null check (channel in ('email')),
    status text not null check (status in ('pending', 'sent', 'suppressed', 'failed', 'uncertain')),
    provider_id text check (length(provider_id) <= 255),
    error text check (length(error) <= 200),
    sending_since timestamptz,
    sent_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint notification_log_sent_says_when check ((status = 'sent') = (sent_at is not null))
);
comment on column public.notification_log.sending_since is
    'First attempt whose outcome is unknown; the provider absorbs repetitions for 24 hours from then.';
create index notification_log_workspace_id on public.notification_log (workspace_id, created_at);
create index notification_log_user_id on public.notification_log (user_id);
create index notification_log_unsent on public.notification_log (created_at) where status in ('pending', 'uncertain');

create table public.notification_preferences (
    user_id uuid not null references public.users (id) on delete cascade,
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    email boolean not null default true,
    in_app boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (user_id, kind)
);

create trigger notification_log_updated_at before update on public.notification_log
    for each row execute function public.set_updated_at();
create trigger notification_preferences_updated_at before update on public.notification_preferences
    for each row execute function public.set_updated_at();

alter table public.notification_log enable row level security;
alter table public.notification_preferences enable row level security;

revoke all on public.notification_log, public.notification_preferences from anon, authenticated;

grant select on public.notification_preferences to authenticated;
create policy owner_reads on public.notification_preferences for select to authenticated
    using (user_id = (select auth.uid()));

grant select, insert, update on public.notification_log to raptorflow_functions;
grant select on public.notification_preferences to raptorflow_functions;
create policy functions on public.notification_log for all to raptorflow_functions using (true) with check (true);
create policy functions on public.notification_preferences for select to raptorflow_functions using (true);
