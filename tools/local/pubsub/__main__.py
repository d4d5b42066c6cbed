"""A local Pub/Sub by itself: ``python -m tools.local.pubsub --port 8085``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tools.local.pubsub.server import start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_PORT = 8085
"""The port of Google's emulator."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until interrupted; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.local.pubsub",
        description="Google Pub/Sub on this machine, in memory: whatever it holds is gone when it stops.",
        epilog="Pushes carry OIDC tokens signed with a key that is made at the start and published nowhere.",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    options = parser.parse_args(arguments)
    return asyncio.run(_serve(options.host, options.port))


async def _serve(host: str, port: int) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        server = await start(port, sign=_throwaway_signer(), host=host)
    except RuntimeError as error:
        print(f"cannot listen on {host}:{port}: {error}\nchoose another with --port", file=sys.stderr)
        return 1
    print(f"export PUBSUB_EMULATOR_HOST={host}:{server.port}", flush=True)
    await stopped.wait()
    await server.stop()
    return 0


def _throwaway_signer() -> Callable[[str, str], str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def sign(email: str, audience: str) -> str:
        issued = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "sub": email,
            "email": email,
            "email_verified": True,
            "aud": audience,
            "iat": issued,
            "exp": issued + 3600,
        }
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "throw-away"})

    return sign


if __name__ == "__main__":
    sys.exit(main())
