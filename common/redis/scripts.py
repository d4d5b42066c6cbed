"""Lua scripts: one `Script` each, below `common.redis.lua`; run with `RedisClient.run` or as part of a pipeline.

Rules, which tests hold: every key is in KEYS; nothing but the standard library of Lua and ``cjson`` (no ``struct``,
``bit``, ``cmsgpack``: other servers lack them); no shebang (the client adds Upstash's); time comes from the caller.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.redis.wire import Argument, Command

_KEY_LOCKING = "#!lua flags=allow-key-locking\n"


@dataclass(frozen=True)
class Script:
    """A script; static text, so that servers compile it once.

    Attributes:
        name: for logs and errors.
        source: Lua.
        keys: how many it takes; None where that varies.

    Example:
        >>> BUMP = Script("bump", "return redis.call('INCRBY', KEYS[1], ARGV[1])", keys=1)
        >>> await redis_client().run(BUMP, [key], [5])
        5
    """

    name: str
    source: str
    keys: int | None = 1

    @functools.cached_property
    def sha(self) -> str:
        """What servers but Upstash know it by."""
        return _sha(self.source)

    @functools.cached_property
    def locking_sha(self) -> str:
        """What Upstash knows it by."""
        return _sha(_KEY_LOCKING + self.source)

    def text(self, *, key_locking: bool) -> str:
        """The source, with Upstash's header where it is wanted: without it a script stops the whole database."""
        return _KEY_LOCKING + self.source if key_locking else self.source

    def by_sha(self, keys: Sequence[str], arguments: Sequence[Argument], *, key_locking: bool) -> Command:
        """The command that runs it where it is known.

        Raises:
            ValueError: it takes another number of keys.
        """
        self._check(keys)
        return ("EVALSHA", self.locking_sha if key_locking else self.sha, len(keys), *keys, *arguments)

    def by_text(self, keys: Sequence[str], arguments: Sequence[Argument], *, key_locking: bool) -> Command:
        """The command that runs it anywhere, and makes it known.

        Raises:
            ValueError: it takes another number of keys.
        """
        self._check(keys)
        return ("EVAL", self.text(key_locking=key_locking), len(keys), *keys, *arguments)

    def _check(self, keys: Sequence[str]) -> None:
        if self.keys is not None and len(keys) != self.keys:
            raise ValueError(f"script {self.name} takes {self.keys} keys, not {len(keys)}")


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script's run as a part of a pipeline.

    Attributes:
        script: which.
        keys: its KEYS.
        arguments: its ARGV.
    """

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument] = ()


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
