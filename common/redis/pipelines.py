"""Several commands as one request: in parts that hold nobody up, or as a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from common.redis.errors import CommandRefused, InvalidValue, NoScript
from common.redis.scripts import ScriptCall
from common.redis.wire import MAX_REQUEST_BYTES, Command, decode, pack, pack_internal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.batching import Batcher

Step: TypeAlias = "Command | ScriptCall"

MAX_PART_COMMANDS = 1000
MAX_PART_BYTES = 1_000_000
MAX_TRANSACTION_COMMANDS = 10_000


async def run(
    batcher: Batcher,
    steps: Sequence[Step],
    *,
    transaction: bool = False,
    idempotent: bool = False,
    seconds: float | None = None,
) -> list[Any]:
    """Run ``steps`` in order; see `RedisClient.pipeline`."""
    if transaction:
        return await _transaction(batcher, steps, idempotent=idempotent, seconds=seconds)
    commands = _commands(batcher, steps)
    replies: list[Any] = []
    part: list[bytes] = []
    size = 0
    for command in commands:
        if part and (len(part) == MAX_PART_COMMANDS or size + len(command) > MAX_PART_BYTES):
            replies += await batcher.submit(b"".join(part), len(part), idempotent=idempotent, seconds=seconds)
            part, size = [], 0
        part.append(command)
        size += len(command)
    if part:
        replies += await batcher.submit(b"".join(part), len(part), idempotent=idempotent, seconds=seconds)
    return await _with_texts(batcher, steps, replies, idempotent=idempotent)


def decoded(reply: Any) -> Any:
    """`decode`, with what is not text as this step's own error."""
    try:
        return decode(reply)
    except InvalidValue as error:
        return error


def _commands(batcher: Batcher, steps: Sequence[Step]) -> list[bytes]:
    """All steps packed, so that a bad one is found before any is sent; a script's first run carries its text.

    The text makes it known for the later ones, on the same connection and in order: none can be missing.
    """
    locking = batcher.config.upstash
    known: set[str] = set()
    packed = []
    for step in steps:
        if isinstance(step, ScriptCall):
            spell = step.script.by_sha if step.script.sha in known else step.script.by_text
            packed.append(pack(spell(step.keys, step.arguments, key_locking=locking)))
            known.add(step.script.sha)
        else:
            packed.append(pack(step))
    return packed


async def _with_texts(batcher: Batcher, steps: Sequence[Step], replies: list[Any], *, idempotent: bool) -> list[Any]:
    """Run what was forgotten between the parts, by SCRIPT FLUSH or a restart, by its text: that and nothing else."""
    for number, (step, reply) in enumerate(zip(steps, replies, strict=True)):
        if isinstance(reply, NoScript) and isinstance(step, ScriptCall):
            command = step.script.by_text(step.keys, step.arguments, key_locking=batcher.config.upstash)
            (replies[number],) = await batcher.submit(pack(command), 1, idempotent=idempotent)
    return replies


async def _transaction(
    batcher: Batcher, steps: Sequence[Step], *, idempotent: bool, seconds: float | None
) -> list[Any]:
    if not steps:
        return []
    commands = _commands(batcher, steps)
    payload = b"".join([pack_internal("MULTI"), *commands, pack_internal("EXEC")])
    if len(commands) > MAX_TRANSACTION_COMMANDS or len(payload) > MAX_REQUEST_BYTES:
        raise InvalidValue(
            f"a transaction may have {MAX_TRANSACTION_COMMANDS} commands and {MAX_REQUEST_BYTES} bytes, this one has"
            f" {len(commands)} and {len(payload)}: split it"
        )
    *queued, executed = await batcher.submit(payload, len(commands) + 2, idempotent=idempotent, seconds=seconds)
    if isinstance(executed, list):
        return executed
    refused = next((reply for reply in queued if isinstance(reply, Exception)), executed)
    raise refused if isinstance(refused, Exception) else CommandRefused("the transaction was not executed", "EXECABORT")
