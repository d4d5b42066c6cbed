"""What was used, in tokens and US dollars (R12): `Decimal` here, whole millionths in Redis, never a float."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from common.errors import InvalidInput

MAX_USD = 1_000_000
MAX_TOKENS = 10**12
MAX_PLACES = 18


def to_micros(cost: Decimal, what: str = "a cost") -> int:
    """Dollars as whole millionths, rounded up: a budget errs on the safe side.

    Raises:
        InvalidInput: it is no finite `Decimal` from 0 to a million, or has more than 18 decimal places.

    Example:
        >>> to_micros(Decimal("0.0000001"))
        1
    """
    if type(cost) is not Decimal or not cost.is_finite():
        raise InvalidInput(f"{what} must be a finite Decimal of US dollars, such as Decimal('0.015')")
    exponent = cost.as_tuple().exponent
    if not 0 <= cost <= MAX_USD or not isinstance(exponent, int) or exponent < -MAX_PLACES:
        raise InvalidInput(f"{what} must be from 0 to {MAX_USD} US dollars with at most {MAX_PLACES} decimal places")
    numerator, denominator = cost.as_integer_ratio()
    return -(-numerator * 1_000_000 // denominator)


def to_usd(micros: int) -> Decimal:
    """Millionths, as Redis and Postgres keep them, as dollars.

    Example:
        >>> to_usd(1_500_000)
        Decimal('1.500000')
    """
    return Decimal(f"{micros}E-6")  # exact, in whatever context


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens and what they cost, in US dollars."""

    tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What Postgres knows of a workspace's limits; a budget is its owner's, whose other workspaces share it.

    Attributes:
        limit_cost: US dollars a month; None for no limit.
        limit_tokens: tokens a month; None for no limit.
        shared_with: the owner's other workspaces.
        spent: by all of them this month, as far as Postgres knows: what Redis may have lost counts all the same.
    """

    limit_cost: Decimal | None
    limit_tokens: int | None = None
    shared_with: tuple[str, ...] = ()
    spent: Amount = field(default_factory=Amount)


@dataclass(frozen=True, slots=True)
class UsageStats:
    """A workspace's month.

    Attributes:
        period: ``2026-11``; months and days are those of the billing time zone.
        total_tokens: of all agents.
        total_cost: in US dollars.
        by_agent: an `Amount` for each name.
        by_day: an `Amount` for each day on which there was something, ``2026-11-25``, in order.
        limit_tokens: the owner's, for a month; None for no limit.
        limit_cost: the owner's, for a month, in US dollars; None for no limit.
        percentage_used: of the limit that is nearest, by this workspace alone; 0 where there is none.
    """

    period: str
    total_tokens: int
    total_cost: Decimal
    by_agent: dict[str, Amount]
    by_day: dict[str, Amount]
    limit_tokens: int | None
    limit_cost: Decimal | None
    percentage_used: Decimal
