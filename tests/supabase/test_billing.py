from __future__ import annotations

from itertools import product
from typing import Any

import psycopg
import pytest

from tests.supabase.rows import END, PAID, START, Database, Person, insert, one, payment, refused, sign_up, update

STATUSES = ("pending", "processing", "completed", "failed", "partially_refunded", "refunded")
MOVES = {
    ("pending", "processing"),
    ("pending", "completed"),
    ("pending", "failed"),
    ("processing", "completed"),
    ("processing", "failed"),
    ("failed", "completed"),
    ("completed", "partially_refunded"),
    ("completed", "refunded"),
    ("partially_refunded", "refunded"),
}
REFUNDED = {"partially_refunded": 100, "refunded": 353882}


def in_status(status: str) -> dict[str, Any]:
    paid = PAID if status in {"completed", "partially_refunded", "refunded"} else {}
    return {"status": status, "refunded_paise": REFUNDED.get(status, 0), **paid}


class TestSubscriptions:
    GROWTH = {  # noqa: RUF012 - read only
        "plan": "growth",
        "price_paise": 299900,
        "billing_cycle": "monthly",
        "current_period_start": START,
        "current_period_end": END,
    }

    def test_good(self, db: Database, person: Person) -> None:
        row = {"id": person.subscription_id}
        update(db, "subscriptions", row, **self.GROWTH, phonepe_subscription_id="S1", last_event_at=START)
        for status in ("past_due", "trialing", "cancelled", "active"):
            update(db, "subscriptions", row, status=status)
        update(db, "subscriptions", row, plan="free", price_paise=0, billing_cycle=None)

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"plan": "gold"}, "subscriptions_plan_fkey"),
            ({"status": "paused"}, "subscriptions_status_check"),
            ({"billing_cycle": "weekly"}, "subscriptions_billing_cycle_check"),
            ({"billing_cycle": None}, "subscriptions_cycle_unless_free"),
            ({"plan": "free", "price_paise": 0}, "subscriptions_cycle_unless_free"),
            ({"plan": "free", "billing_cycle": None}, "subscriptions_free_costs_nothing"),
            ({"price_paise": -1}, "subscriptions_price_paise_check"),
            ({"current_period_end": None}, "subscriptions_period_has_both_ends"),
            ({"current_period_start": None}, "subscriptions_period_has_both_ends"),
            ({"current_period_start": None, "current_period_end": None}, "subscriptions_period_unless_free"),
            ({"current_period_end": START}, "subscriptions_period_ends_after_start"),
            ({"phonepe_subscription_id": ""}, "subscriptions_phonepe_subscription_id_check"),
        ],
    )
    def test_bad(self, db: Database, person: Person, changes: dict[str, Any], constraint: str) -> None:
        with refused(db, constraint):
            update(db, "subscriptions", {"id": person.subscription_id}, **{**self.GROWTH, **changes})

    def test_a_user_has_one(self, db: Database, person: Person) -> None:
        with refused(db, "subscriptions_user_id_key"):
            insert(db, "subscriptions", user_id=person.user_id)


