"""A process that asks the cache for one value by many callers at once: ``python -m tests.redis.cache_caller FILE``.

It says that it is ready, and for each line that it reads prints what its callers got. The factory appends its
process's number to FILE.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from common.redis import CacheService
from common.redis.cache_refresh import Pace
from common.redis.client import redis_client

CALLERS = 25
LEASE_SECONDS = 2.0


async def main(path: Path) -> None:
    cache = CacheService(pace=Pace(lease=LEASE_SECONDS))
    await redis_client().ping()

    async def factory() -> dict[str, int]:
        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        await asyncio.sleep(0.3)
        return {"made by": os.getpid()}

    print("ready", flush=True)  # noqa: T201 - to who started it
    while await asyncio.to_thread(sys.stdin.readline):
        calls = (cache.get_or_set("w", "k", factory, 60, tags=["t"]) for _ in range(CALLERS))
        print(json.dumps(await asyncio.gather(*calls)), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
