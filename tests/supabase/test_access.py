"""Row level security and grants: who sees and writes what."""

# ruff: noqa: S608 - the names in these queries are the tests' own

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from common.database import execute, fetch_one
from common.lifecycle import aclose_all
from tests.supabase.rows import (
    PAID,
    START,
    Database,
    Person,
    credit_note,
    insert,
    invoice,
    one,
    payment,
    refund,
    sign_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNED = [
    "users",
    "workspaces",
    "subscriptions",
    "payments",
    "billing_profiles",
    "payment_refunds",
    "invoices",
    "credit_notes",
    "notification_preferences",
]
INTERNAL = ["webhook_events", "event_outbox", "dead_letters", "document_counters", "job_runs", "notification_log"]
TABLES = ["plans", *OWNED, *INTERNAL]
WRITES = {
    "plans": "update plans set monthly_price_paise = 1",
    "users": "update users set subscription_tier = 'enterprise'",
    "workspaces": "update workspaces set name = 'mine'",
    "subscriptions": "update subscriptions set status = 'cancelled'",
    "payments": "update payments set status = 'failed'",
    "webhook_events": "update webhook_events set status = 'ignored'",
    "event_outbox": "update event_outbox set published_at = now()",
    "dead_letters": "update dead_letters set status = 'discarded'",
    "billing_profiles": "update billing_profiles set state_code = '29'",
    "payment_refunds": "update payment_refunds set amount_paise = 1",
    "invoices": "update invoices set mailed_at = now()",
    "credit_notes": "update credit_notes set mailed_at = now()",
    "job_runs": "update job_runs set attempt = attempt + 1",
    "notification_log": "update notification_log set error = 'e'",
    "notification_preferences": "update notification_preferences set email = true",
    "document_counters": "update document_counters set last_seq = last_seq + 1",
}


@contextmanager
def acting_as(db: Database, role: str, person: Person | None = None) -> Iterator[None]:
    """Be a caller of Supabase's API, or the functions."""
    claims = json.dumps({"sub": person.user_id}) if person else ""
    db.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    db.execute(f"set local role {role}".encode())
    try:
        yield
    finally:
        db.execute("reset role")


@contextmanager
def denied(db: Database) -> Iterator[None]:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
        yield


@pytest.fixture
def filled(db: Database, person: Person) -> Database:
    """A row in every table, and another person's beside it."""
    for seq, owner in enumerate((person, sign_up(db, "other@example.com")), 1):
        paid = insert(db, "payments", **payment(owner))["id"]
        given_back = insert(db, "payment_refunds", **refund(owner, paid))["id"]
        issued = insert(db, "invoices", **invoice(owner, paid, seq))["id"]
        insert(db, "credit_notes", **credit_note(owner, issued, given_back, seq))
        insert(db, "billing_profiles", user_id=owner.user_id, legal_name="Asha Raman")
        insert(
            db,
            "job_runs",
            job_name="j",
            scope=owner.workspace_id,
            period="2026-11",
            status="completed",
            attempt=1,
            started_at=START,
            completed_at=START,
        )
        insert(
            db,
            "notification_log",
            dedupe_key=owner.user_id,
            user_id=owner.user_id,
            workspace_id=owner.workspace_id,
            kind="invoice",
            channel="email",
            status="pending",
        )
        insert(db, "notification_preferences", user_id=owner.user_id, kind="digest", email=False)
        insert(db, "document_counters", series=("RF", "RC")[seq - 1], fy="2026-27", last_seq=1)
        insert(db, "event_outbox", type="t", topic="t", workspace_id=owner.workspace_id, payload={})
        insert(
            db,
            "webhook_events",
            source="s",
            dedupe_key=owner.user_id,
            status="ignored",
            workspace_id=owner.workspace_id,
        )
        insert(db, "dead_letters", dedupe_key=owner.user_id, workspace_id=owner.workspace_id)
    return db


def test_the_tests_know_every_table(db: Database) -> None:
    rows = db.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    assert sorted(row["tablename"] for row in rows) == sorted(TABLES)


@pytest.mark.parametrize("table", OWNED)
def test_a_user_sees_own_rows_only(filled: Database, person: Person, table: str) -> None:
    with acting_as(filled, "authenticated", person):
        row = one(filled, f"select * from {table}")
    if table == "payment_refunds":
        assert str(row["workspace_id"]) == person.workspace_id
    else:
        assert str(row["id" if table == "users" else "user_id"]) == person.user_id


@pytest.mark.parametrize("table", OWNED)
def test_a_token_without_a_subject_sees_nothing(filled: Database, table: str) -> None:
    with acting_as(filled, "authenticated"):
        assert filled.execute(f"select * from {table}".encode()).fetchall() == []


@pytest.mark.parametrize("table", INTERNAL)
def test_a_user_has_no_access_to_deliveries(filled: Database, person: Person, table: str) -> None:
    with acting_as(filled, "authenticated", person), denied(filled):
        filled.execute(f"select * from {table}".encode())


@pytest.mark.parametrize("table", OWNED + INTERNAL)
def test_the_anonymous_see_the_price_list_only(filled: Database, table: str) -> None:
    with acting_as(filled, "anon"):
        assert one(filled, "select count(*) as n from plans")["n"] == 4
        with denied(filled):
            filled.execute(f"select * from {table}".encode())


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("table", TABLES)
def test_users_write_nowhere(filled: Database, person: Person, role: str, table: str) -> None:
    with acting_as(filled, role, person):
        for statement in (
            WRITES[table],
            f"delete from {table}",
            f"truncate {table}",
            f"insert into {table} default values",
        ):
            with denied(filled):
                filled.execute(statement.encode())


@pytest.mark.parametrize("table", TABLES)
def test_no_privilege_but_select_is_left_to_users(db: Database, table: str) -> None:
    rows = db.execute(
        "select grantee, privilege_type from information_schema.role_table_grants "
        "where table_schema = 'public' and table_name = %s and grantee in ('anon', 'authenticated', 'PUBLIC')",
        (table,),
    ).fetchall()
    assert {row["privilege_type"] for row in rows} <= {"SELECT"}


def test_row_security_is_on_everywhere(db: Database) -> None:
    rows = db.execute("select tablename from pg_tables where schemaname = 'public' and not rowsecurity").fetchall()
    assert rows == []


def test_every_reference_has_an_index(db: Database) -> None:
    rows = db.execute(
        """
        select conname from pg_constraint c
        where contype = 'f' and connamespace = 'public'::regnamespace and not exists (
            select from pg_index i where i.indrelid = c.conrelid and i.indpred is null and i.indkey[0] = c.conkey[1]
        )
        """
    ).fetchall()
    assert rows == []


def test_functions_have_a_fixed_search_path_and_one_is_for_users(db: Database) -> None:
    rows = db.execute(
        """
        select proname, proconfig,
               array(select r from unnest(array['anon', 'authenticated']) r
                     where has_function_privilege(r, p.oid, 'execute')) as callers
        from pg_proc p where pronamespace = 'public'::regnamespace
        """
    ).fetchall()
    assert len(rows) == 9
    for row in rows:
        assert row["proconfig"] == ['search_path=""']
        assert row["callers"] == (["authenticated"] if row["proname"] == "user_owns_workspace" else [])


def test_user_owns_workspace(filled: Database, person: Person) -> None:
    other = sign_up(filled)
    for caller, answer in ((person, True), (other, False), (None, False)):
        with acting_as(filled, "authenticated", caller):
            row = one(filled, "select user_owns_workspace(%s) as owns", person.workspace_id)
        assert row["owns"] is answer


def test_the_functions_see_every_workspace(filled: Database) -> None:
    with acting_as(filled, "raptorflow_functions"):
        for table in OWNED + INTERNAL:
            assert one(filled, f"select count(*) as n from {table}")["n"] == 2


def test_the_functions_write_what_the_payment_path_writes(filled: Database, person: Person) -> None:
    with acting_as(filled, "raptorflow_functions"):
        filled.execute("select 1 from users where id = %s for update", (person.user_id,))
        filled.execute("select 1 from payments where user_id = %s for update", (person.user_id,))
        filled.execute(
            "update payments set status = 'completed', completed_at = %(completed_at)s, "
            "period_start = %(period_start)s, period_end = %(period_end)s where user_id = %(user)s",
            {**PAID, "user": person.user_id},
        )
        filled.execute(
            "insert into subscriptions (user_id) values (%s) on conflict (user_id) do update set last_event_at = %s",
            (person.user_id, START),
        )
        filled.execute(
            "update users set subscription_tier = 'growth', budget_limit_monthly_micro_usd = 50000000 where id = %s",
            (person.user_id,),
        )
        for table in (*INTERNAL, "payment_refunds", "invoices", "credit_notes"):
            filled.execute(WRITES[table].encode())
        insert(filled, "webhook_events", source="s", dedupe_key="k", status="ignored")
        insert(filled, "event_outbox", type="t", topic="t", workspace_id=person.workspace_id, payload={})
        insert(filled, "dead_letters", dedupe_key="k")


@pytest.mark.parametrize(
    "statement",
    [
        *(f"delete from {table}" for table in TABLES),
        *(f"truncate {table}" for table in TABLES),
        WRITES["plans"],
        WRITES["workspaces"],
        WRITES["billing_profiles"],
        WRITES["notification_preferences"],
        "update invoices set total_paise = 1",
        "update credit_notes set number = 'x'",
        "update users set email = 'x@example.com'",
        "insert into users (id, email) values (gen_random_uuid(), 'x@example.com')",
        "insert into payments default values",
        "select * from auth.users",
        "create table mine (id int)",
        "set role service_role",
        "create role other",
    ],
)
def test_the_functions_can_do_nothing_else(filled: Database, statement: str) -> None:
    # Logged in, not only `set role`: the session's own rights decide about roles.
    with (
        psycopg.connect(filled.info.dsn, user="raptorflow_functions") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_functions_role_is_an_ordinary_one(db: Database) -> None:
    role = one(db, "select * from pg_authid where rolname = 'raptorflow_functions'")
    assert role["rolcanlogin"]
    assert role["rolpassword"] is None
    for power in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication", "rolinherit"):
        assert not role[power], power


async def test_the_functions_log_in_through_the_pool(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", migrated.replace("postgres@", "raptorflow_functions@"))
    try:
        assert await fetch_one("select current_user as name") == {"name": "raptorflow_functions"}
        assert await fetch_one("select count(*) as n from plans") == {"n": 4}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await execute("delete from payments")
    finally:
        await aclose_all()


@pytest.mark.parametrize("table", TABLES)
def test_the_service_role_bypasses_row_security(filled: Database, table: str) -> None:
    with acting_as(filled, "service_role"):
        assert one(filled, f"select count(*) as n from {table}")["n"] >= 2
