"""Usage once for each event, and budgets of which parts are held back while the work runs."""

from __future__ import annotations

from common.redis.scripts import Script

RECORD_ONCE = Script(
    "record_once",
    """
if not redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then return 0 end
local tokens = redis.call('HINCRBY', KEYS[2], ARGV[3], ARGV[4])
redis.call('HINCRBY', KEYS[2], ARGV[5], ARGV[6])
if tokens == tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
""",
    keys=2,
)
"""KEYS: the event's mark, the month's hash. ARGV: milliseconds that each lives, then two fields and their increments.

Answers 1, or 0 for an event that was recorded (X = 4, 5 for a new field, 2 for a known event).
"""

_READ = """
local function read(log, now, id)
  local spent, held, kept, found = tonumber(string.match(log, '^%d+')), 0, {}, nil
  for text, entry, ends, amount in string.gmatch(log, '(;(%S+) (%d+) (%d+))') do
    if tonumber(ends) > now and entry == id then
      found = tonumber(amount)
    elseif tonumber(ends) > now then
      held, kept[#kept + 1] = held + tonumber(amount), text
    end
  end
  return spent, held, kept, found
end
local function write(spent, kept, ttl)
  redis.call('SET', KEYS[1], string.format('%d', spent) .. table.concat(kept), 'PX', ttl)
end
"""

BUDGET_RESERVE = Script(
    "budget_reserve",
    _READ
    + """
local amount, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local spent, held, kept, found = read(redis.call('GET', KEYS[1]) or '0', tonumber(ARGV[1]), ARGV[2])
if found then return {1, 0} end
local free = limit - math.max(spent, tonumber(ARGV[6])) - held
if amount > free then return {0, free} end
if #kept >= tonumber(ARGV[8]) then return {-1, free} end
kept[#kept + 1] = string.format(';%s %s %s', ARGV[2], ARGV[3], ARGV[4])
write(spent, kept, ARGV[7])
return {1, free - amount}
""",
)
"""KEYS: the budget. ARGV: now, the reservation's id, when it ends, its amount, the limit, the least that is known to be
spent, milliseconds that the budget lives, how many entries it may have.

Answers 1, 0 for too little left or -1 for too many entries, and what is left. The same id again is answered 1 without
being added. X = 3; 2 where nothing is held back.
"""

BUDGET_COMMIT = Script(
    "budget_commit",
    _READ
    + """
local spent, held, kept, found = read(redis.call('GET', KEYS[1]) or '0', tonumber(ARGV[1]), ARGV[2])
if found == 0 then return 0 end
kept[#kept + 1] = string.format(';%s %s 0', ARGV[2], ARGV[4])
write(spent + tonumber(ARGV[3]), kept, ARGV[5])
return 1
""",
)
"""KEYS: the budget. ARGV: now, the reservation's id, what was spent, until when it is remembered that this was done,
milliseconds that the budget lives.

Answers 1, or 0 if it was done before (X = 3, or 2). What was spent counts even where its reservation has ended.
"""

BUDGET_REFUND = Script(
    "budget_refund",
    _READ
    + """
local spent, held, kept, found = read(redis.call('GET', KEYS[1]) or '0', tonumber(ARGV[1]), ARGV[2])
if not found or found == 0 then return 0 end
write(spent, kept, ARGV[3])
return 1
""",
)
"""KEYS: the budget. ARGV: now, the reservation's id, milliseconds that the budget lives.

Answers 1, or 0 if nothing was held back any more (X = 3, or 2).
"""
