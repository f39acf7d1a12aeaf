//! The scripts. `KEYS[1]` is the prefix of every key:
//!
//! | key | what |
//! |---|---|
//! | `job:<id>` | hash: what is known of a job; of one that ended, how, until that is forgotten |
//! | `ready:<queue>` | sorted set of one score, so in order of its members: priority, time, id |
//! | `later:<queue>` | sorted set of ids by the time they are ready |
//! | `leased` | sorted set of ids by the end of their lease |
//! | `lock:<lock>` | list of ids in order of enqueueing; only the first is in `ready` or `later` |
//! | `keys` | hash: the id that waits under each unique key |
//! | `paused` | set of queues |
//! | `ended` | stream of what ended |
//! | `bell` | channel: something may be ready |

use redis::Script;

pub(super) struct Scripts {
    pub(super) push: Script,
    pub(super) fetch: Script,
    pub(super) settle: Script,
    pub(super) renew: Script,
    pub(super) cancel: Script,
    pub(super) pause: Script,
    pub(super) ended: Script,
    pub(super) forget: Script,
    pub(super) inspect: Script,
    pub(super) take: Script,
    pub(super) running: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{COMMON}{body}"));
        Self {
            push: script(PUSH),
            fetch: script(FETCH),
            settle: script(SETTLE),
            renew: script(RENEW),
            cancel: script(CANCEL),
            pause: script(PAUSE),
            ended: script(ENDED),
            forget: script(FORGET),
            inspect: script(INSPECT),
            take: script(TAKE),
            running: script(RUNNING),
        }
    }
}

/// What the scripts share.
const COMMON: &str = r"
local P = KEYS[1]
local rings = false

local function job(id) return P .. 'job:' .. id end
local function optional(value) return value and ('+' .. value) or '-' end
local function given(field) return string.sub(field, 1, 1) == '+' and string.sub(field, 2) or nil end

-- Lets a job without a lease wait: in its place, unless others come first by its lock.
local function queue_up(id, now)
  local f = redis.call('HMGET', job(id), 'queue', 'urgency', 'run_at', 'lock', 'key')
  if f[5] then redis.call('HSETNX', P .. 'keys', f[5], id) end
  if f[4] and redis.call('LINDEX', P .. 'lock:' .. f[4], 0) ~= id then return end
  if f[3] <= now then
    redis.call('ZADD', P .. 'ready:' .. f[1], 0, f[2] .. f[3] .. id)
    rings = true
  else
    redis.call('ZADD', P .. 'later:' .. f[1], f[3], id)
  end
end

-- Takes a waiting job from its place and its key.
local function leave(id)
  local f = redis.call('HMGET', job(id), 'queue', 'urgency', 'run_at', 'key')
  redis.call('ZREM', P .. 'ready:' .. f[1], f[2] .. f[3] .. id)
  redis.call('ZREM', P .. 'later:' .. f[1], id)
  if f[4] and redis.call('HGET', P .. 'keys', f[4]) == id then redis.call('HDEL', P .. 'keys', f[4]) end
end

-- Forgets a job that is in no place and in nobody's hands; the next of its lock may have its place.
local function remove(id, now)
  local lock = redis.call('HGET', job(id), 'lock')
  redis.call('DEL', job(id))
  if not lock then return end
  redis.call('LREM', P .. 'lock:' .. lock, 0, id)
  local head = redis.call('LINDEX', P .. 'lock:' .. lock, 0)
  -- What was evicted blocks nobody.
  while head and redis.call('HEXISTS', job(head), 'queue') == 0 do
    redis.call('LPOP', P .. 'lock:' .. lock)
    head = redis.call('LINDEX', P .. 'lock:' .. lock, 0)
  end
  if head and not redis.call('HGET', job(head), 'worker') then queue_up(head, now) end
end

local function finish(id, state, error, now)
  local f = redis.call('HMGET', job(id), 'attempts', 'started_at')
  remove(id, now)
  local mark = redis.call('XADD', P .. 'ended', '*', 'id', id, 'state', state, 'error', error,
    'attempts', f[1], 'started_at', optional(f[2]), 'at', now)
  redis.call('HSET', job(id), 'ended', mark, 'attempts', f[1], 'run_at', now)
  if f[2] then redis.call('HSET', job(id), 'started_at', f[2]) end
  if state == 'dead' then redis.call('HSET', job(id), 'error', error) end
