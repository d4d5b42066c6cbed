"""Who sells: the seller's side of every document, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from common.billing.gstin import is_gstin
from common.billing.models import Party
from common.billing.printable import is_printable, normal
from common.billing.states import STATES, WITHOUT_LEGISLATURE
from common.errors import Misconfigured

DEFAULT_SAC = "998315"
"""Hosting and IT infrastructure, which application services stand nearest to; the accountant confirms it."""
DEFAULT_RATE_BASIS_POINTS = 1800


@dataclass(frozen=True, slots=True)
class SellerConfig:
    """What the tax law wants to know about us.

    Attributes:
        party: name, address, GSTIN, state.
        sac: the Services Accounting Code of what we sell.
        rate_basis_points: of GST as a whole; 1,800 is 18 %.
        lut: number of the letter of undertaking under which exports carry no tax; empty without one.
    """

    party: Party
    sac: str = DEFAULT_SAC
    rate_basis_points: int = DEFAULT_RATE_BASIS_POINTS
    lut: str = ""

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``SELLER_*`` and ``INVOICE_SAC``, ``GST_RATE_BASIS_POINTS``.

        Raises:
            Misconfigured: a variable is missing or cannot be right.
        """
        missing = [name for name in ("SELLER_LEGAL_NAME", "SELLER_ADDRESS", "SELLER_GSTIN") if not os.environ.get(name)]
        if missing:
            raise Misconfigured(f"set {', '.join(missing)}: without them no invoice can be issued")
        name, address = normal(os.environ["SELLER_LEGAL_NAME"]), address_lines(os.environ["SELLER_ADDRESS"])
        sac, lut = os.environ.get("INVOICE_SAC") or DEFAULT_SAC, os.environ.get("SELLER_LUT", "")
        if not all(map(is_printable, (name, *address, sac, lut))):  # found now, not when a number is taken already
            raise Misconfigured("SELLER_* and INVOICE_SAC must be in Latin letters: the fonts have no others")
        gstin = os.environ["SELLER_GSTIN"]
        if not is_gstin(gstin):
            raise Misconfigured("SELLER_GSTIN is not a valid GSTIN")
        if gstin[:2] in WITHOUT_LEGISLATURE:
            raise Misconfigured("SELLER_GSTIN is of a territory that charges UTGST, which these documents do not know")
        rate = os.environ.get("GST_RATE_BASIS_POINTS") or str(DEFAULT_RATE_BASIS_POINTS)
        if not rate.isdecimal() or int(rate) % 2:
            raise Misconfigured("GST_RATE_BASIS_POINTS must be an even whole number: 1800 is 18 %")
        return cls(
            party=Party(
                legal_name=name,
                address=address,
                gstin=gstin,
                state_code=gstin[:2],
                state_name=STATES[gstin[:2]],
                country="IN",
                email=os.environ.get("SENDER_EMAIL_ADDRESS", ""),
            ),
            sac=sac,
            rate_basis_points=int(rate),
            lut=lut,
        )


def address_lines(text: str) -> tuple[str, ...]:
    """An address as lines; in an environment variable a ``|`` separates them.

    Example:
        >>> address_lines("12 MG Road | Bengaluru 560001")
        ('12 MG Road', 'Bengaluru 560001')
    """
    return tuple(normal(line) for line in text.replace("|", "\n").splitlines() if line.strip())
