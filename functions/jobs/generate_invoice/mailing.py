"""The mails of a document's life; each has a key of its own, so that it is sent once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.billing.config import SellerConfig
from common.billing.words import in_figures
from common.notifications import Attachment, notify

if TYPE_CHECKING:
    from common.billing.gst import Reason
    from common.billing.store import Stored

DETAILS: dict[Reason, str] = {
    "no_profile": "we do not know whom to bill, and in which state",
    "no_state": "we do not know your state, which the law wants on it",
    "unknown_state": "we do not know the state that you chose",
    "invalid_gstin": "the GSTIN is not valid",
    "state_contradicts_gstin": "the state is not the one of the GSTIN",
    "zone_without_gstin": "a company in a special economic zone needs its GSTIN",
    "unprintable": "the name or the address is not in Latin letters",
}
"""What the payer is told."""


async def send(user_id: str, workspace_id: str, stored: Stored, pdf: bytes) -> None:
    """Mail a document with its PDF to whom it bills.

    Raises:
        Unavailable: the provider cannot take it now.
    """
    document = stored.document
    await notify(
        user_id,
        document.kind,
        f"{document.kind}/{document.number}",
        workspace_id=workspace_id,
        to=document.buyer.email,
        context={
            "number": document.number,
            "issue_date": f"{document.issue_date:%d %b %Y}",
            "name": document.buyer.legal_name,
            "description": document.lines[0].description,
            "total": f"₹{in_figures(document.total_paise)}",
            "original": document.refers_to.number if document.refers_to else "",
            "seller": document.seller.legal_name,
        },
        attachments=[Attachment(f"{document.number.replace('/', '-')}.pdf", "application/pdf", pdf)],
    )


async def ask_for_profile(user_id: str, workspace_id: str, payment_id: str, reason: Reason) -> None:
    """Ask the payer for what the invoice needs, once for each payment and reason.

    Raises:
        Unavailable: the provider cannot take it now.
    """
    await notify(
        user_id,
        "billing_profile_needed",
        f"billing_profile_needed/{payment_id}/{reason}",
        workspace_id=workspace_id,
        context={"detail": DETAILS[reason], "seller": SellerConfig.from_environment().party.legal_name},
    )
