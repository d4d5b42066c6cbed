# ruff: noqa: S608 - the names in these queries are the tests' own

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from common import ids
from tests.supabase.rows import Database, Person, insert, one, refused, sign_up, update

if TYPE_CHECKING:
    from psycopg.rows import DictRow


def test_plans_are_the_four_of_the_price_list(db: Database) -> None:
    rows = db.execute("select * from plans order by rank").fetchall()
    assert [
        (
            row["plan"],
            row["monthly_price_paise"],
            row["annual_price_paise"],
            row["ai_budget_micro_usd"],
        )
        for row in rows
    ] == [
        ("free", 0, 0, 1_000_000),
        ("starter", 799_00, 7_990_00, 10_000_000),
        ("growth", 2_999_00, 29_990_00, 50_000_000),
        ("enterprise", 9_999_00, 99_990_00, 200_000_000),
    ]
    assert all(row["annual_price_paise"] == 10 * row["monthly_price_paise"] for row in rows)


def test_a_sign_up_makes_user_workspace_and_free_subscription(db: Database) -> None:
    person = sign_up(db, "asha@example.com", full_name=" Asha Rao ", avatar_url="https://example.com/a.png")
    user = one(db, "select * from users where id = %s", person.user_id)
    assert (user["email"], user["full_name"], user["avatar_url"]) == (
        "asha@example.com",
        "Asha Rao",
        "https://example.com/a.png",
    )
    assert (user["subscription_tier"], user["budget_limit_monthly_micro_usd"]) == ("free", 1_000_000)
    assert (user["onboarding_completed_at"], user["preferences"]) == (None, {})
    workspace = one(db, "select * from workspaces where user_id = %s", person.user_id)
    assert workspace["name"] == "Asha Rao's workspace"
    assert workspace["settings"] == {"timezone": "Asia/Kolkata", "currency": "INR", "language": "en"}
    subscription = one(db, "select * from subscriptions where user_id = %s", person.user_id)
    assert (subscription["plan"], subscription["status"], subscription["price_paise"]) == ("free", "active", 0)
    assert subscription["billing_cycle"] is None


@pytest.mark.parametrize(
    "metadata", [{}, {"full_name": "   "}, {"full_name": "x" * 5000, "avatar_url": "y" * 5000}, {"full_name": [1]}]
)
def test_no_metadata_of_a_sign_up_can_make_it_fail(db: Database, metadata: dict[str, Any]) -> None:
    sign_up(db, **metadata)


def test_a_sign_up_without_metadata_at_all(db: Database) -> None:
    insert(db, "auth.users", id=ids.new_id(), email="a@example.com", raw_user_meta_data=None)


def test_a_sign_up_without_an_address_is_refused(db: Database) -> None:
    with refused(db, "email"):
        sign_up(db, None)


def test_a_user_who_exists_already_does_not_stop_the_sign_up(db: Database, person: Person) -> None:
    db.execute("alter table auth.users disable trigger on_auth_user_created")
    new = ids.new_id()
    insert(db, "auth.users", id=new, email="b@example.com")
    insert(db, "users", id=new, email="b@example.com")
    db.execute("alter table auth.users enable trigger on_auth_user_created")
    assert one(db, "select count(*) as n from workspaces where user_id = %s", new)["n"] == 1


def test_deleting_the_account_deletes_what_hangs_on_it(db: Database, person: Person) -> None:
    db.execute("delete from auth.users where id = %s", (person.user_id,))
    for table in ("users", "workspaces", "subscriptions"):
        assert db.execute(f"select * from {table}".encode()).fetchall() == []


def test_updated_at_follows_an_update(db: Database, person: Person) -> None:
    user: DictRow = one(db, "update users set updated_at = 'epoch' where id = %s returning *", person.user_id)
    assert user["updated_at"] == one(db, "select now() as now")["now"]


@pytest.mark.parametrize("slug", ["ws-0123abcd", "ws-ffffffff"])
def test_good_slugs(db: Database, person: Person, slug: str) -> None:
    insert(db, "workspaces", user_id=person.user_id, name="Second", slug=slug)


@pytest.mark.parametrize(
    "slug", ["ws-0123ABCD", "ws-0123abc", "ws-0123abcde", "0123abcd", "ws-0123abcg", "", "ws-0123abcd\n"]
)
def test_bad_slugs(db: Database, person: Person, slug: str) -> None:
    with refused(db, "workspaces_slug_check"):
        insert(db, "workspaces", user_id=person.user_id, name="Second", slug=slug)


def test_two_workspaces_cannot_share_a_slug(db: Database, person: Person) -> None:
    insert(db, "workspaces", user_id=person.user_id, name="Second", slug="ws-0123abcd")
    with refused(db, "workspaces_slug_key"):
        insert(db, "workspaces", user_id=person.user_id, name="Third", slug="ws-0123abcd")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"subscription_tier": "gold"}, "users_subscription_tier_fkey"),
        ({"budget_limit_monthly_micro_usd": -1}, "users_budget_limit_monthly_micro_usd_check"),
        ({"preferences": [1]}, "users_preferences_check"),
        ({"email": ""}, "users_email_check"),
        ({"email": None}, "email"),
    ],
)
def test_bad_users(db: Database, person: Person, changes: dict[str, Any], constraint: str) -> None:
    with refused(db, constraint):
        update(db, "users", {"id": person.user_id}, **changes)


def test_a_good_user(db: Database, person: Person) -> None:
    changed = update(
        db,
        "users",
        {"id": person.user_id},
        subscription_tier="growth",
        budget_limit_monthly_micro_usd=0,
        preferences={"theme": "dark"},
    )
    assert changed["subscription_tier"] == "growth"


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"plan": "Gold!"}, "plans_plan_check"),
        ({"rank": 1}, "plans_rank_key"),
        ({"monthly_price_paise": -1}, "plans_monthly_price_paise_check"),
        ({"annual_price_paise": -1}, "plans_annual_price_paise_check"),
        ({"ai_budget_micro_usd": -1}, "plans_ai_budget_micro_usd_check"),
        ({"plan": "free"}, "plans_pkey"),
    ],
)
def test_bad_plans(db: Database, changes: dict[str, Any], constraint: str) -> None:
    prices = {"monthly_price_paise": 1, "annual_price_paise": 10, "ai_budget_micro_usd": 1}
    good = {"plan": "team", "display_name": "Team", "rank": 9, **prices}
    with refused(db, constraint):
        insert(db, "plans", **{**good, **changes})
    insert(db, "plans", **good)


def test_a_plan_in_use_cannot_be_deleted(db: Database, person: Person) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        db.execute("delete from plans where plan = 'free'")