end

local function seen(id)
  local f = redis.call('HMGET', job(id), 'ended', 'worker', 'attempts', 'run_at', 'started_at', 'error', 'cancel',
    'percent', 'note')
  if not f[3] then return nil end
  return {id, optional(f[1]), optional(f[2]), f[3], f[4], optional(f[5]), optional(f[6]), optional(f[7]),
    optional(f[8]), optional(f[9])}
end

local function done(rows)
  if rings then redis.call('PUBLISH', P .. 'bell', '') end
  return rows
end
";

/// now, then id, queue, urgency, time, attempts, most attempts, lock, key, body of each. Answers the id of each, or of
/// the one that waits under its key.
const PUSH: &str = r"
local now, ids = ARGV[1], {}
for i = 2, #ARGV, 9 do
  local id, lock, key = ARGV[i], given(ARGV[i + 6]), given(ARGV[i + 7])
  local waiting = nil
  if redis.call('EXISTS', job(id)) == 0 then
    waiting = key and redis.call('HGET', P .. 'keys', key)
    if waiting and redis.call('EXISTS', job(waiting)) == 0 then
      redis.call('HDEL', P .. 'keys', key)
      waiting = nil
    end
    if not waiting then
      redis.call('HSET', job(id), 'queue', ARGV[i + 1], 'urgency', ARGV[i + 2], 'run_at', ARGV[i + 3],
        'attempts', ARGV[i + 4], 'max_attempts', ARGV[i + 5], 'lost', 0, 'body', ARGV[i + 8])
      if key then redis.call('HSET', job(id), 'key', key) end
      if lock then
        redis.call('HSET', job(id), 'lock', lock)
        redis.call('RPUSH', P .. 'lock:' .. lock, id)
      end
      queue_up(id, now)
    end
  end
  ids[#ids + 1] = {waiting or id}
end
return done(ids)
";

/// now, end of the lease, worker, limit, most lost workers, what is said of a lost worker, queues. Answers id, queue,
/// attempt, most attempts, lost workers and body of each.
const FETCH: &str = r"
local now, lease_until, worker, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most_lost, lost_worker = tonumber(ARGV[5]), ARGV[6]

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leased', '-inf', now, 'LIMIT', 0, 500)) do
  redis.call('ZREM', P .. 'leased', id)
  local f = redis.call('HMGET', job(id), 'attempts', 'max_attempts', 'cancel', 'worker')
  if f[4] then
    redis.call('HDEL', job(id), 'worker', 'percent', 'note')
    local lost = redis.call('HINCRBY', job(id), 'lost', 1)
    if f[3] then
      finish(id, 'cancelled', '', now)
    elseif tonumber(f[1]) >= tonumber(f[2]) or lost >= most_lost then
      finish(id, 'dead', lost_worker, now)
    else
      redis.call('HSET', job(id), 'error', lost_worker)
      queue_up(id, now)
    end
  end
end

local places = {}
for i = 7, #ARGV do
  local queue = ARGV[i]
  if redis.call('SISMEMBER', P .. 'paused', queue) == 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'later:' .. queue, '-inf', now, 'LIMIT', 0, 1000)) do
      redis.call('ZREM', P .. 'later:' .. queue, id)
      local f = redis.call('HMGET', job(id), 'queue', 'worker')
      if f[1] and not f[2] then queue_up(id, now) end
    end
    for _, place in ipairs(redis.call('ZRANGE', P .. 'ready:' .. queue, 0, limit - 1)) do
      places[#places + 1] = {place, queue}
    end
  end
end
table.sort(places, function(a, b) return a[1] < b[1] end)

local taken = {}
for _, place in ipairs(places) do
  if #taken == limit then break end
  local id = string.sub(place[1], -36)
  local f = redis.call('HMGET', job(id), 'queue', 'max_attempts', 'body', 'worker', 'lost')
  if f[1] and not f[4] then
    leave(id)
    local attempt = redis.call('HINCRBY', job(id), 'attempts', 1)
    redis.call('HSET', job(id), 'worker', worker, 'started_at', now)
    redis.call('ZADD', P .. 'leased', lease_until, id)
    taken[#taken + 1] = {id, f[1], tostring(attempt), f[2], f[5], f[3]}
  else
    redis.call('ZREM', P .. 'ready:' .. place[2], place[1])
  end
end
return done(taken)
";

/// now, worker, then id, word, time and error of each.
const SETTLE: &str = r"
local now, worker = ARGV[1], ARGV[2]
for i = 3, #ARGV, 4 do
  local id, word, at, error = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local f = redis.call('HMGET', job(id), 'worker', 'attempts', 'max_attempts', 'cancel')
  if f[1] == worker then
    redis.call('ZREM', P .. 'leased', id)
    redis.call('HDEL', job(id), 'worker', 'percent', 'note')
    if f[4] and (word == 'retry' or word == 'released') then
      finish(id, 'cancelled', '', now)
    elseif word == 'retry' and tonumber(f[2]) >= tonumber(f[3]) then
      finish(id, 'dead', error, now)
    elseif word == 'retry' then
      redis.call('HSET', job(id), 'run_at', at, 'error', error)
      queue_up(id, now)
    elseif word == 'released' then
      redis.call('HINCRBY', job(id), 'attempts', -1)
      queue_up(id, now)
    else
      finish(id, word, error, now)
    end
  end
end
return done({})
";

/// End of the lease, worker, then id, percent and note of each. Answers id and wish of those held.
const RENEW: &str = r"
local lease_until, worker, held = ARGV[1], ARGV[2], {}
for i = 3, #ARGV, 3 do
  local id, percent, note = ARGV[i], given(ARGV[i + 1]), given(ARGV[i + 2])
  local f = redis.call('HMGET', job(id), 'worker', 'cancel')
  if f[1] == worker then
    redis.call('ZADD', P .. 'leased', lease_until, id)
    if percent then
      redis.call('HSET', job(id), 'percent', percent)
      if note then redis.call('HSET', job(id), 'note', note) else redis.call('HDEL', job(id), 'note') end
    end
    held[#held + 1] = {id, optional(f[2])}
  end
end
return held
";

/// now, id.
const CANCEL: &str = r"
local now, id = ARGV[1], ARGV[2]
local f = redis.call('HMGET', job(id), 'queue', 'worker')
if not f[1] then return {{'late'}} end
if f[2] then
  redis.call('HSET', job(id), 'cancel', 1)
  return {{'asked'}}
end
leave(id)
finish(id, 'cancelled', '', now)
return done({{'taken'}})
";

/// Queue, 1 or 0.
const PAUSE: &str = r"
if ARGV[2] == '1' then
  redis.call('SADD', P .. 'paused', ARGV[1])
else
  redis.call('SREM', P .. 'paused', ARGV[1])
  rings = true
end
return done({})
";

/// Limit. Answers mark, id, state, error, attempts, beginning and end of each.
const ENDED: &str = r"
local rows = {}
for _, entry in ipairs(redis.call('XRANGE', P .. 'ended', '-', '+', 'COUNT', ARGV[1])) do
  local f = entry[2]
  rows[#rows + 1] = {entry[1], f[2], f[4], f[6], f[8], f[10], f[12]}
end
return rows
";

/// Id and mark of each.
const FORGET: &str = r"
for i = 1, #ARGV, 2 do
  redis.call('XDEL', P .. 'ended', ARGV[i + 1])
  if redis.call('HGET', job(ARGV[i]), 'ended') == ARGV[i + 1] then redis.call('DEL', job(ARGV[i])) end
end
return {}
";

/// now, ids.
const INSPECT: &str = r"
local rows = {}
for i = 2, #ARGV do rows[#rows + 1] = seen(ARGV[i]) end
return rows
";

/// now, ids.
const TAKE: &str = r"
local rows = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local f = redis.call('HMGET', job(id), 'queue', 'worker')
  if f[1] and not f[2] then
    rows[#rows + 1] = seen(id)
    leave(id)
    remove(id, ARGV[1])
  end
end
return done(rows)
";

const RUNNING: &str = r"
local counts, rows = {}, {}
for _, id in ipairs(redis.call('ZRANGE', P .. 'leased', 0, -1)) do
  local queue = redis.call('HGET', job(id), 'queue')
  if queue then counts[queue] = (counts[queue] or 0) + 1 end
end
for queue, count in pairs(counts) do rows[#rows + 1] = {queue, tostring(count)} end
return rows
";
