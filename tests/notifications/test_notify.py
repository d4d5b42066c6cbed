"""One mail for one key, on a real Postgres and the provider's stand-in."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from common import clock, ids
from common.errors import InvalidInput, Misconfigured, Unavailable
from common.notifications import Attachment, Notification, Undeliverable, notify
from common.notifications.kinds import KINDS, Kind
from tools.sample_data import Billing, Customer, create_customer

if TYPE_CHECKING:
    from tests.stack import Stack

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CONTEXT = {
    "number": "RF/2026-27/00001",
    "issue_date": "23 Nov 2026",
    "name": "<script>alert(1)</script>",
    "description": "RaptorFlow Growth",
    "total": "₹3,538.82",
    "original": "",
    "seller": "RaptorFlow Labs & Co",
}


class Person:
    """A customer with an address of her own, and her mails."""

    def __init__(self, stack: Stack, billing: Billing | None = Billing()) -> None:  # noqa: B008 - frozen
        self.address = f"{ids.new_id()}@example.com"
        self.customer: Customer = create_customer(stack.admin_url, self.address, billing)
        self.key = f"invoice/{ids.new_id()}"

    async def notify(self, kind: str = "invoice", **options: Any) -> Notification:
        options = {"context": CONTEXT, "workspace_id": self.customer.workspace_id, **options}
        return await notify(self.customer.user_id, kind, self.key, **options)

    async def mails(self, to: str = "") -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
            found: list[dict[str, Any]] = (await client.get("/api/mails", params={"to": to or self.address})).json()[
                "mails"
            ]
            return found


async def arm(*answers: int | str) -> None:
    async with httpx.AsyncClient(base_url=os.environ["RESEND_BASE_URL"]) as client:
        (await client.post("/_local/faults", json={"answers": answers})).raise_for_status()


def row(stack: Stack) -> dict[str, Any]:
    (found,) = stack.rows("select * from notification_log")
    return found


async def test_a_mail_is_sent_and_stamped(stack: Stack) -> None:
    person = Person(stack)
    sent = await person.notify(attachments=[Attachment("a.pdf", "application/pdf", b"%PDF")])
    (mail,) = await person.mails()
    assert sent == Notification("sent", mail["id"])
    assert mail["subject"] == "Your RaptorFlow invoice RF/2026-27/00001"
    assert mail["key"] == person.key
    assert mail["attachments"][0]["bytes"] == 4
    assert (row(stack)["status"], row(stack)["provider_id"]) == ("sent", mail["id"])


async def test_what_customers_wrote_is_escaped_in_html_and_not_in_text(stack: Stack) -> None:
    person = Person(stack)
    await person.notify()
    (mail,) = await person.mails()
    assert "<script>" not in mail["html"]
    assert "&lt;script&gt;" in mail["html"]
    assert "<script>" in mail["text"]
    assert "RaptorFlow Labs & Co" in mail["text"]


async def test_twice_is_one_mail(stack: Stack) -> None:
    person = Person(stack)
    assert await person.notify() == await person.notify()
    assert len(await person.mails()) == 1


async def test_twenty_at_once_are_one_mail(stack: Stack) -> None:
    person = Person(stack)
    answers = await asyncio.gather(*(person.notify() for _ in range(20)))
    assert len(set(answers)) == 1
    assert len(await person.mails()) == 1


async def test_the_address_of_the_billing_profile_comes_first(stack: Stack) -> None:
    other = f"{ids.new_id()}@example.com"
    person = Person(stack, Billing(email=other))
    await person.notify()
    assert await person.mails() == []
    assert len(await person.mails(other)) == 1


@pytest.mark.parametrize("answer", [409, 429, 500, 503])  # 409: the same key is under way
async def test_a_busy_provider_is_asked_again_under_the_same_key(stack: Stack, answer: int) -> None:
    person = Person(stack)
    await arm(answer)
    with pytest.raises(Unavailable):
        await person.notify()
    assert row(stack)["status"] == "pending"
    assert (row(stack)["sending_since"] is None) is (answer == 429)
    await person.notify()
    (mail,) = await person.mails()
    assert mail["key"] == person.key


async def test_a_mail_whose_answer_is_lost_is_not_sent_twice(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.notifications.mail.TIMEOUT_SECONDS", 0.5)
    person = Person(stack)
    await arm("lost")
    with pytest.raises(Unavailable):
        await person.notify()
    assert row(stack)["sending_since"] is not None
    assert (await person.notify()).status == "sent"
    assert len(await person.mails()) == 1


async def test_after_a_day_nobody_knows_and_a_person_decides(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("common.notifications.mail.TIMEOUT_SECONDS", 0.5)
    person = Person(stack)
    await arm("hang")
    with clock.frozen(NOW), pytest.raises(Unavailable):
        await person.notify()
    with clock.frozen(NOW + timedelta(hours=24)):
        for _ in range(2):
            with pytest.raises(Undeliverable):
                await person.notify()
    assert row(stack)["status"] == "uncertain"
    assert await person.mails() == []
    assert "notification_uncertain" in str([vars(record).get("fields") for record in caplog.records])


async def test_a_provider_that_was_down_for_days_gets_the_mail_at_last(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, base = Person(stack), os.environ["RESEND_BASE_URL"]
    monkeypatch.setenv("RESEND_BASE_URL", "http://127.0.0.1:1")
    with clock.frozen(NOW), pytest.raises(Unavailable):
        await person.notify()
    from common.lifecycle import aclose_all

    await aclose_all()
    monkeypatch.setenv("RESEND_BASE_URL", base)
    with clock.frozen(NOW + timedelta(days=3)):
        assert (await person.notify()).status == "sent"


async def test_a_mail_that_will_never_be_taken_is_failed(stack: Stack) -> None:
    person = Person(stack)
    for _ in range(2):
        with pytest.raises(Undeliverable):
            await person.notify(to="not an address")
    assert (row(stack)["status"], row(stack)["error"]) == (
        "failed",
        "the mail provider refuses the mail: validation_error",
    )


async def test_a_key_that_was_used_for_another_text_counts_as_sent(stack: Stack) -> None:
    person = Person(stack)
    await person.notify()
    stack.rows("update notification_log set status = 'pending', sent_at = null, provider_id = null")
    assert await person.notify(context=CONTEXT | {"total": "₹1.00"}) == Notification("sent", "")
    assert len(await person.mails()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("RESEND_API_KEY", ""), ("RESEND_API_KEY", "re_wrong"), ("SENDER_EMAIL_ADDRESS", "")]
)
async def test_without_a_key_or_a_sender_nothing_is_sent_until_there_is_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    person, good = Person(stack), os.environ[name]
    monkeypatch.setenv(name, value)
    with clock.frozen(NOW), pytest.raises(Misconfigured):
        await person.notify()
    monkeypatch.setenv(name, good)
    with clock.frozen(NOW + timedelta(days=3)):  # however long it took: the provider never had it
        assert (await person.notify()).status == "sent"


async def test_people_may_opt_out_of_what_is_not_transactional(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person(stack)
    stack.rows(
        "insert into notification_preferences (user_id, kind, email) values (%s, 'invoice', false)",
        person.customer.user_id,
    )
    monkeypatch.setitem(KINDS, "invoice", Kind(KINDS["invoice"].subject, transactional=False))
    assert (await person.notify()).status == "suppressed"
    assert (await person.notify()).status == "suppressed"
    assert await person.mails() == []


async def test_transactional_mail_ignores_the_preferences(stack: Stack) -> None:
    person = Person(stack)
    stack.rows(
        "insert into notification_preferences (user_id, kind, email) values (%s, 'invoice', false)",
        person.customer.user_id,
    )
    assert (await person.notify()).status == "sent"


async def test_a_key_belongs_to_one_workspace(stack: Stack) -> None:
    person, other = Person(stack), Person(stack)
    await person.notify()
    with pytest.raises(InvalidInput):
        await person.notify(workspace_id=other.customer.workspace_id)


@pytest.mark.parametrize(("kind", "key"), [("unknown", "k"), ("invoice", ""), ("invoice", "k" * 257)])
async def test_a_notification_that_cannot_be_logged(stack: Stack, kind: str, key: str) -> None:
    person = Person(stack)
    person.key = key
    with pytest.raises(InvalidInput):
        await person.notify(kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_has_its_templates(stack: Stack, kind: str) -> None:
    assert (await Person(stack).notify(kind, context=CONTEXT | {"detail": "d"})).status == "sent"


CHILD = """
import asyncio, os, signal, sys
from common.notifications import mail, notify
from tests.notifications.test_notify import CONTEXT

original = mail.MailClient.send

async def send(self, *arguments):
    await original(self, *arguments)
    os.kill(os.getpid(), signal.SIGKILL)

mail.MailClient.send = send
user, workspace, key = sys.argv[1:]
asyncio.run(notify(user, "invoice", key, workspace_id=workspace, context=CONTEXT))
"""


async def test_killed_between_the_mail_and_its_stamp_it_is_one_mail(stack: Stack) -> None:
    person = Person(stack)
    who = person.customer
    child = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            CHILD,
            who.user_id,
            who.workspace_id,
            person.key,
        ],
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert child.returncode == -signal.SIGKILL
    assert row(stack)["status"] == "pending"
    assert (await person.notify()).status == "sent"
    assert len(await person.mails()) == 1
