"""A queue's scripts for what goes wrong, and for operators; the keys are those of `common.redis.lua.queue`."""

from __future__ import annotations

from common.redis.lua.queue import AFTER_IN_LUA, BURY_IN_LUA
from common.redis.scripts import Script

QUEUE_RETURN_SCRIPT = Script(
    "queue_return",
    AFTER_IN_LUA
    + r"""
local leases, answers, gone, ready, timers = {}, {}, {}, {}, {}
for i = 1, #ARGV, 4 do leases[#leases + 1] = ARGV[i] end
for i, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(leases))) do
  answers[i] = score and tonumber(score) < AFTER and 1 or 0
  if answers[i] == 1 then
    local at = 4 * i - 3
    gone[#gone + 1] = ARGV[at]
    local set = ARGV[at + 3] == 'r' and ready or timers
    set[#set + 1] = ARGV[at + 1]
    set[#set + 1] = ARGV[at + 2]
  end
end
if #gone > 0 then redis.call('ZREM', KEYS[2], unpack(gone)) end
if #ready > 0 then redis.call('ZADD', KEYS[1], unpack(ready)) end
if #timers > 0 then redis.call('ZADD', KEYS[2], unpack(timers)) end
return answers
""",
    keys=2,
)
"""KEYS: ready, timers. ARGV: for each job its lease, then score and member in the set that the fourth names: ``r`` for
ready, ``t`` for timers. Answers 1 or 0 for each: whether it was held. X = 4 (ZMSCORE, ZREM, ZADD)."""

QUEUE_BURY_SCRIPT = Script(
    "queue_bury",
    AFTER_IN_LUA
    + BURY_IN_LUA
    + r"""
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) >= AFTER then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
bury(ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
""",
    keys=4,
)
"""KEYS: as of `QUEUE_DEQUEUE_SCRIPT`. ARGV: the lease, the id, what became of it, now, how long and how many dead
letters are kept. Answers whether it was held. X = 8 (ZSCORE, ZREM, HGET, HSET, ZADD, ZADD, ZCARD)."""

QUEUE_PROGRESS_SCRIPT = Script(
    "queue_progress",
    AFTER_IN_LUA
    + r"""
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) >= AFTER then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
""",
    keys=2,
)
"""KEYS: timers, the job's progress. ARGV: the lease, what to tell, milliseconds to keep it. Answers whether it was held
(X = 3)."""

QUEUE_REPLAY_SCRIPT = Script(
    "queue_replay",
    r"""
local replayed = 0
for i = 1, #ARGV, 4 do
  local id = ARGV[i]
  if redis.call('ZREM', KEYS[4], id) == 1 then
    redis.call('ZREM', KEYS[2], 'x|' .. id)
    redis.call('HSET', KEYS[3], id, ARGV[i + 1])
    redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i + 3])
    replayed = replayed + 1
  end
end
return replayed
""",
    keys=4,
)
"""KEYS: ready, timers, bodies, dead. ARGV: for each dead letter its id, record, score and ticket. Answers how many were
there (X = 1 + 4n)."""

QUEUE_CLEAR_SCRIPT = Script(
    "queue_clear",
    AFTER_IN_LUA
    + r"""
local function ids(members, pattern)
  local found = {}
  for i, member in ipairs(members) do found[i] = string.match(member, pattern) end
  return found
end
local ready = redis.call('ZRANGEBYSCORE', KEYS[1], '(-inf', '+inf', 'LIMIT', 0, 500)
if #ready > 0 then
  redis.call('ZREM', KEYS[1], unpack(ready))
  redis.call('HDEL', KEYS[3], unpack(ids(ready, '^[^|]+|[^|]+|[^|]+|(.+)$')))
end
local below, delayed = string.format('(%.0f', AFTER), {}
local timers = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', below, 'LIMIT', ARGV[1], 500)
for _, member in ipairs(timers) do
  if string.sub(member, 1, 1) == 'd' then delayed[#delayed + 1] = member end
end
if #delayed > 0 then
  redis.call('ZREM', KEYS[2], unpack(delayed))
  redis.call('HDEL', KEYS[3], unpack(ids(delayed, '^d[^|]+|[^|]+|[^|]+|(.+)$')))
end
return {#ready + #delayed, #timers - #delayed, (#ready == 500 or #timers == 500) and 1 or 0}
""",
    keys=3,
)
"""KEYS: ready, timers, bodies. ARGV: how many timers to step over. Answers how many jobs were removed, how many timers
are to be stepped over beside, whether there is more. X = 3, and 2 for each 500 of either kind."""
