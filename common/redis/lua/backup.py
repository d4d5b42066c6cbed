"""Write a collection that a backup holds, all of it or nothing; see `common.redis.backup`."""

from __future__ import annotations

from common.redis.scripts import Script

RESTORE_PART = Script(
    "restore_part",
    """
local before, ttl = tonumber(ARGV[3]), ARGV[5]
if before > 0 and redis.call(ARGV[2], KEYS[1]) ~= before then
  return redis.error_reply('an earlier part of this key was not written')
end
if ARGV[1] == 'XADD' then
  local at = 7
  while ARGV[at] do
    local last = at + 1 + tonumber(ARGV[at + 1])
    redis.call('XADD', KEYS[1], ARGV[at], unpack(ARGV, at + 2, last))
    at = last + 1
  end
else
  redis.call(ARGV[1], KEYS[1], unpack(ARGV, 7))
end
if ttl ~= '' then redis.call('PEXPIRE', KEYS[1], ttl)
elseif before > 0 then redis.call('PERSIST', KEYS[1]) end
if ARGV[4] == '' then return 1 end
if ARGV[6] == '1' then
  redis.call('RENAME', KEYS[1], KEYS[2])
  return 1
end
local written = redis.call('RENAMENX', KEYS[1], KEYS[2])
if written == 0 then redis.call('DEL', KEYS[1]) end
return written
""",
    keys=2,
)
"""Parts are collected under a name of their own, which ends by itself, so a process that dies leaves nothing half done.

KEYS: where parts are collected, the key. ARGV: the command that writes, the one that counts, how many elements are
there already, ``1`` for the last part or nothing, milliseconds to live or nothing, ``1`` to replace or nothing, then
the elements (of a stream: an id, how many words its entry has, the words). Answers 1, or 0 if the key exists (X = 4 for
a collection of one part: EVALSHA, the write, PEXPIRE, RENAMENX).
"""
