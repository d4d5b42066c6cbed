"""GST on one payment: where the supply happens, which heads apply, and what they amount to (domain 3.6).

Engineering, not advice: rate, code and undertaking are configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from common.billing.gstin import is_gstin
from common.billing.models import Party, SupplyType, TaxHead
from common.billing.states import ABROAD, OLD, STATES
from common.errors import RaptorFlowError

if TYPE_CHECKING:
    from common.billing.config import SellerConfig

Reason = Literal[
    "no_profile",
    "no_state",
    "unknown_state",
    "invalid_gstin",
    "state_contradicts_gstin",
    "zone_without_gstin",
    "unprintable",
]
"""Why a buyer must be asked; ``unprintable``: a name or address that is not in Latin letters."""

ON_PAYMENT = "ON PAYMENT OF INTEGRATED TAX"
WITHOUT_PAYMENT = "UNDER BOND OR LETTER OF UNDERTAKING WITHOUT PAYMENT OF INTEGRATED TAX"
_MEANT_FOR = {
    "export": "SUPPLY MEANT FOR EXPORT",
    "sez": "SUPPLY MEANT FOR SEZ UNIT OR SEZ DEVELOPER FOR AUTHORISED OPERATIONS",
}


class AmountMismatch(RaptorFlowError):  # noqa: N818 - a finding
    """What was paid is not what the tax comes to; nothing may be issued before a person has looked."""


class ProfileIncomplete(RaptorFlowError):  # noqa: N818 - a finding
    """The buyer must be asked; guessing the state, say, is a penal error (Circular 242/36/2024).

    Attributes:
        reason: what of it.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the billing profile is incomplete: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tax:
    """The tax on one payment.

    Attributes:
        supply_type: what kind of supply.
        heads: which taxes, and how much.
        round_off_paise: what is left between the heads' rounding and what was paid, one paisa at most.
        endorsement: what an export or SEZ document must say.
    """

    supply_type: SupplyType
    heads: tuple[TaxHead, ...]
    round_off_paise: int
    endorsement: str


def place_of_supply(*, country: str, gstin: str, state_code: str, special_economic_zone: bool = False) -> str:
    """The code of the state where the service is supplied: of the GSTIN, else the one the buyer stated, 96 abroad.

    Whoever is in a special economic zone is registered; without the number the supply may not be called one to it.

    Raises:
        ProfileIncomplete: it cannot be told; the seller's own state is never assumed.
    """
    if country != "IN":
        return ABROAD
    if gstin and not is_gstin(gstin):
        raise ProfileIncomplete("invalid_gstin")
    if gstin and state_code and gstin[:2] != state_code:
        raise ProfileIncomplete("state_contradicts_gstin")
    if special_economic_zone and not gstin:
        raise ProfileIncomplete("zone_without_gstin")
    code = gstin[:2] or state_code
    if not code:
        raise ProfileIncomplete("no_state")
    if code not in STATES or code == ABROAD or (code in OLD and not gstin):
        raise ProfileIncomplete("unknown_state")
    return code


def tax_on(
    *, taxable_paise: int, gst_paise: int, seller: SellerConfig, buyer: Party, special_economic_zone: bool = False
) -> Tax:
    """The tax on a payment of ``taxable_paise`` that was charged ``gst_paise`` of GST.

    A supply abroad or to a special economic zone is zero-rated if no tax was charged, which needs a letter of
    undertaking; if tax was charged, it is an export with payment of integrated tax: what was paid decides.

    Raises:
        AmountMismatch: what was charged is more than one paisa from what the heads come to.
    """
    supply_type = _supply_type(seller.party, buyer, special_economic_zone=special_economic_zone)
    zero_rated = supply_type in _MEANT_FOR and gst_paise == 0
    if zero_rated and not seller.lut:
        raise AmountMismatch("no tax was charged on an export, and there is no letter of undertaking")
    heads = () if zero_rated else _heads(supply_type, taxable_paise, seller.rate_basis_points)
    round_off = gst_paise - sum(head.amount_paise for head in heads)
    if abs(round_off) > 1:
        raise AmountMismatch(f"the tax charged is {round_off} paise from the tax due")
    return Tax(supply_type, heads, round_off, _endorsement(supply_type, seller.lut if zero_rated else None))


def half_up(amount: int, basis_points: int) -> int:
    """``basis_points`` of ``amount``, rounded half up to the paisa.

    Example:
        >>> half_up(51_371, 1800), half_up(51_371, 900)
        (9247, 4623)
    """
    return (amount * basis_points + 5_000) // 10_000


def _supply_type(seller: Party, buyer: Party, *, special_economic_zone: bool) -> SupplyType:
    if buyer.state_code == ABROAD:
        return "export"
    if special_economic_zone:
        return "sez"  # always between states, even next door
    return "intra" if buyer.state_code == seller.state_code else "inter"


def _heads(supply_type: SupplyType, taxable_paise: int, rate: int) -> tuple[TaxHead, ...]:
    if supply_type != "intra":
        return (TaxHead("IGST", rate, half_up(taxable_paise, rate)),)
    each = half_up(taxable_paise, rate // 2)
    return (TaxHead("CGST", rate // 2, each), TaxHead("SGST", rate // 2, each))


def _endorsement(supply_type: SupplyType, lut: str | None) -> str:
    if supply_type not in _MEANT_FOR:
        return ""
    return f"{_MEANT_FOR[supply_type]} {f'{WITHOUT_PAYMENT} (LUT {lut})' if lut else ON_PAYMENT}"
