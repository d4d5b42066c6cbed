-- A sign-up makes, in its own transaction: the user, a workspace, and a free subscription. Written to be repeatable,
-- because a failing trigger would refuse the sign-up itself.

create function public.handle_new_auth_user() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    insert into public.users (id, email, full_name, avatar_url)
    values (
        new.id,
        new.email,
        nullif(left(btrim(new.raw_user_meta_data ->> 'full_name'), 200), ''),
        -- The caller wrote this; an address too long to be one is left out.
        case when length(new.raw_user_meta_data ->> 'avatar_url') <= 2048
            then new.raw_user_meta_data ->> 'avatar_url' end
    )
    on conflict (id) do nothing;
    return new;
end
$$;

create function public.handle_new_user() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    loop -- 32 random bits: a slug that is taken is drawn again
        insert into public.workspaces (user_id, name, slug)
        values (
            new.id,
            coalesce(new.full_name || '''s workspace', 'My workspace'),
            'ws-' || left(gen_random_uuid()::text, 8)
        )
        on conflict (slug) do nothing;
        exit when found;
    end loop;
    insert into public.subscriptions (user_id) values (new.id) on conflict (user_id) do nothing;
    return new;
end
$$;

revoke execute on function public.handle_new_auth_user() from public, anon, authenticated;
revoke execute on function public.handle_new_user() from public, anon, authenticated;

create trigger on_auth_user_created after insert on auth.users
    for each row execute function public.handle_new_auth_user();
create trigger on_user_created after insert on public.users
    for each row execute function public.handle_new_user();
