"""The credit notes of refunds: gapless, adding up, never holding a refund back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.functions.events.ordering import deliver
from tests.functions.events.refunding import TOTAL, documents, paid, payment, refund

if TYPE_CHECKING:
    from tests.stack import Stack

HEADS = ("taxable_paise", "cgst_paise", "sgst_paise", "igst_paise", "round_off_paise", "total_paise")


async def test_credit_notes_are_gapless_and_their_heads_add_up(stack: Stack) -> None:
    checkout = await paid(stack)
    amounts = [513, 100_001, 77_777]
    amounts.append(TOTAL - sum(amounts))
    for amount in amounts:
        await (await refund(checkout, amount)).tell()
    refused = await refund(checkout, 1)
    await refused.tell()
    other = await paid(stack)
    await (await refund(other, 1000)).tell()
    found = documents(stack)
    assert [note["seq"] for note in found["credit_notes"]] == [1, 2, 3, 4, 5]
    assert [note["total_paise"] for note in found["credit_notes"]] == [*amounts, 1000]
    for head in HEADS:
        assert sum(note[head] for note in found["credit_notes"][:4]) == found["invoices"][0][head]


async def test_without_a_billing_profile_the_refund_stands_and_the_note_follows(stack: Stack) -> None:
    from common.billing.documents import issue_documents

    checkout = await stack.checkout()
    stack.rows("delete from billing_profiles")
    await checkout.pay()
    await deliver(checkout)
    assert (await (await refund(checkout)).tell()).status == 204
    assert payment(stack, checkout)["status"] == "refunded"
    assert documents(stack) == {"invoices": [], "credit_notes": []}
    stack.rows(
        "insert into billing_profiles (user_id, legal_name, state_code) values (%s, 'Asha Raman', '33')",
        checkout.user_id,
    )
    issued = await issue_documents(checkout.workspace_id, checkout.payment_id)
    assert [stored.document.kind for stored in issued.documents] == ["invoice", "credit_note"]
