//! What is said to the database. Times are the caller's, by its clock.

/// Makes messages wait again whose lease is over by `$1`, or ends those without a try left or with `$2` workers lost.
pub(super) const TAKE_BACK: &str = "
    WITH over AS MATERIALIZED (
      SELECT *, attempts > 0 AND lost_workers + 1 < $2 AS again
      FROM mq_msgs WHERE worker IS NOT NULL AND attempt_at <= $1
      ORDER BY attempt_at LIMIT 500 FOR UPDATE SKIP LOCKED
    ), waiting AS (
      UPDATE mq_msgs m SET worker = NULL, attempt_at = m.run_at, lost_workers = m.lost_workers + 1, error = $3
      FROM over WHERE m.id = over.id AND over.again
    ), told AS (
      INSERT INTO mq_ended (id, state, error, tried, started_at, ended_at)
      SELECT id, 'dead', $3, tried, started_at, $1 FROM over WHERE NOT again ORDER BY attempt_at, id
    )
    DELETE FROM mq_msgs m USING over WHERE m.id = over.id AND NOT over.again";

pub(super) const POLL: &str = "
    SELECT id, channel_name, tried, attempts, lost_workers, name, payload_bytes, payload_json FROM mq_poll($1, $2, $3, $4, $5)";

/// Which of these ids are known.
pub(super) const KNOWN: &str =
    "SELECT id FROM mq_msgs WHERE id = ANY($1) UNION ALL SELECT id FROM mq_ended WHERE id = ANY($1)";

/// Says of new messages when exactly they are ready, and how often they were tried elsewhere.
pub(super) const PLACE: &str = "
    UPDATE mq_msgs m SET attempt_at = n.run_at, run_at = n.run_at, tried = n.tried
    FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[]) AS n(id, run_at, tried) WHERE m.id = n.id";

/// `$1` a worker, `$2` to `$5` ids, words, times and errors, `$6` now.
pub(super) const SETTLE: &str = "
    WITH told AS MATERIALIZED (
      SELECT m.*, t.place, t.run_at AS again_at, t.error AS last_error,
             CASE WHEN t.state = 'retry' AND m.attempts <= 0 THEN 'dead' ELSE t.state END AS state
      FROM unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::text[]) WITH ORDINALITY
           AS t(id, state, run_at, error, place)
      JOIN mq_msgs m ON m.id = t.id
      WHERE m.worker = $1
      ORDER BY m.id FOR UPDATE OF m
    ), waiting AS (
      UPDATE mq_msgs m SET worker = NULL, error = coalesce(told.last_error, m.error),
             attempt_at = coalesce(told.again_at, m.run_at), run_at = coalesce(told.again_at, m.run_at),
             attempts = m.attempts + CASE told.state WHEN 'released' THEN 1 ELSE 0 END,
             tried = m.tried - CASE told.state WHEN 'released' THEN 1 ELSE 0 END
      FROM told WHERE m.id = told.id AND told.state IN ('retry', 'released')
    ), ended AS (
      INSERT INTO mq_ended (id, state, error, tried, started_at, ended_at)
      SELECT id, state, last_error, tried, started_at, $6 FROM told
      WHERE state IN ('done', 'dead', 'cancelled') ORDER BY place
    )
    DELETE FROM mq_msgs m USING told WHERE m.id = told.id AND told.state IN ('done', 'dead', 'cancelled')";

pub(super) const RENEW: &str =
    "UPDATE mq_msgs SET attempt_at = $3 WHERE id = ANY($2) AND worker = $1 RETURNING id";

pub(super) const ENDED: &str = "
    SELECT seq, id, state, error, tried, started_at, ended_at FROM mq_ended ORDER BY seq LIMIT $1";

pub(super) const FORGET: &str = "DELETE FROM mq_ended WHERE seq = ANY($1)";

pub(super) const INSPECT: &str = "
    SELECT id, false AS ended, worker, tried, run_at, started_at, error FROM mq_msgs WHERE id = ANY($1)
    UNION ALL
    SELECT id, true, NULL, tried, ended_at, started_at, error FROM mq_ended WHERE id = ANY($1)";

pub(super) const TAKE: &str = "
    DELETE FROM mq_msgs WHERE id = ANY($1) AND worker IS NULL
    RETURNING id, false AS ended, worker, tried, run_at, started_at, error";

pub(super) const RUNNING: &str = "
    SELECT channel_name, count(*) FROM mq_msgs WHERE worker IS NOT NULL GROUP BY channel_name ORDER BY channel_name";
