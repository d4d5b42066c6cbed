"""Every event, on one page: its type, its topic and what it carries.

An event says which row changed, not what the row is now: handlers read it again, so their order does not matter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

from common import clock, ids
from common.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from common.functions.delivery import Delivery

SOURCE = "//raptorflow/functions"
_ENVELOPE = frozenset({"id", "time"})


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a workspace.

    Attributes:
        TYPE: ``raptorflow.<entity>.<verb>.v<n>``; a change that old handlers cannot read is a new version.
        TOPIC: where it is published, one topic per type.
        workspace_id: whose it is.
        id: the CloudEvent's id, stable over every delivery.
        time: when it happened.
    """

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]

    workspace_id: str
    id: str = field(default_factory=ids.new_id)
    time: datetime = field(default_factory=clock.now)

    @property
    def subject(self) -> str:
        """The row it is about."""
        return self.workspace_id

    def data(self) -> bytes:
        """What travels as the message's data: its fields as a JSON object."""
        payload = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _ENVELOPE}
        return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_delivery(cls, delivery: Delivery) -> Self:
        """Read the event from a message; fields of newer publishers are ignored.

        Raises:
            InvalidInput: another type of event, or a field is missing or of the wrong type.
        """
        if delivery.type != cls.TYPE:
            raise InvalidInput(f"expected an event of type {cls.TYPE}")
        payload = delivery.json()
        values: dict[str, Any] = {}
        for item in fields(cls):
            if item.name in _ENVELOPE:
                continue
            value = payload.get(item.name)
            if type(value).__name__ != item.type:  # the annotations are the plain names: str, int, bool
                raise InvalidInput(f"the field {item.name} must be {item.type}")
            values[item.name] = value
        return cls(id=delivery.id, time=delivery.time, **values)


@dataclass(frozen=True, kw_only=True)
class PaymentCompleted(Event):
    """Money arrived: the payment is completed and what it bought is active."""

    TYPE: ClassVar[str] = "raptorflow.payment.completed.v1"
    TOPIC: ClassVar[str] = "payment-completed"

    payment_id: str
    user_id: str
    total_amount_paise: int

    @property
    def subject(self) -> str:
        """The payment."""
        return self.payment_id


@dataclass(frozen=True, kw_only=True)
class PaymentFailed(Event):
    """An attempt to pay ended without money; the same payment may still complete later."""

    TYPE: ClassVar[str] = "raptorflow.payment.failed.v1"
    TOPIC: ClassVar[str] = "payment-failed"

    payment_id: str
    user_id: str
    failure_code: str

    @property
    def subject(self) -> str:
        """The payment."""
        return self.payment_id


@dataclass(frozen=True, kw_only=True)
class PaymentRefunded(Event):
    """Money went back: one refund of a payment is completed, in part or the last of all."""

    TYPE: ClassVar[str] = "raptorflow.payment.refunded.v1"
    TOPIC: ClassVar[str] = "payment-refunded"

    payment_id: str
    refund_id: str
    user_id: str
    amount_paise: int

    @property
    def subject(self) -> str:
        """The payment."""
        return self.payment_id


@dataclass(frozen=True, kw_only=True)
class SubscriptionActivated(Event):
    """A subscription was started, renewed or changed to another plan."""

    TYPE: ClassVar[str] = "raptorflow.subscription.activated.v1"
    TOPIC: ClassVar[str] = "subscription-activated"

    subscription_id: str
    user_id: str
    plan: str

    @property
    def subject(self) -> str:
        """The subscription."""
        return self.subscription_id


@dataclass(frozen=True, kw_only=True)
class SubscriptionCancelled(Event):
    """A subscription ended: its user is on the free plan now."""

    TYPE: ClassVar[str] = "raptorflow.subscription.cancelled.v1"
    TOPIC: ClassVar[str] = "subscription-cancelled"

    subscription_id: str
    user_id: str
    plan: str

    @property
    def subject(self) -> str:
        """The subscription."""
        return self.subscription_id
