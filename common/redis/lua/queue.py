"""The scripts of a queue; see `common.redis.queue`.

    ready    sorted set   a ticket for each job that waits, by its place; ``!`` in front of all while it is paused
    timers   sorted set   ``d<ticket>`` delayed, until its time; ``l<token>|<ticket>`` leased, until the lease ends;
                          and with AFTER added to the time what is over: a completed job keeps the name of its last
                          lease until its result goes, ``x|<id>`` stands for a dead letter
    bodies   hash         the record of every job, by id
    dead     sorted set   ids of dead letters, by when they died

A ticket is ``score|number|attempts|id`` (`common.redis.queue_tickets`). Times are the caller's, in milliseconds.
Numbers that are computed are written with %.0f: Lua's own way loses the digits of large ones.
"""

from __future__ import annotations

from common.redis.queue_tickets import AFTER
from common.redis.scripts import Script

AFTER_IN_LUA = f"local AFTER = {AFTER}\n"

QUEUE_ENQUEUE_SCRIPT = Script(
    "queue_enqueue",
    AFTER_IN_LUA
    + r"""
local look, most, n = ARGV[1] == '1', tonumber(ARGV[2]), (#ARGV - 2) / 5
local ready, timers, ids = {}, {}, {}
for i = 3, #ARGV, 5 do
  ids[#ids + 1] = ARGV[i]
  local set = ARGV[i + 4] == '' and ready or timers
  set[#set + 1] = i
end
local waiting = 0
if look and #ready > 0 then
  waiting = redis.call('ZCOUNT', KEYS[1], '(-inf', '+inf')
  if waiting + #ready > most then return {-1, waiting, 0} end
end
if look and #timers > 0 then
  local timed = redis.call('ZCOUNT', KEYS[2], '-inf', string.format('(%.0f', AFTER))
  if timed + #timers > most then return {-1, timed, 0} end
end
local new, added = {}, 0
if n == 1 then
  added = redis.call('HSETNX', KEYS[3], ARGV[3], ARGV[4])
  if added == 1 then new[ARGV[3]] = true end
else
  local fields, known = {}, redis.call('HMGET', KEYS[3], unpack(ids))
  for i, id in ipairs(ids) do
    if not known[i] then
      new[id], added = true, added + 1
      fields[#fields + 1] = id
      fields[#fields + 1] = ARGV[5 * i - 1]
    end
  end
  if #fields > 0 then redis.call('HSET', KEYS[3], unpack(fields)) end
end
local function chosen(set, score)
  local out = {}
  for _, i in ipairs(set) do
    if new[ARGV[i]] then
      out[#out + 1] = ARGV[i + score]
      out[#out + 1] = ARGV[i + 3]
    end
  end
  return out
end
local members = chosen(ready, 2)
if #members > 0 then redis.call('ZADD', KEYS[1], unpack(members)) end
members = chosen(timers, 4)
if #members > 0 then redis.call('ZADD', KEYS[2], unpack(members)) end
local first = 0
if look and #timers > 0 then
  local head = string.match(redis.call('ZRANGE', KEYS[2], 0, 0)[1] or '', '^d[^|]+|[^|]+|[^|]+|(.+)$')
  for _, i in ipairs(timers) do
    if ARGV[i] == head then first = 1 end
  end
end
return {added, waiting, first}
""",
    keys=3,
)
"""KEYS: ready, timers, bodies. ARGV: whether to count first, how many may wait; then for each job its id, record, place
in the ready set, member, and when it is due or nothing. Answers how many were new, or -1 if they are too many; how many
waited before; whether one of them is now the next timer.

X = 3 for one job (HSETNX, ZADD), 4 with the count. Several: 4 together, 5 with the count."""

BURY_IN_LUA = r"""
local function bury(id, outcome, now, ttl, most)
  local record = redis.call('HGET', KEYS[3], id)
  if not record then return end
  redis.call('HSET', KEYS[3], id, string.match(record, '^[^\n]*\n[^\n]*') .. '\n' .. outcome)
  redis.call('ZADD', KEYS[4], now, id)
  redis.call('ZADD', KEYS[2], string.format('%.0f', AFTER + now + ttl), 'x|' .. id)
  local over = redis.call('ZCARD', KEYS[4]) - most
  if over <= 0 then return end
  local oldest = redis.call('ZPOPMIN', KEYS[4], over)
  for i = 1, #oldest, 2 do
    redis.call('ZREM', KEYS[2], 'x|' .. oldest[i])
    redis.call('HDEL', KEYS[3], oldest[i])
  end
end
"""

