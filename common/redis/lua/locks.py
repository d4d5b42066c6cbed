"""Take a lock together with its fencing number; see `common.redis.locks`."""

from __future__ import annotations

from common.redis.scripts import Script

ACQUIRE_FENCED = Script(
    "acquire_fenced",
    """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
local last = redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4], 'GET')
if not last or tonumber(last) < tonumber(ARGV[3]) then return ARGV[3] end
local fence = string.format('%.0f', tonumber(last) + 1)
redis.call('SET', KEYS[2], fence, 'PX', ARGV[4])
return fence
""",
    keys=2,
)
"""KEYS: the lock, its fencing number. ARGV: the holder's token, milliseconds that the lock lives, the caller's time in
microseconds, milliseconds that the number lives. Answers the number, or nothing where somebody else holds the lock.

X = 3: the time is the number, unless the last one is later still: then a clock is behind, and the next one is written
over it (X = 4). X = 2 where the lock is taken."""
