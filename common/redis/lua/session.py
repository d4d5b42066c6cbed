"""Sessions: made, changed and renamed in one step each; how they lie there is told by `common.redis.session_record`.

A session is alive if its text is there, its epoch is its user's present one, and it has not ended. All three scripts
keep that, and none brings back one that is dead. A text is cut at its line ends and put together again, never decoded:
``cjson`` turns an empty list into an object and rounds large numbers.
"""

from __future__ import annotations

from common.redis.scripts import Script

CREATE_SESSION = Script(
    "create_session",
    """
local epoch = redis.call('GET', KEYS[2])
redis.call('SET', KEYS[1], '1 1 ' .. (epoch or '-') .. ' ' .. ARGV[1], 'PX', ARGV[2])
if epoch then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
redis.call('ZADD', KEYS[3], ARGV[3], KEYS[1])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return redis.call('ZCARD', KEYS[3])
""",
    keys=3,
)
"""KEYS: session, epoch, index. ARGV: the text after the epoch, milliseconds to live, when it ends at the latest,
milliseconds that the index lives, and the epoch. Answers how many the index names (X = 6; 7 with an epoch)."""

_ALIVE = """
local found = redis.call('MGET', KEYS[1], {epoch})
local now = tonumber(ARGV[1])
local head, body = string.match(found[1] or '', '^([^\\n]*)\\n(.*)$')
local version, epoch, created, touched, expires, absolute =
  string.match(head or '', '^1 (%d+) (%S+) (%d+) (%d+) (%d+) (%d+)$')
local alive = version and epoch == (found[2] or '-') and tonumber(expires) > now
"""

UPDATE_SESSION = Script(
    "update_session",
    _ALIVE.format(epoch="KEYS[2]")
    + """
if not alive then return false end
if ARGV[5] ~= '' and ARGV[5] ~= version then return {0, found[1]} end
local lines = {string.match(body, '^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)$')}
local changed = 0
for part = 6, 8 do
  if ARGV[part] ~= '' then lines[part - 4] = ARGV[part]; changed = 1 end
end
local ends = math.min(now + tonumber(ARGV[2]), tonumber(absolute))
if tonumber(expires) > ends and tonumber(touched) - now < tonumber(ARGV[3]) then ends = tonumber(expires) end
local text = string.format('1 %.0f %s %s %s %.0f %s', version + changed, epoch, created, ARGV[1], ends, absolute)
  .. '\\n' .. table.concat(lines, '\\n')
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', math.min(ends - now, tonumber(ARGV[4]))))
return {1, text}
""",
    keys=2,
)
"""KEYS: session, epoch. ARGV: now, milliseconds that it shall live at least, how far a clock may be ahead, milliseconds
that any session may live, the version that must be there or nothing, and agent, messages, context or nothing for each.
Answers nothing where no session lives, 0 and the text where its version is another, 1 and the new text (X = 3)."""

ROTATE_SESSION = Script(
    "rotate_session",
    "local mark = 'rotated ' .. KEYS[2]"
    + _ALIVE.format(epoch="KEYS[3]")
    + """
if found[1] == mark then return 1 end
if not alive then return 0 end
redis.call('SET', KEYS[2], found[1], 'PX', string.format('%.0f', math.min(expires - now, tonumber(ARGV[2]))))
redis.call('SET', KEYS[1], mark, 'PX', ARGV[3])
redis.call('ZADD', KEYS[4], absolute, KEYS[2])
if redis.call('ZREM', KEYS[4], KEYS[1]) == 0 then redis.call('PEXPIRE', KEYS[4], ARGV[2]) end
return 1
""",
    keys=4,
)
"""KEYS: session, its new key, epoch, index. ARGV: now, milliseconds that any session may live, and the mark that is
left under the old key. Answers 1, at a second try too, or 0 where no session lives (X = 6; 7 if no index knew it)."""
