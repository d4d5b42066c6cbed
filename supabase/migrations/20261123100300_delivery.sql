-- Deliveries: which webhooks were handled, which events must still be published, which messages nobody could handle.
-- No policy for users: these rows hold what providers sent.

create table public.webhook_events (
    source text not null check (length(source) between 1 and 64),
    dedupe_key text not null check (length(dedupe_key) between 1 and 1024),
    workspace_id uuid references public.workspaces (id) on delete set null,
    received_at timestamptz not null default now(),
    payload bytea check (octet_length(payload) <= 1048576),
    status text not null
        check (status in ('applied', 'ignored', 'duplicate', 'parked', 'unknown_order', 'amount_mismatch')),
    error text check (length(error) <= 2000),
    applied_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (source, dedupe_key),
    constraint webhook_events_applied_say_when check (status <> 'applied' or applied_at is not null)
);
comment on column public.webhook_events.payload is 'The body as it came; masked later.';
create index webhook_events_workspace_id on public.webhook_events (workspace_id);

create table public.event_outbox (
    id uuid primary key default gen_random_uuid(),
    type text not null check (length(type) between 1 and 200),
    topic text not null check (length(topic) between 1 and 255),
    workspace_id uuid not null references public.workspaces (id) on delete cascade,
    subject text check (length(subject) <= 512),
    payload jsonb not null check (jsonb_typeof(payload) = 'object'),
    cause text check (length(cause) <= 1100),
    traceparent text check (length(traceparent) <= 128),
    created_at timestamptz not null default now(),
    published_at timestamptz
);
comment on column public.event_outbox.id is 'The CloudEvent''s id.';
comment on column public.event_outbox.cause is 'The delivery that caused it; its redelivery drains these rows first.';
create index event_outbox_unpublished on public.event_outbox (created_at) where published_at is null;
create index event_outbox_unpublished_cause on public.event_outbox (cause) where published_at is null;
create index event_outbox_workspace_id on public.event_outbox (workspace_id);

create table public.dead_letters (
    id uuid primary key default gen_random_uuid(),
    dedupe_key text not null unique check (octet_length(dedupe_key) between 1 and 2600), -- an index entry's limit
    source_topic text check (length(source_topic) <= 1024), -- 1,024 bytes is the longest attribute of a message
    function text check (length(function) <= 1024),
    reason text check (length(reason) <= 1024),
    detail text check (length(detail) <= 1024),
    attempts int check (attempts >= 0),
    event_type text check (length(event_type) <= 1024),
    event_id text check (length(event_id) <= 1024),
    payload bytea check (octet_length(payload) <= 10485760), -- Pub/Sub's largest message
    attributes jsonb not null default '{}' check (jsonb_typeof(attributes) = 'object'),
    workspace_id uuid, -- no reference: a gone workspace is one of the reasons to be here
    failed_at timestamptz,
    recorded_at timestamptz not null default now(),
    replayed_at timestamptz,
    status text not null default 'open' check (status in ('open', 'replayed', 'discarded')),
    updated_at timestamptz not null default now(),
    constraint dead_letters_replayed_say_when check (status <> 'replayed' or replayed_at is not null)
);
comment on column public.dead_letters.dedupe_key is 'Subscription and message: one row for each death, however often it is delivered.';
create index dead_letters_open on public.dead_letters (recorded_at) where status = 'open';
create index dead_letters_workspace_id on public.dead_letters (workspace_id);

create trigger webhook_events_updated_at before update on public.webhook_events
    for each row execute function public.set_updated_at();
create trigger dead_letters_updated_at before update on public.dead_letters
    for each row execute function public.set_updated_at();

alter table public.webhook_events enable row level security;
alter table public.event_outbox enable row level security;
alter table public.dead_letters enable row level security;

revoke all on public.webhook_events, public.event_outbox, public.dead_letters from anon, authenticated;

grant select, insert, update on public.webhook_events, public.event_outbox, public.dead_letters
    to raptorflow_functions;
create policy functions on public.webhook_events for all to raptorflow_functions using (true) with check (true);
create policy functions on public.event_outbox for all to raptorflow_functions using (true) with check (true);
create policy functions on public.dead_letters for all to raptorflow_functions using (true) with check (true);
