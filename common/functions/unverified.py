"""Webhooks that fail verification: counted for each source, and beyond a limit told to come later.

A webhook is verified first, always: a payment that proves its origin is never refused, whatever its address did before.
So Redis is asked for strangers only, and not for long; where it does not answer they get their 401 as ever.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from common.functions import context
from common.functions.outcomes import Rejected
from common.redis.rate_limit import RateLimitService
from common.redis.rate_limit_config import FAILED_VERIFICATIONS

if TYPE_CHECKING:
    from common.functions.outcomes import Unverified
    from common.functions.request import Request

MAX_SECONDS = 0.2
"""That a stranger may let us wait for Redis."""

UNKNOWN = "unknown"
"""The source of everybody whose address nobody told."""

_V6_PREFIX = 64
"""Of an IPv6 address: one customer has all addresses that share it."""


async def judge(request: Request, refused: Unverified) -> Rejected:
    """What an unverified request is answered: ``refused``, or 429 if its source sent too many to this function."""
    running = context.current()
    function = running.function if running else "webhook"
    result = await RateLimitService(seconds=MAX_SECONDS).check_limit(
        source_of(request), function, *FAILED_VERIFICATIONS
    )
    if result.allowed:
        return refused
    return Rejected(429, "too many requests that are not authenticated", headers=result.headers())


def source_of(request: Request) -> str:
    """The address that a request comes from; of an IPv6 address its network.

    Google's front end, which is all that lies before a function, appends the address that connected to it to whatever
    ``X-Forwarded-For`` it was sent. So the last entry is true, and those before it are what a sender likes. (Behind a
    load balancer of our own the last one would be the balancer's, and all strangers one source.)
    """
    last = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(last)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _V6_PREFIX), strict=False))
