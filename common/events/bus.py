"""`emit`: the event and the change that it reports become visible together, or not at all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from common.database import after_commit, transaction
from common.events import outbox

if TYPE_CHECKING:
    from common.events.types import Event


class EventBus:
    """Where events are emitted.

    Example:
        >>> async with transaction():
        ...     await complete(payment)
        ...     await EventBus().emit(PaymentCompleted(...))
    """

    async def emit(self, *events: Event) -> None:
        """Write the events to the outbox and publish them once the transaction has committed.

        Joins the transaction that is bound to the context (`common.database.transaction`), or opens one.

        Raises:
            Unavailable: out of the transaction's end, when the events are committed but could not be published: the
                delivery must not be acknowledged, so that it comes again and drains them.
        """
        async with transaction():
            ids = [await outbox.insert(event) for event in events]
            after_commit(partial(outbox.publish, ids))


async def emit_event(*events: Event) -> None:
    """`EventBus.emit` of the one bus there is."""
    await EventBus().emit(*events)
