"""``notify``: one mail for one key, although every delivery comes twice and any line may be the last.

The row in ``notification_log`` comes first; the mail carries the row's key to the provider, which absorbs it a second
time for a day; the row is stamped last. A process that dies in between leaves a pending row, and whoever comes next
sends again under the same key. Once the day is over nobody knows any more, so a person decides: ``uncertain``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from common import clock
from common.database import execute, fetch_one
from common.errors import InvalidInput, Misconfigured, RaptorFlowError, Unavailable
from common.infrastructure.metrics import record_metric
from common.notifications.kinds import KINDS
from common.notifications.mail import Attachment, Mail, OutcomeUnknown, Refused, mail_client
from common.notifications.rendering import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

MAX_KEY = 256
ABSORBED_FOR = timedelta(hours=23)
"""How long a repetition is harmless: the provider's 24 hours, less one for clocks and queues."""
DONE = frozenset({"sent", "suppressed"})


class Undeliverable(RaptorFlowError):  # noqa: N818 - a finding
    """The notification cannot be sent, now or later, without a person; its row says why."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What became of a notification.

    Attributes:
        status: ``sent``, or ``suppressed`` where the user does not want it.
        provider_id: the provider's id of the mail.
    """

    status: str
    provider_id: str = ""


async def notify(
    user_id: str,
    kind: str,
    dedupe_key: str,
    *,
    workspace_id: str,
    context: Mapping[str, Any],
    to: str = "",
    attachments: Sequence[Attachment] = (),
) -> Notification:
    """Mail a user, once for each ``dedupe_key``.

    Args:
        user_id: who is told.
        kind: see `common.notifications.kinds`.
        dedupe_key: stable and readable, at most 256 characters: ``invoice/RF/2026-27/00001``.
        workspace_id: on whose behalf.
        context: what the kind's templates show.
        to: the address; without it, that of the billing profile, else the user's own.
        attachments: files.

    Raises:
        InvalidInput: unknown kind, or a key that is empty or too long.
        Undeliverable: it will not be sent without a person.
        Unavailable: it could not be sent now.
        Misconfigured: the provider does not accept us.

    Example:
        >>> await notify(user_id, "invoice", f"invoice/{number}", workspace_id=workspace_id, context={...})
    """
    if kind not in KINDS or not 1 <= len(dedupe_key) <= MAX_KEY:
        raise InvalidInput(f"a notification has a known kind and a key of 1 to {MAX_KEY} characters")
    row = await _row(user_id, kind, dedupe_key, workspace_id)
    if row["status"] in DONE:
        return Notification(row["status"], row["provider_id"] or "")
    if row["status"] in {"failed", "uncertain"}:
        raise Undeliverable(f"notification {kind} is {row['status']}")
    if not KINDS[kind].transactional and not await _wanted(user_id, kind):
        await _stamp(dedupe_key, workspace_id, "suppressed")
        return Notification("suppressed")
    return await _send(row, dedupe_key, kind, workspace_id, context, to or await _address(user_id), attachments)


async def _send(
    row: dict[str, Any],
    key: str,
    kind: str,
    workspace_id: str,
    context: Mapping[str, Any],
    to: str,
    attachments: Sequence[Attachment],
) -> Notification:
    since = row["sending_since"]
    if since is not None and clock.now() - since > ABSORBED_FOR:
        await _stamp(key, workspace_id, "uncertain", error="nobody knows whether it was sent")
        _alert(kind, "uncertain", key)
        raise Undeliverable(f"notification {kind} is uncertain")
    html, text = render(kind, context)
    mail = Mail(to, KINDS[kind].subject.format_map(context), html, text, attachments)
    await _mark_sending(key, workspace_id)
    try:
        provider_id = await mail_client().send(mail, key)
    except OutcomeUnknown:
        raise
    except (Unavailable, Misconfigured):  # it was not taken
        if since is None:  # no attempt is open: later ones may come as late as they like
            await _mark_not_sending(key, workspace_id)
        raise
    except Refused as refused:
        await _stamp(key, workspace_id, "failed", error=str(refused))
        _alert(kind, "failed", key)
        raise Undeliverable(f"notification {kind} was refused") from refused
    await _stamp(key, workspace_id, "sent", provider_id=provider_id)
    record_metric("raptorflow_mails_total", 1, {"kind": kind})
    return Notification("sent", provider_id)


async def _row(user_id: str, kind: str, key: str, workspace_id: str) -> dict[str, Any]:
    await execute(
        """
        insert into notification_log (dedupe_key, user_id, workspace_id, kind, channel, status, created_at)
        values (%s, %s, %s, %s, 'email', 'pending', %s) on conflict (dedupe_key) do nothing
        """,
        (key, user_id, workspace_id, kind, clock.now()),
    )
    row = await fetch_one(
        "select status, provider_id, sending_since from notification_log where dedupe_key = %s and workspace_id = %s",
        (key, workspace_id),
    )
    if row is None:
        raise InvalidInput("the key of a notification belongs to another workspace")
    return row


async def _mark_sending(key: str, workspace_id: str) -> None:
    await execute(
        """
        update notification_log set sending_since = coalesce(sending_since, %s)
        where dedupe_key = %s and workspace_id = %s
        """,
        (clock.now(), key, workspace_id),
    )


async def _mark_not_sending(key: str, workspace_id: str) -> None:
    await execute(
        "update notification_log set sending_since = null where dedupe_key = %s and workspace_id = %s",
        (key, workspace_id),
    )


async def _stamp(key: str, workspace_id: str, status: str, *, provider_id: str = "", error: str = "") -> None:
    await execute(
        """
        update notification_log
        set status = %s, provider_id = nullif(%s, ''), error = nullif(%s, ''), sent_at = %s
        where dedupe_key = %s and workspace_id = %s and status = 'pending'
        """,
        (status, provider_id, error[:200], clock.now() if status == "sent" else None, key, workspace_id),
    )


async def _wanted(user_id: str, kind: str) -> bool:
    row = await fetch_one(
        "select email from notification_preferences where user_id = %s and kind = %s", (user_id, kind)
    )
    return row is None or bool(row["email"])


async def _address(user_id: str) -> str:
    row = await fetch_one(
        """
        select coalesce(b.email, u.email) as address
        from users u left join billing_profiles b on b.user_id = u.id where u.id = %s
        """,
        (user_id,),
    )
    if row is None:
        raise Undeliverable("the user is gone")
    return str(row["address"])


def _alert(kind: str, status: str, key: str) -> None:
    alert = {"alert": f"notification_{status}", "kind": kind, "dedupe_key": key}
    log.error("notification %s is %s", kind, status, extra={"fields": alert})
