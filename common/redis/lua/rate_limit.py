"""Sliding windows (R9): one string for each limit, whose format `common.redis.rate_limit_log` describes.

Moments are compared as numbers: a server compares text by its locale. Numbers travel as one text for each limit: a
client takes longer over ten of them than over everything else.
"""

from __future__ import annotations

from common.redis.scripts import Script

_READ = """
local function moment(log, i) return tonumber(string.sub(log, 23 * i - 12, 23 * i)) end
local function total(log, i) return tonumber(string.sub(log, 23 * i + 1, 23 * i + 10)) end
local function search(low, high, holds)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if holds(middle) then high = middle else low = middle + 1 end
  end
  return low
end
"""

RATE_LIMIT_SCRIPT = Script(
    "rate_limit",
    _READ
    + """
local allowed, answer, found = '1', {}, {}
for k = 1, #KEYS do
  local at, cutoff, limit, cost, ttl = string.match(ARGV[k + 1], '(%S+) (%S+) (%S+) (%S+) (%S+)')
  at, cutoff, limit, cost = tonumber(at), tonumber(cutoff), tonumber(limit), tonumber(cost)
  local log = redis.call('GET', KEYS[k]) or '0000000000'
  local n = (#log - 10) / 23
  local oldest = search(1, n + 1, function(i) return moment(log, i) > cutoff end)
  local used, leaves = (total(log, n) - total(log, oldest - 1)) % 1e10, 0
  if n > 0 and moment(log, n) > at then at = moment(log, n) end
  if used + cost > limit and ARGV[1] == '1' then
    local function fits(i) return (total(log, n) - total(log, i)) % 1e10 <= limit - cost end
    allowed, leaves = '0', moment(log, search(oldest, n, fits))
  end
  found[k] = {log, n, oldest, at, cost, ttl}
  answer[k] = string.format(' %d %d %d %d', used, leaves, oldest <= n and moment(log, oldest) or at, at)
end
for k = 1, allowed == '1' and #KEYS or 0 do
  local log, n, oldest, at, cost, ttl = unpack(found[k])
  local sum = string.format('%010d', (total(log, n) + cost) % 1e10)
  local same = n > 0 and moment(log, n) == at
  log = string.sub(log, 23 * oldest - 22)
  if same then log = string.sub(log, 1, -11) .. sum else log = log .. string.format('%013d', at) .. sum end
  if #log > 23010 then log = string.sub(log, 1, 10) .. string.sub(log, -23000) end
  redis.call('SET', KEYS[k], log, 'PX', ttl)
end
return allowed .. table.concat(answer)
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
    _READ
    + """
local back = 0
for k = 1, #KEYS do
  local at, units = string.match(ARGV[k], '(%S+) (%S+)')
  local log, at = redis.call('GET', KEYS[k]) or '0000000000', tonumber(at)
  local n = (#log - 10) / 23
  local i = search(1, n + 1, function(j) return moment(log, j) >= at end)
  if i <= n and moment(log, i) == at then
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