QUEUE_DEQUEUE_SCRIPT = Script(
    "queue_dequeue",
    AFTER_IN_LUA
    + BURY_IN_LUA
    + r"""
local now, lease_until, n, token = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local sweep, attempts, ttl, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local next_due, more, looked, died = '', 0, false, {}

local function look()
  looked = true
  local due, gone, ready, dead = redis.call('ZRANGE', KEYS[2], 0, 99, 'WITHSCORES'), {}, {}, {}
  for i = 1, #due, 2 do
    local member, at = due[i], tonumber(due[i + 1])
    if at > now then
      if at < AFTER then next_due = string.format('%.0f', at) end
      break
    end
    gone[#gone + 1] = member
    local ticket = string.sub(member, 2)
    if string.sub(member, 1, 1) == 'l' then
      local order, tried, id = string.match(member, '^l[^|]*|([^|]+|[^|]+)|([^|]+)|(.+)$')
      tried = tonumber(tried) + 1
      ticket = string.format('%s|%d|%s', order, tried, id)
      if tried >= attempts then
        dead[#dead + 1] = {id, tried}
        ticket = nil
      end
    end
    if ticket then
      ready[#ready + 1] = string.match(ticket, '^[^|]+')
      ready[#ready + 1] = ticket
    end
  end
  if #gone == 0 then return false end
  redis.call('ZREM', KEYS[2], unpack(gone))
  for i, one in ipairs(dead) do
    died[i] = one[1]
    bury(one[1], string.format('{"status":"failed","error":"its worker died, or could not say that it lives",'
      .. '"completed_at":%.0f,"attempt":%d}', now, one[2]), now, ttl, most)
  end
  if #gone == 100 then
    local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    if head[2] and tonumber(head[2]) < AFTER then next_due = string.format('%.0f', tonumber(head[2])) end
  end
  if #ready == 0 then return false end
  redis.call('ZADD', KEYS[1], unpack(ready))
  return true
end

local function forget()
  local from, to = string.format('%.0f', AFTER), string.format('%.0f', AFTER + now)
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], from, to, 'LIMIT', 0, 500)
  if #over == 0 then return end
  if #over == 500 then more = 1 end
  local ids, dead = {}, {}
  for i, member in ipairs(over) do
    ids[i] = string.match(member, '^l[^|]*|[^|]+|[^|]+|[^|]+|(.+)$') or string.sub(member, 3)
    if string.sub(member, 1, 1) == 'x' then dead[#dead + 1] = ids[i] end
  end
  redis.call('ZREM', KEYS[2], unpack(over))
  redis.call('HDEL', KEYS[3], unpack(ids))
  if #dead > 0 then redis.call('ZREM', KEYS[4], unpack(dead)) end
end

if sweep > 0 then look() end
if sweep > 1 then forget() end
local got = redis.call('ZPOPMIN', KEYS[1], n)
if #got == 0 and not looked and look() then got = redis.call('ZPOPMIN', KEYS[1], n) end
if got[1] == '!' then
  local back = {}
  for i = 1, #got, 2 do
    back[i], back[i + 1] = got[i + 1], got[i]
  end
  redis.call('ZADD', KEYS[1], unpack(back))
  return {{}, {}, next_due, more, 1, died}
end
if #got == 0 then return {{}, {}, next_due, more, 0, died} end
local tickets, ids, leases = {}, {}, {}
for i = 1, #got, 2 do
  tickets[#tickets + 1] = got[i]
  ids[#ids + 1] = string.match(got[i], '^[^|]+|[^|]+|[^|]+|(.+)$')
  leases[i], leases[i + 1] = lease_until, 'l' .. token .. '|' .. got[i]
end
redis.call('ZADD', KEYS[2], unpack(leases))
return {tickets, redis.call('HMGET', KEYS[3], unpack(ids)), next_due, more, 0, died}
""",
    keys=4,
)
"""KEYS: ready, timers, bodies, dead. ARGV: now, when the leases end, how many to take, the taker's token; whether to
look at the timers (1) and at what is over too (2); how many tries a job has; how long and how many dead letters are
kept. Answers tickets, records, when the next timer is due (nothing where nobody looked), whether more is over than was
removed, whether the queue is paused, ids of jobs that have died.

X = 4 for any number of jobs (ZPOPMIN, ZADD, HMGET), 5 with a look, 6 every ten minutes; 3 for an empty queue."""

QUEUE_ACK_SCRIPT = Script(
    "queue_ack",
    r"""
local scores, n = {}, (#ARGV - 1) / 3
for i = 2, #ARGV, 3 do
  scores[#scores + 1] = ARGV[1]
  scores[#scores + 1] = ARGV[i]
end
local held = {}
if redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(scores)) < n then
  local leases = {}
  for i = 2, #ARGV, 3 do leases[#leases + 1] = ARGV[i] end
  held = redis.call('ZMSCORE', KEYS[1], unpack(leases))
end
local fields, answers = {}, {}
for i = 1, n do
  answers[i] = held[i] == false and 0 or 1
  if answers[i] == 1 then
    fields[#fields + 1] = ARGV[3 * i]
    fields[#fields + 1] = ARGV[3 * i + 1]
  end
end
if #fields > 0 then redis.call('HSET', KEYS[2], unpack(fields)) end
return answers
""",
    keys=2,
)
"""KEYS: timers, bodies. ARGV: AFTER and when the results go; then for each job its lease, id and record. Answers 1 or
0 for each: whether the lease was still its own, which is the test. The same again answers the same and changes nothing.

X = 3 for any number of jobs (ZADD, HSET), 4 if one was lost."""

QUEUE_BEAT_SCRIPT = Script(
    "queue_beat",
    r"""
local scores = {}
for i = 2, #ARGV do
  scores[#scores + 1] = ARGV[1]
  scores[#scores + 1] = ARGV[i]
end
if redis.call('ZADD', KEYS[1], 'XX', 'GT', 'CH', unpack(scores)) == #ARGV - 1 then return {} end
local lost = {}
for i, score in ipairs(redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 2))) do
  if not score then lost[#lost + 1] = ARGV[i + 1] end
end
return lost
""",
)
"""KEYS: timers. ARGV: when the leases shall end, the leases. Answers those that are lost.

X = 2 for all jobs that a worker holds, 3 if one is lost."""
