"""Sliding windows (R9): one string for each limit, whose format `common.redis.rate_limit_log` describes.

Moments are compared as numbers: a server compares text by its locale. Numbers travel as one text for each limit: a
client takes longer over ten of them than over everything else.
"""

from __future__ import annotations

from common.redis.scripts import Script

RATE_LIMIT_SCRIPT = Script(
    "rate_limit",
    """
local sub, number, format = string.sub, tonumber, string.format
local allowed, answer, found = '1', '', {}
for k = 1, #KEYS do
  local at, cutoff, limit, cost, ttl = string.match(ARGV[k + 1], '(%S+) (%S+) (%S+) (%S+) (%S+)')
  at, cutoff, limit, cost = number(at), number(cutoff), number(limit), number(cost)
  local log = redis.call('GET', KEYS[k]) or '0000000000'
  local n, sum, oldest, first, last, leaves = (#log - 10) / 23, number(sub(log, -10)), 1, at, 0, 0
  if n > 0 then
    first, last = number(sub(log, 11, 23)), number(sub(log, -23, -11))
    if first <= cutoff then
      local high = n + 1
      while oldest < high do
        local i = math.floor((oldest + high) / 2)
        if number(sub(log, 23 * i - 12, 23 * i)) > cutoff then high = i else oldest = i + 1 end
      end
      first = number(sub(log, 23 * oldest - 12, 23 * oldest)) or at
    end
  end
  local used = (sum - number(sub(log, 23 * oldest - 22, 23 * oldest - 13))) % 1e10
  if used + cost > limit and ARGV[1] == '1' then
    local low, high = oldest, n
    while low < high do
      local i = math.floor((low + high) / 2)
      if (sum - number(sub(log, 23 * i + 1, 23 * i + 10))) % 1e10 <= limit - cost then high = i else low = i + 1 end
    end
    allowed, leaves = '0', number(sub(log, 23 * low - 12, 23 * low))
  end
  local same = last >= at
  if same then at = last end
  found[k] = {sub(log, 23 * oldest - 22, same and -11 or -1), same, at, (sum + cost) % 1e10, ttl}
  answer = answer .. format(' %d %d %d %d', used, leaves, first, at)
end
if allowed == '1' then
  for k = 1, #KEYS do
    local log, same, at, sum, ttl = unpack(found[k])
    if same then log = log .. format('%010d', sum) else log = log .. format('%013d%010d', at, sum) end
    if #log > 23010 then log = sub(log, 1, 10) .. sub(log, -23000) end
    redis.call('SET', KEYS[k], log, 'PX', ttl)
  end
end
return allowed .. answer
""",
    keys=None,
)
"""KEYS: the limits' logs, any number. ARGV: 1 to refuse what is too much, 0 to count it all the same; then for each key
the moment to count at, the last moment that has left the window, the limit, the units, milliseconds to live.

Takes from all or from none. Answers 1 or 0, then for each key: units used before, the moment that must leave before
this request fits (0: it does), the oldest moment in the window, the moment counted at. X = 1 + 2 for each limit, and
1 + 1 for each where it refuses.
"""

RATE_REFUND = Script(
    "rate_refund",
    """
local function moment(log, i) return tonumber(string.sub(log, 23 * i - 12, 23 * i)) end
local function total(log, i) return tonumber(string.sub(log, 23 * i + 1, 23 * i + 10)) end
local back = 0
for k = 1, #KEYS do
  local at, units = string.match(ARGV[k], '(%S+) (%S+)')
  local log, at = redis.call('GET', KEYS[k]) or '0000000000', tonumber(at)
  local n = (#log - 10) / 23
  local i = n
  while i > 0 and moment(log, i) > at do i = i - 1 end
  if i > 0 and moment(log, i) == at then
    local all = (total(log, i) - total(log, i - 1)) % 1e10
    local given = math.min(all, tonumber(units))
    local parts = {string.sub(log, 1, 23 * i - 13)}
    for j = given == all and i + 1 or i, n do
      parts[#parts + 1] = string.sub(log, 23 * j - 12, 23 * j) .. string.format('%010d', (total(log, j) - given) % 1e10)
    end
    back = back + given
    redis.call('SET', KEYS[k], table.concat(parts), 'KEEPTTL')
  end
end
return back
""",
    keys=None,
)
"""KEYS: the limits' logs. ARGV: for each key the moment that was counted at, and the units to give back.

Answers how many came back: what has left the window, or was given back already, does not (X = 1 + 2 for each limit).
"""
