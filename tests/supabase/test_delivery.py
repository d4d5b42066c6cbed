# ruff: noqa: S608 - the names in these queries are the tests' own

from __future__ import annotations

from typing import Any

import pytest

from common import ids
from tests.supabase.rows import START, Database, Person, insert, one, refused

EVENT = {
    "type": "raptorflow.payment.completed.v1",
    "topic": "payment-completed",
    "subject": "payments/1",
    "payload": {"payment_id": "1"},
    "cause": "phonepe/checkout.order.completed/RF-1/COMPLETED",
}
LETTER = {"dedupe_key": "subscription/message", "attempts": 30, "payload": b"{}", "attributes": {"ce-id": "1"}}
WEBHOOK = {"source": "phonepe", "dedupe_key": "checkout.order.completed/RF-1/COMPLETED", "payload": b"{}"}


@pytest.mark.parametrize("status", ["ignored", "duplicate", "parked", "unknown_order", "amount_mismatch"])
def test_good_webhook_events(db: Database, person: Person, status: str) -> None:
    insert(db, "webhook_events", **WEBHOOK, status=status, workspace_id=person.workspace_id)


def test_an_applied_webhook_event(db: Database) -> None:
    assert insert(db, "webhook_events", **WEBHOOK, status="applied", applied_at=START)["workspace_id"] is None


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "done"}, "webhook_events_status_check"),
        ({"status": None}, "status"),
        ({"status": "applied"}, "webhook_events_applied_say_when"),
        ({"source": ""}, "webhook_events_source_check"),
        ({"source": "x" * 65}, "webhook_events_source_check"),
        ({"dedupe_key": ""}, "webhook_events_dedupe_key_check"),
        ({"dedupe_key": "x" * 1025}, "webhook_events_dedupe_key_check"),
        ({"error": "x" * 2001}, "webhook_events_error_check"),
        ({"payload": b"x" * (2**20 + 1)}, "webhook_events_payload_check"),
        ({"workspace_id": ids.new_id()}, "webhook_events_workspace_id_fkey"),
    ],
)
def test_bad_webhook_events(db: Database, changes: dict[str, Any], constraint: str) -> None:
    with refused(db, constraint):
        insert(db, "webhook_events", **{**WEBHOOK, "status": "ignored", **changes})


def test_an_occurrence_is_recorded_once(db: Database) -> None:
    insert(db, "webhook_events", **WEBHOOK, status="ignored")
    with refused(db, "webhook_events_pkey"):
        insert(db, "webhook_events", **WEBHOOK, status="applied", applied_at=START)
    insert(db, "webhook_events", **{**WEBHOOK, "source": "stripe"}, status="ignored")


def test_a_webhook_event_outlives_its_workspace(db: Database, person: Person) -> None:
    insert(db, "webhook_events", **WEBHOOK, status="ignored", workspace_id=person.workspace_id)
    db.execute("delete from workspaces where id = %s", (person.workspace_id,))
    assert one(db, "select workspace_id from webhook_events")["workspace_id"] is None


def test_a_good_outbox_row(db: Database, person: Person) -> None:
    row = insert(db, "event_outbox", **EVENT, workspace_id=person.workspace_id)
    assert row["published_at"] is None


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"workspace_id": None}, "workspace_id"),
        ({"workspace_id": ids.new_id()}, "event_outbox_workspace_id_fkey"),
        ({"type": ""}, "event_outbox_type_check"),
        ({"topic": "x" * 256}, "event_outbox_topic_check"),
        ({"payload": [1]}, "event_outbox_payload_check"),
        ({"traceparent": "x" * 129}, "event_outbox_traceparent_check"),
    ],
)
def test_bad_outbox_rows(db: Database, person: Person, changes: dict[str, Any], constraint: str) -> None:
    with refused(db, constraint):
        insert(db, "event_outbox", **{**EVENT, "workspace_id": person.workspace_id, **changes})


@pytest.mark.parametrize("query", ["cause = 'x'", "created_at < now()"])
def test_unpublished_rows_are_found_by_index(db: Database, query: str) -> None:
    db.execute("set local enable_seqscan = off")
    plan = db.execute(f"explain select * from event_outbox where {query} and published_at is null".encode()).fetchall()
    assert "event_outbox_unpublished" in str(plan)


def test_good_dead_letters(db: Database) -> None:
    row = insert(db, "dead_letters", **LETTER, workspace_id=ids.new_id(), reason="gone workspace", function="event-x")
    assert row["status"] == "open"
    db.execute("update dead_letters set status = 'replayed', replayed_at = now()")
    insert(db, "dead_letters", **{**LETTER, "dedupe_key": "é" * 1024}, status="discarded")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"dedupe_key": ""}, "dead_letters_dedupe_key_check"),
        ({"dedupe_key": "x" * 2601}, "dead_letters_dedupe_key_check"),
        ({"attempts": -1}, "dead_letters_attempts_check"),
        ({"status": "closed"}, "dead_letters_status_check"),
        ({"status": "replayed"}, "dead_letters_replayed_say_when"),
        ({"attributes": []}, "dead_letters_attributes_check"),
        ({"reason": "x" * 1025}, "dead_letters_reason_check"),
    ],
)
def test_bad_dead_letters(db: Database, changes: dict[str, Any], constraint: str) -> None:
    with refused(db, constraint):
        insert(db, "dead_letters", **{**LETTER, **changes})


def test_a_death_is_recorded_once(db: Database) -> None:
    insert(db, "dead_letters", **LETTER)
    with refused(db, "dead_letters_dedupe_key_key"):
        insert(db, "dead_letters", **LETTER)
