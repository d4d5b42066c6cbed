"""Every operation of the table of costs in ``common/redis/README.md``: made ready, and then run once to be counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeAlias

from common.redis import keys
from common.redis.atomic import AtomicOperations
from common.redis.backup import RedisBackup
from common.redis.cache import CacheService
from common.redis.client import redis_client
from common.redis.health import RedisHealthChecker
from common.redis.locks import DistributedLock
from common.redis.metrics import RedisMetrics
from common.redis.pubsub import PubSubService
from common.redis.queue import QueueService
from common.redis.queue_models import NewJob
from common.redis.rate_limit import RateLimitService
from common.redis.rate_limit_models import Limit
from common.redis.session import SessionService
from common.redis.spending import Reservation, SpendingBudget
from common.redis.usage import UsageTracker

Run: TypeAlias = Callable[[], Awaitable[Any]]
Prepare: TypeAlias = Callable[[], Awaitable[Run]]

ENDPOINT = "/api/v1/muse/generate"
CENT = Decimal("0.01")


async def rate_allowed() -> Run:
    return lambda: RateLimitService().check_limit("u", ENDPOINT, 5, 60)


async def rate_refused() -> Run:
    await (await rate_allowed())()
    return lambda: RateLimitService().check_limit("u", ENDPOINT, 1, 60)


async def rate_refused_again() -> Run:
    refused = await rate_refused()
    await refused()
    return refused


async def rate_of_two() -> Run:
    limits = [Limit("u", name, 5, 60) for name in (ENDPOINT, "daily")]
    return lambda: RateLimitService().check_limits(limits)


async def rate_peek() -> Run:
    return lambda: RateLimitService().peek("u", ENDPOINT, 5, 60)


async def usage_recorded() -> Run:
    def record() -> Awaitable[Any]:
        return UsageTracker().record_usage("w", 10, CENT, "muse")

    await record()
    return record


async def usage_recorded_once() -> Run:
    await (await usage_recorded())()
    await UsageTracker().record_usage("w", 10, CENT, "muse", event_id="first")
    return lambda: UsageTracker().record_usage("w", 10, CENT, "muse", event_id="second")


async def usage_read() -> Run:
    await (await usage_recorded())()
    return lambda: UsageTracker().get_usage("w")


def _reserve() -> Awaitable[Reservation]:
    return SpendingBudget().reserve("u", CENT, limit=Decimal(1), spent=Decimal(0))


async def budget_reserved() -> Run:
    return _reserve


async def budget_committed() -> Run:
    held = await _reserve()
    return lambda: SpendingBudget().commit(held, CENT)


async def session_created() -> Run:
    return lambda: SessionService().create_session("u", "w")


async def session_read() -> Run:
    session_id = await SessionService().create_session("u", "w")
    return lambda: SessionService().get_session(session_id)


async def session_updated() -> Run:
    session_id = await SessionService().create_session("u", "w")
    return lambda: SessionService().update_session(session_id, {"context": {"a": 1}})


async def session_deleted() -> Run:
    session_id = await SessionService().create_session("u", "w")
    return lambda: SessionService().delete_session(session_id)


async def sessions_revoked() -> Run:
    return lambda: SessionService().revoke_sessions("u")


async def cache_hit() -> Run:
    await CacheService().set("w", "k", {"a": 1})
    return lambda: CacheService().get("w", "k")


async def cache_set() -> Run:
    await CacheService().get("w", "k")
    await CacheService().set("w", "k", 1)
    return lambda: CacheService().set("w", "k", 2)


async def cache_made() -> Run:
    await CacheService().set("w", "other", 1)
    return lambda: CacheService().get_or_set("w", "k", dict, 60)


async def cache_cleared() -> Run:
    for number in range(10):
        await CacheService().set("w", str(number), number)
    return lambda: CacheService().clear_workspace("w")


async def tag_cleared() -> Run:
    return lambda: CacheService().invalidate_tag("w", "t")


async def job_enqueued() -> Run:
    await QueueService().enqueue("default", {})  # looks how many wait, as it does now and then
    return lambda: QueueService().enqueue("default", {})


async def job_taken() -> Run:
    await QueueService().enqueue("default", {})
    await QueueService().dequeue("default")
    await QueueService().enqueue("default", {})
    return lambda: QueueService().dequeue("default")


async def job_acknowledged() -> Run:
    job = await (await job_taken())()
    return lambda: QueueService().ack(job, {})


async def job_renewed() -> Run:
    job = await (await job_taken())()
    await asyncio.sleep(0.01)  # in the same millisecond there is nothing to renew
    return lambda: QueueService().heartbeat([job])


async def ten_jobs() -> Run:
    queue = QueueService()

    async def lives() -> None:
        await queue.enqueue_many("default", [NewJob({}) for _ in range(10)])
        jobs = (await queue.take("default", 10)).jobs
        assert await queue.ack_many([(job, {}) for job in jobs]) == [True] * 10

    await lives()
    return lives


async def lock() -> Run:
    async def pair() -> None:
        holder = DistributedLock()
        assert await holder.acquire("r", timeout=0, fenced=False)
        assert await holder.release("r")

    return pair


async def lock_held() -> Run:
    async def held() -> None:
        async with DistributedLock().hold("r", timeout=0) as lease:
            assert lease.fence > 0

    return held


async def lock_extended() -> Run:
    holder = DistributedLock()
    assert await holder.acquire("r")
    return lambda: holder.extend("r", 60)


async def incremented() -> Run:
    return lambda: AtomicOperations().increment(keys.metrics("n"))


async def compared_and_set() -> Run:
    await redis_client().set(keys.metrics("n"), "old")
    return lambda: AtomicOperations().compare_and_set(keys.metrics("n"), "old", "new")


async def got_and_set() -> Run:
    return lambda: AtomicOperations().get_and_set(keys.metrics("n"), "new")


async def published() -> Run:
    def publish() -> Awaitable[int]:
        return PubSubService().publish("session_events", {"type": "started"})

    await publish()
    return publish


async def liveness() -> Run:
    return RedisHealthChecker().check_connection


async def health_report() -> Run:
    return RedisHealthChecker().report


async def metrics() -> Run:
    return RedisMetrics().get_metrics


async def connection() -> Run:
    client = redis_client()
    await client.aclose()
    return client.ping


async def restored_string() -> Run:
    entry = {"type": "string", "expires_at": None, "value": "v"}
    return lambda: RedisBackup().restore_keys({keys.metrics("n"): entry})


async def restored_hash() -> Run:
    entry = {"type": "hash", "expires_at": "2999-01-01T00:00:00+00:00", "value": [["f", "v"]]}
    return lambda: RedisBackup().restore_keys({keys.metrics("n"): entry})


OPERATIONS: dict[str, Prepare] = {
    "session: create": session_created,
    "session: read, kept alive": session_read,
    "session: update, none lost": session_updated,
    "session: delete": session_deleted,
    "session: revoke all of a user": sessions_revoked,
    "rate check, allowed": rate_allowed,
    "rate check, refused": rate_refused,
    "rate check, refused again by this process": rate_refused_again,
    "rate check of two limits at once": rate_of_two,
    "rate peek": rate_peek,
    "cache hit": cache_hit,
    "cache set": cache_set,
    "cache miss, made and stored": cache_made,
    "clear_workspace, whatever its size": cache_cleared,
    "invalidate a tag": tag_cleared,
    "job: enqueue, ids that are known refused": job_enqueued,
    "job: take": job_taken,
    "job: acknowledge, with its result": job_acknowledged,
    "job: renew the leases of all that are held": job_renewed,
    "ten jobs: enqueue, take and acknowledge": ten_jobs,
    "usage record": usage_recorded,
    "usage record, once for each event": usage_recorded_once,
    "usage read, all breakdowns": usage_read,
    "budget: reserve": budget_reserved,
    "budget: commit": budget_committed,
    "lock: acquire, release": lock,
    "lock: hold, with a fencing number": lock_held,
    "lock: extend": lock_extended,
    "atomic increment": incremented,
    "atomic compare and set": compared_and_set,
    "atomic get and set": got_and_set,
    "live message: publish and keep": published,
    "health: liveness": liveness,
    "health: report": health_report,
    "metrics": metrics,
    "new connection and its first PING": connection,
    "restore a string": restored_string,
    "restore a small collection": restored_hash,
}
