"""A provider's event, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook's body says, before anyone believes it.

    Attributes:
        event_id: the same for every delivery of the same occurrence: what the effect is deduplicated by.
        event_type: the provider's own name for it.
        payload: the provider's object.
        timestamp: when it happened by the provider's clock, else when we received it.
        source: the provider.
        subject: the order, refund or row it is about.
    """

    event_id: str
    event_type: str
    payload: Mapping[str, Any]
    timestamp: datetime
    source: str
    subject: str = ""
