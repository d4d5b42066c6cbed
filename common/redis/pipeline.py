"""Several commands as one request (R19): in parts that hold nobody up, or as a transaction.

    operations = [RedisOp(("SET", key, value, "PX", 60_000)), RedisOp(("HINCRBY", totals, day, 1))]
    stored, counted = await RedisPipeline().execute(operations)

Each operation has its own result, whatever became of the others. `RedisClient.pipeline`, which services use, is the
same with bare steps and bare answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from common.errors import RaptorFlowError, Unavailable
from common.redis.batching import shared_batcher
from common.redis.errors import CommandRefused, InvalidValue, NoScript
from common.redis.scripts import ScriptCall
from common.redis.wire import MAX_REQUEST_BYTES, Command, decode, pack, pack_internal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from common.redis.batching import Batcher

Step: TypeAlias = "Command | ScriptCall"

MAX_PART_COMMANDS = 1000
MAX_PART_BYTES = 1_000_000
MAX_TRANSACTION_COMMANDS = 10_000


@dataclass(frozen=True, slots=True)
class RedisOp:
    """One operation of a pipeline.

    Attributes:
        step: a command, ``("SET", key, value, "PX", 1000)``, or a script's run.
        idempotent: running it twice does no harm; if that is true of all, a lost connection goes unnoticed.
    """

    step: Step
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class OpResult:
    """What became of one operation.

    Attributes:
        value: its answer.
        error: why there is none.
    """

    value: Any = None
    error: RaptorFlowError | None = None

    def get(self) -> Any:
        """The answer.

        Raises:
            RaptorFlowError: there is none.
        """
        if self.error is not None:
            raise self.error
        return self.value


class RedisPipeline:
    """Many operations in one round trip; beyond 1,000 of them or a megabyte, in one for each such part.

    Example:
        >>> results = await RedisPipeline().execute([RedisOp(("GET", key), idempotent=True) for key in names])
        >>> [result.get() for result in results]
        ['1', None]
    """

    async def execute(self, operations: Sequence[RedisOp], *, transaction: bool = False) -> list[OpResult]:
        """Run ``operations`` in order; what became of each (X = how many there are, 2 more for a transaction).

        Args:
            operations: of which one that fails stops no other.
            transaction: run all of them with nobody in between, and none where one cannot be understood.

        Raises:
            InvalidValue: a command, or a whole transaction, is more than 10 MB or cannot be sent; nothing was.
            CommandRefused: a transaction was refused as a whole.
            Unavailable: nothing was executed; `OutcomeUnknown` where none of the answers came.
        """
        steps = [operation.step for operation in operations]
        idempotent = all(operation.idempotent for operation in operations)
        replies = await run(shared_batcher(), steps, transaction=transaction, idempotent=idempotent)
        return [_result(decoded(reply)) for reply in replies]


def _result(reply: Any) -> OpResult:
    return OpResult(error=reply) if isinstance(reply, RaptorFlowError) else OpResult(reply)


async def run(
    batcher: Batcher,
    steps: Sequence[Step],
    *,
    transaction: bool = False,
    idempotent: bool = False,
    seconds: float | None = None,
) -> list[Any]:
    """Run ``steps`` in order; see `RedisClient.pipeline`."""
    commands = _commands(batcher, steps)
    if transaction:
        return await _transaction(batcher, commands, idempotent=idempotent, seconds=seconds)
    replies: list[Any] = []
    for part in _parts(commands):
        try:
            replies += await batcher.submit(b"".join(part), len(part), idempotent=idempotent, seconds=seconds)
        except RaptorFlowError as error:
            if not replies:
                raise
            unsent = Unavailable("not sent: an earlier part of the pipeline failed")
            return replies + [error] * len(part) + [unsent] * (len(steps) - len(replies) - len(part))
    return await _with_texts(batcher, steps, replies, idempotent=idempotent)


def _parts(commands: list[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for command in commands:
        if part and (len(part) == MAX_PART_COMMANDS or size + len(command) > MAX_PART_BYTES):
            yield part
            part, size = [], 0
        part.append(command)
        size += len(command)
    if part:
        yield part


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
            try:
                (replies[number],) = await batcher.submit(pack(command), 1, idempotent=idempotent)
            except RaptorFlowError as error:
                replies[number] = error
    return replies


async def _transaction(
    batcher: Batcher, commands: list[bytes], *, idempotent: bool, seconds: float | None
) -> list[Any]:
    if not commands:
        return []
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