class TestPayments:
    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize("cycle", ["monthly", "annual"])
    def test_good(self, db: Database, person: Person, status: str, cycle: str) -> None:
        metadata = {"plan": "starter", "billing_cycle": cycle, "campaign": "launch"}
        row = insert(db, "payments", **payment(person, metadata=metadata, **in_status(status)))
        assert (row["plan"], row["billing_cycle"], row["currency"]) == ("starter", cycle, "INR")

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"amount_paise": 299899}, "payments_total_is_amount_and_gst"),
            ({"amount_paise": -1, "gst_amount_paise": 2, "total_amount_paise": 1}, "payments_amount_paise_check"),
            ({"amount_paise": 2, "gst_amount_paise": -1, "total_amount_paise": 1}, "payments_gst_amount_paise_check"),
            ({"amount_paise": 0, "gst_amount_paise": 0, "total_amount_paise": 0}, "payments_total_amount_paise_check"),
            ({"currency": "USD"}, "payments_currency_check"),
            ({"status": "paid"}, "payments_status_check"),
            ({"refunded_paise": -1}, "payments_refund_fits_status"),
            ({"refunded_paise": 1}, "payments_refund_fits_status"),
            ({**in_status("refunded"), "refunded_paise": 353881}, "payments_refund_fits_status"),
            ({**in_status("refunded"), "refunded_paise": 353883}, "payments_refund_fits_status"),
            ({**in_status("partially_refunded"), "refunded_paise": 0}, "payments_refund_fits_status"),
            ({**in_status("partially_refunded"), "refunded_paise": 353882}, "payments_refund_fits_status"),
            ({"phonepe_merchant_transaction_id": None}, "phonepe_merchant_transaction_id"),
            ({"phonepe_merchant_transaction_id": ""}, "payments_phonepe_merchant_transaction_id_check"),
            ({"payment_instrument": []}, "payments_payment_instrument_check"),
            ({"metadata": {"plan": "free", "billing_cycle": "monthly"}}, "payments_buy_a_paid_plan"),
            ({"metadata": {"plan": "gold", "billing_cycle": "monthly"}}, "payments_plan_fkey"),
            ({"metadata": {"billing_cycle": "monthly"}}, "plan"),
            ({"metadata": {"plan": "growth"}}, "billing_cycle"),
            ({"metadata": {"plan": "growth", "billing_cycle": "weekly"}}, "payments_buy_a_cycle"),
            ({"metadata": "growth"}, None),
            ({"workspace_id": None}, "workspace_id"),
            ({"user_id": None}, "user_id"),
            ({"period_start": END, "period_end": START}, "payments_period_ends_after_start"),
            ({**in_status("completed"), "completed_at": None}, "payments_completed_say_what_they_bought"),
            ({**in_status("completed"), "period_start": None}, "payments_completed_say_what_they_bought"),
            ({**in_status("refunded"), "period_end": None}, "payments_completed_say_what_they_bought"),
        ],
    )
    def test_bad(self, db: Database, person: Person, changes: dict[str, Any], constraint: str | None) -> None:
        if constraint is None:
            with pytest.raises(psycopg.DatabaseError), db.transaction():
                insert(db, "payments", **payment(person, **changes))
            return
        with refused(db, constraint):
            insert(db, "payments", **payment(person, **changes))

    @pytest.mark.parametrize("column", ["phonepe_merchant_transaction_id", "phonepe_transaction_id"])
    def test_provider_ids_are_unique(self, db: Database, person: Person, column: str) -> None:
        insert(db, "payments", **payment(person, **{column: "T1"}))
        with refused(db, f"payments_{column}_key"):
            insert(db, "payments", **payment(sign_up(db), **{column: "T1"}))

    def test_workspace_and_subscription_belong_to_the_user(self, db: Database, person: Person) -> None:
        other = sign_up(db)
        with refused(db, "payments_workspace_id_user_id_fkey"):
            insert(db, "payments", **payment(person, workspace_id=other.workspace_id))
        with refused(db, "payments_subscription_id_user_id_fkey"):
            insert(db, "payments", **payment(person, subscription_id=other.subscription_id))
        insert(db, "payments", **payment(person, subscription_id=person.subscription_id))

    def test_a_payment_outlives_its_subscription(self, db: Database, person: Person) -> None:
        row = insert(db, "payments", **payment(person, subscription_id=person.subscription_id))
        db.execute("delete from subscriptions where id = %s", (person.subscription_id,))
        left = one(db, "select subscription_id, user_id from payments where id = %s", row["id"])
        assert (left["subscription_id"], str(left["user_id"])) == (None, person.user_id)

    @pytest.mark.parametrize(("before", "after"), sorted(set(product(STATUSES, STATUSES))))
    def test_status_moves(self, db: Database, person: Person, before: str, after: str) -> None:
        row = insert(db, "payments", **payment(person, **in_status(before)))
        if before == after or (before, after) in MOVES:
            assert update(db, "payments", row, **in_status(after))["status"] == after
        else:
            with refused(db, "payments_status_moves"):
                update(db, "payments", row, **in_status(after))

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount_paise": 1, "gst_amount_paise": 0, "total_amount_paise": 1},
            {"metadata": {"plan": "enterprise", "billing_cycle": "monthly"}},
            {"phonepe_merchant_transaction_id": "RF-other"},
        ],
    )
    def test_the_order_is_fixed(self, db: Database, person: Person, changes: dict[str, Any]) -> None:
        row = insert(db, "payments", **payment(person))
        with refused(db, "payments_order_is_fixed"):
            update(db, "payments", row, **changes)

    def test_the_owner_is_fixed(self, db: Database, person: Person) -> None:
        row, other = insert(db, "payments", **payment(person)), sign_up(db)
        with refused(db, "payments_order_is_fixed"):
            update(db, "payments", row, user_id=other.user_id, workspace_id=other.workspace_id)

    def test_refunds_only_grow(self, db: Database, person: Person) -> None:
        row = insert(db, "payments", **payment(person, **in_status("partially_refunded")))
        update(db, "payments", row, refunded_paise=200)
        with refused(db, "payments_refund_grows"):
            update(db, "payments", row, refunded_paise=100)
