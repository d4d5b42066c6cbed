"""Every kind of notification, on one page: its subject, and whether people may opt out of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same for every mail of a kind.

    Attributes:
        subject: a format string over the context.
        transactional: sent whatever the preferences say: the law, or money, asks for it.
    """

    subject: str
    transactional: bool


KINDS = {
    "invoice": Kind("Your RaptorFlow invoice {number}", transactional=True),
    "credit_note": Kind("Your RaptorFlow credit note {number}", transactional=True),
    "billing_profile_needed": Kind("We need your billing details to send your invoice", transactional=True),
}
"""By name; the templates are called like them."""
