"""A customer and a checkout, made the way the product's API would make them."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from common import ids


@dataclass(frozen=True)
class Customer:
    """A founder who signed up."""

    user_id: str
    workspace_id: str


@dataclass(frozen=True)
class Checkout:
    """An order that waits for money, here and at PhonePe."""

    user_id: str
    workspace_id: str
    payment_id: str
    merchant_order_id: str
    redirect_url: str

    async def pay(self, **changes: Any) -> None:
        """Let the customer pay at PhonePe; ``changes`` to the order otherwise (``state``, ``amount`` …)."""
        async with _phonepe() as client:
            answer = await client.patch(
                f"/_local/orders/{self.merchant_order_id}", json=changes or {"state": "COMPLETED"}
            )
            answer.raise_for_status()

    async def send_webhook(self, url: str, **options: Any) -> int:
        """Have PhonePe post its webhook to ``url``; what it was answered."""
        async with _phonepe() as client:
            answer = await client.post(
                f"/_local/orders/{self.merchant_order_id}/webhook",
                json={"url": url, "mode": os.environ.get("PHONEPE_WEBHOOK_MODE", "hmac"), **options},
                timeout=30,
            )
            answer.raise_for_status()
        status: int = answer.json()["status"]
        return status


@dataclass(frozen=True)
class Billing:
    """Who is billed; a Tamil Nadu consumer unless told otherwise."""

    legal_name: str = "Asha Raman"
    address: str = "7 Besant Avenue\nChennai 600020"
    state_code: str | None = "33"
    gstin: str | None = None
    country: str = "IN"
    special_economic_zone: bool = False
    email: str | None = None


def create_customer(database_url: str, email: str | None = None, billing: Billing | None = Billing()) -> Customer:
    """Sign a user up, who tells whom to bill; the database's own triggers make the workspace and free subscription."""
    user_id = ids.new_id()
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        connection.execute(
            "insert into auth.users (id, email) values (%s, %s)",
            (user_id, email or f"founder-{user_id[:8]}@example.com"),
        )
        row = connection.execute("select id from workspaces where user_id = %s", (user_id,)).fetchone()
        if billing is not None:
            set_billing_profile(connection, user_id, billing)
    if row is None:
        raise LookupError("signing up made no workspace")
    return Customer(user_id, str(row["id"]))


def set_billing_profile(connection: psycopg.Connection[Any], user_id: str, billing: Billing) -> None:
    """Write, or replace, whom to bill, as the product's settings page does."""
    connection.execute(
        """
        insert into billing_profiles
            (user_id, legal_name, address, state_code, gstin, country, special_economic_zone, email)
        values (%(user)s, %(legal_name)s, %(address)s, %(state_code)s, %(gstin)s, %(country)s, %(sez)s, %(email)s)
        on conflict (user_id) do update
        set legal_name = excluded.legal_name, address = excluded.address, state_code = excluded.state_code,
            gstin = excluded.gstin, country = excluded.country, email = excluded.email,
            special_economic_zone = excluded.special_economic_zone
        """,
        {**asdict(billing), "user": user_id, "sez": billing.special_economic_zone},
    )


async def start_checkout(
    database_url: str, customer: Customer, *, plan: str = "growth", billing_cycle: str = "monthly"
) -> Checkout:
    """Make the payment's row, then the order at PhonePe, as ``POST /payments`` of the product does."""
    payment_id, order_id = ids.new_id(), f"RF-{ids.new_id()[:18]}"
    total = await asyncio.to_thread(_insert_payment, database_url, customer, payment_id, order_id, plan, billing_cycle)
    async with _phonepe() as client:
        answer = await client.post(
            "/checkout/v2/pay",
            headers={"Authorization": f"O-Bearer {await _token(client)}"},
            json={
                "merchantOrderId": order_id,
                "amount": total,
                "metaInfo": {"udf1": plan, "udf2": billing_cycle},
                "paymentFlow": {"type": "PG_CHECKOUT", "merchantUrls": {"redirectUrl": "https://app.example.com/paid"}},
            },
        )
        answer.raise_for_status()
    return Checkout(customer.user_id, customer.workspace_id, payment_id, order_id, answer.json()["redirectUrl"])


def payment_state(database_url: str, checkout: Checkout) -> dict[str, Any]:
    """What our rows say of a checkout, in one look."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        row = connection.execute(
            """
            select p.status, p.period_start, p.period_end, p.completed_at, p.phonepe_transaction_id,
                   s.plan, s.status as subscription_status, s.current_period_start, s.current_period_end,
                   u.subscription_tier, u.budget_limit_monthly_micro_usd, u.email,
                   i.number as invoice_number, i.pdf_object, i.pdf_sha256, i.mailed_at,
                   (select count(*) from event_outbox o where o.workspace_id = p.workspace_id) as events,
                   (select count(*) from event_outbox o
                    where o.workspace_id = p.workspace_id and published_at is null) as unpublished
            from payments p join users u on u.id = p.user_id left join subscriptions s on s.user_id = p.user_id
            left join invoices i on i.payment_id = p.id
            where p.id = %s and p.workspace_id = %s
            """,
            (checkout.payment_id, checkout.workspace_id),
        ).fetchone()
    if row is None:
        raise LookupError("the payment's row is gone")
    return row


def _insert_payment(
    database_url: str, customer: Customer, payment_id: str, order_id: str, plan: str, billing_cycle: str
) -> int:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        row = connection.execute(
            """
            with price as (
                select case %(cycle)s when 'annual' then annual_price_paise else monthly_price_paise end as amount
                from plans where plan = %(plan)s
            )
            insert into payments (id, workspace_id, user_id, amount_paise, gst_amount_paise, total_amount_paise,
                                  phonepe_merchant_transaction_id, metadata)
            select %(id)s, %(workspace)s, %(user)s, amount, round(amount * 0.18), amount + round(amount * 0.18),
                   %(order)s, %(metadata)s::jsonb
            from price returning total_amount_paise
            """,
            {
                "cycle": billing_cycle,
                "plan": plan,
                "id": payment_id,
                "workspace": customer.workspace_id,
                "user": customer.user_id,
                "order": order_id,
                "metadata": json.dumps({"plan": plan, "billing_cycle": billing_cycle}),
            },
        ).fetchone()
    if row is None:
        raise LookupError(f"there is no plan called {plan}")
    total: int = row["total_amount_paise"]
    return total


def _phonepe() -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=os.environ["PHONEPE_BASE_URL"])


async def _token(client: httpx.AsyncClient) -> str:
    answer = await client.post(
        "/v1/oauth/token",
        data={
            "client_id": os.environ["PHONEPE_CLIENT_ID"],
            "client_version": os.environ["PHONEPE_CLIENT_VERSION"],
            "client_secret": os.environ["PHONEPE_CLIENT_SECRET"],
            "grant_type": "client_credentials",
        },
    )
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token
