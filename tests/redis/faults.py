"""What may happen to a command on its way: a process that dies before or after it, an answer that is lost.

with faults("ok", "dies after"):
    with pytest.raises(Died):
        await service.operation()      # its first request is answered; its second is executed, then it is dead
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import patch

from common.errors import Unavailable
from common.redis.batching import Batcher
from common.redis.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator

Fate = Literal["ok", "not sent", "answer lost", "dies before", "dies after"]
FATES: tuple[Fate, ...] = ("ok", "not sent", "answer lost", "dies before", "dies after")


class Died(BaseException):
    """The process is gone: nothing that catches errors may go on."""


@contextmanager
def faults(*fates: Fate) -> Iterator[None]:
    """Give each request to Redis (a command, a script or a pipeline) its fate, in order; further ones are answered."""
    coming = iter(fates)
    submit = Batcher.submit

    async def fated(batcher: Batcher, payload: bytes, commands: int, **options: Any) -> list[Any]:
        fate = next(coming, "ok")
        if fate == "not sent":
            raise Unavailable("not sent, as the test wants it")
        if fate == "dies before":
            raise Died
        answers = await submit(batcher, payload, commands, **options)
        if fate == "answer lost":
            raise OutcomeUnknown("sent, and the answer lost, as the test wants it")
        if fate == "dies after":
            raise Died
        return answers

    with patch.object(Batcher, "submit", fated):
        yield
