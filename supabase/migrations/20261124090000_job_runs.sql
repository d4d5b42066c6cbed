-- Every run of a job, claimed before it starts: what is due once is done once, and what died is taken over.

create table public.job_runs (
    job_name text not null check (job_name ~ '^[a-z][a-z0-9_]{0,62}$'),
    scope text not null check (length(scope) between 1 and 255),
    period text not null check (length(period) between 1 and 64),
    status text not null check (status in ('running', 'completed', 'partial', 'skipped', 'failed')),
    attempt int not null check (attempt > 0),
    lease_until timestamptz,
    cursor jsonb,
    result jsonb,
    error text check (length(error) <= 500),
    started_at timestamptz not null,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (job_name, scope, period),
    constraint job_runs_running_has_a_lease check ((status = 'running') = (lease_until is not null)),
    constraint job_runs_running_has_not_ended check ((status = 'running') = (completed_at is null))
);
comment on column public.job_runs.scope is 'A workspace, a payment … or "platform".';
comment on column public.job_runs.attempt is 'Also the fencing number: who holds an older one writes nothing.';
comment on column public.job_runs.lease_until is 'By this server''s clock, the only one that all instances share.';
create index job_runs_unfinished on public.job_runs (updated_at) where status <> 'completed';

create trigger job_runs_updated_at before update on public.job_runs
    for each row execute function public.set_updated_at();

alter table public.job_runs enable row level security;
revoke all on public.job_runs from anon, authenticated;
grant select, insert, update on public.job_runs to raptorflow_functions;
create policy functions on public.job_runs for all to raptorflow_functions using (true) with check (true);
