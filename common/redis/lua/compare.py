"""Compare and then write or delete, where the server has no single command for it; see `common.redis.compare`."""

from __future__ import annotations

from common.redis.scripts import Script

DELETE_IF_EQUAL = Script(
    "delete_if_equal",
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
)
"""KEYS: the key. ARGV: the value that must be there. Answers 1 or 0 (X = 3, or 2)."""

SET_IF_EQUAL = Script(
    "set_if_equal",
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
""",
)
"""KEYS: the key. ARGV: the value that must be there, the new one, milliseconds to live or nothing. Answers 1 or 0."""
