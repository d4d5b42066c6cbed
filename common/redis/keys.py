"""Every key's name (R4), on one page; all lie below ``raptorflow:``.

R4's patterns (their braces are placeholders):

    session:{session_id}            the id hashed, so that a dump of the keys is not a set of credentials
    cache:{workspace_id}:{key}
    rate:{user_id}:{endpoint}       and its parts :{window_ms}, since windows of different lengths are counted apart
    queue:{queue_name}              and its parts :r :t :b :d :p:{job_id}
    pubsub:{channel}
    lock:{resource}                 and its fencing counter :f
    usage:{workspace_id}:{period}   and beside it usage:{workspace_id}:e:{event_id}

and ours beside them:

    session:u:{user}, session:e:{user}          a user's sessions; the epoch that revokes them all; his id hashed too
    cachegen:{workspace_id}, cachetag:{workspace_id}:{tag}    generations: what was stored under an older one is a miss
    stream:{channel}                            the last messages of a channel, to fill gaps from
    budget:{user_id}:{period}                   what is spent in a month, and held back for work that runs
    approval:{gate_id}, prefs:{workspace_id}, scratch:{session_id}, limits:{user_id}, evt:{handler}:{event_id},
    metrics:{name}, restoring:{id}

A part that comes from outside is percent-escaped, so it can neither pretend to be two, nor be a pattern or a hash tag;
one that is long is hashed. Names of queues, resources of locks and the workspaces of usage are literal hash tags,
``queue:{agent_tasks}:r``, since one script takes several of their keys; nothing else has any. (A script also takes the
logs of several limits, whose owners differ: no tag can hold them together.)
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal
from urllib.parse import quote

from common.redis.config import RedisConfig
from common.redis.errors import InvalidKey

MAX_PART_BYTES = 200
"""Of a part as it stands in a key; a longer one is replaced by its hash."""

MAX_GIVEN_CHARACTERS = 4096

PROBE = RedisConfig.KEY_PREFIX + "probe"
"""Never exists: the client asks with it what a server knows."""

_PLAIN = "/-_.~@+=,!"
_AS_IT_IS = re.compile(rf"[A-Za-z0-9{re.escape(_PLAIN)}]{{1,{MAX_PART_BYTES}}}")


def session(session_id: str) -> str:
    """A session; the id itself never lies in a key."""
    return _below("session", hashlib.sha256(_encoded(session_id)).hexdigest())


def session_index(user: str) -> str:
    """A user's sessions, sorted by when they end at the latest; what stands for him see `common.redis.session_ids`."""
    return _key("session", "u", user)


def session_epoch(user: str) -> str:
    """What a user's sessions must carry to be valid."""
    return _key("session", "e", user)


def cache(workspace_id: str, key: str) -> str:
    """A workspace's cached value."""
    return _key("cache", workspace_id, key)


def cache_generation(workspace_id: str) -> str:
    """The generation of a workspace's cache."""
    return _key("cachegen", workspace_id)


def cache_tag(workspace_id: str, tag: str) -> str:
    """The generation of a tag."""
    return _key("cachetag", workspace_id, tag)


def rate(user_id: str, endpoint: str) -> str:
    """A user's requests to an endpoint."""
    return _key("rate", user_id, endpoint)


def rate_window(user_id: str, endpoint: str, window_ms: int) -> str:
    """The log of a user's requests to an endpoint, for windows of one length."""
    return f"{rate(user_id, endpoint)}:{window_ms}"


def queue(queue_name: str, part: Literal["r", "t", "b", "d", ""] = "") -> str:
    """A job queue, or a part of it: ready, timers, bodies, dead letters."""
    whole = _tagged("queue", queue_name)
    return f"{whole}:{part}" if part else whole


def queue_progress(queue_name: str, job_id: str) -> str:
    """How far a job is."""
    return f"{_tagged('queue', queue_name)}:p:{_part(job_id)}"


def pubsub(channel: str) -> str:
    """A live channel."""
    return _key("pubsub", channel)


def stream(channel: str) -> str:
    """The last messages of a channel."""
    return _key("stream", channel)


def lock(resource: str) -> str:
    """A lock."""
    return _tagged("lock", resource)


def lock_fence(resource: str) -> str:
    """The number of a lock's last holder."""
    return f"{_tagged('lock', resource)}:f"


def usage(workspace_id: str, period: str) -> str:
    """A workspace's usage in a month, ``2026-11``."""
    return f"{_tagged('usage', workspace_id)}:{_part(period)}"


def usage_event(workspace_id: str, event_id: str) -> str:
    """That an event's usage is counted, whatever the month."""
    return f"{_tagged('usage', workspace_id)}:e:{_part(event_id)}"


def budget(user_id: str, period: str) -> str:
    """What a user has spent and held back in a month, ``2026-11``."""
    return _key("budget", user_id, period)


def approval(gate_id: str) -> str:
    """The copy of an open approval."""
    return _key("approval", gate_id)


def prefs(workspace_id: str) -> str:
    """The copy of a workspace's preferences."""
    return _key("prefs", workspace_id)


def scratch(session_id: str) -> str:
    """What a session's agents note for each other; the id hashed as in `session`."""
    return _below("scratch", hashlib.sha256(_encoded(session_id)).hexdigest())


def limits(user_id: str) -> str:
    """That a user has used up a budget."""
    return _key("limits", user_id)


def event(handler: str, event_id: str) -> str:
    """That a handler has seen an event."""
    return _key("evt", handler, event_id)


def metrics(name: str) -> str:
    """Figures for a dashboard."""
    return _key("metrics", name)


def restoring(part: str) -> str:
    """Where a restore puts a collection together."""
    return _key("restoring", part)


def _key(kind: str, *parts: str) -> str:
    return _below(kind, *map(_part, parts))


def _tagged(kind: str, name: str) -> str:
    return _below(kind, f"{{{_part(name)}}}")


def _below(*parts: str) -> str:
    return RedisConfig.KEY_PREFIX + ":".join(parts)


def _part(value: str) -> str:
    """One part, escaped; the hash of a long one is marked by what no escaped part contains, a ``%s``."""
    encoded = _encoded(value)
    if _AS_IT_IS.fullmatch(value):  # nearly every one, in a third of the time
        return value
    escaped = quote(encoded, safe=_PLAIN)
    return escaped if len(escaped) <= MAX_PART_BYTES else "%sha256-" + hashlib.sha256(encoded).hexdigest()


def _encoded(value: str) -> bytes:
    if not isinstance(value, str):
        raise InvalidKey(f"a part of a Redis key must be text, not {type(value).__name__}")
    if not value:
        raise InvalidKey("a part of a Redis key must not be empty: pass the id that it stands for")
    if len(value) > MAX_GIVEN_CHARACTERS:
        raise InvalidKey(f"a part of a Redis key may have at most {MAX_GIVEN_CHARACTERS} characters: pass a hash of it")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(f"a part of a Redis key must be Unicode without lone surrogates ({error.reason})") from None
