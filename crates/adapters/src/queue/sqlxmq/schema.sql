-- What sqlxmq 0.6 needs of a database, in a schema of its own: its type and `mq_insert` are what its builder calls, its
-- tables have the columns that its functions know. The rest is ours. Differences, each for a defect that was seen:
--
-- * no extension: the nil id that its ordered channels rest on is not needed, since they are not used;
-- * `mq_poll` locks the rows it takes, passes by what others have locked, and leases for as long as it is told;
-- * a message in somebody's hands says in whose;
-- * what ended is told in `mq_ended` and gone from the other tables, so nothing that is exhausted stays or blocks.

CREATE TYPE mq_new_t AS (
    id uuid,
    delay interval,
    retries integer,
    retry_backoff interval,
    channel_name text,
    channel_args text,
    commit_interval interval,
    ordered boolean,
    name text,
    payload_json text,
    payload_bytes bytea
);

CREATE TABLE mq_msgs (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Ready then; in a worker's hands, when its lease is over.
    attempt_at timestamptz NOT NULL,
    -- Tries that are left.
    attempts integer NOT NULL,
    retry_backoff interval NOT NULL,
    channel_name text NOT NULL,
    channel_args text NOT NULL,
    -- When it was to be ready before it was taken.
    run_at timestamptz NOT NULL,
    tried integer NOT NULL DEFAULT 0,
    lost_workers integer NOT NULL DEFAULT 0,
    worker text,
    started_at timestamptz,
    error text
) WITH (fillfactor = 70);
CREATE INDEX mq_msgs_ready ON mq_msgs (channel_name, attempt_at, id) WHERE worker IS NULL;
CREATE INDEX mq_msgs_leased ON mq_msgs (attempt_at) WHERE worker IS NOT NULL;

CREATE TABLE mq_payloads (
    id uuid PRIMARY KEY REFERENCES mq_msgs (id) ON DELETE CASCADE,
    name text NOT NULL,
    payload_json jsonb,
    payload_bytes bytea
);

CREATE TABLE mq_ended (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    state text NOT NULL,
    error text,
    tried integer NOT NULL,
    started_at timestamptz,
    ended_at timestamptz NOT NULL
);

-- Adds messages. Neither two-phase commits nor ordered channels are supported.
CREATE FUNCTION mq_insert(new_messages mq_new_t[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(new_messages) n WHERE n.ordered OR n.commit_interval IS NOT NULL) THEN
        RAISE feature_not_supported USING MESSAGE = 'ordered channels and two-phase commits are not supported';
    END IF;
    INSERT INTO mq_msgs (id, attempt_at, run_at, attempts, retry_backoff, channel_name, channel_args)
    SELECT n.id, now() + n.delay, now() + n.delay, n.retries + 1, n.retry_backoff, n.channel_name, n.channel_args
    FROM unnest(new_messages) n;
    INSERT INTO mq_payloads (id, name, payload_json, payload_bytes)
    SELECT n.id, n.name, n.payload_json::jsonb, n.payload_bytes FROM unnest(new_messages) n;
    PERFORM pg_notify('mq', '');
END $$;

-- Takes messages that are ready for a worker, the earliest first, until `lease_until`. With their payloads, in one
-- statement: whoever looked for those outside would do so as of a moment before, and miss what came since.
CREATE FUNCTION mq_poll(channels text[], batch_size bigint, for_worker text, moment timestamptz, lease_until timestamptz)
RETURNS TABLE (
    id uuid, channel_name text, tried integer, attempts integer, lost_workers integer, name text, payload_bytes bytea,
    payload_json text
) LANGUAGE sql AS $$
    WITH picked AS MATERIALIZED (
        SELECT m.id FROM mq_msgs m
        WHERE m.channel_name = ANY (channels) AND m.worker IS NULL AND m.attempt_at <= moment
        ORDER BY m.attempt_at, m.id
        LIMIT batch_size
        FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE mq_msgs m SET worker = for_worker, attempt_at = lease_until, started_at = moment,
               attempts = m.attempts - 1, tried = m.tried + 1
        FROM picked WHERE m.id = picked.id
        RETURNING m.*
    )
    SELECT t.id, t.channel_name, t.tried, t.attempts, t.lost_workers, p.name, p.payload_bytes, p.payload_json::text
    FROM taken t JOIN mq_payloads p ON p.id = t.id
    ORDER BY t.run_at, t.id
$$;
