-- The queue. `jobs` holds what waits or runs and stays small; what ended moves to `finished_jobs`.

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    queue text NOT NULL,
    name text NOT NULL,
    -- json, not jsonb: kept as it came, and nobody searches in it.
    payload json NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN -100 AND 100),
    run_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    lost_workers integer NOT NULL DEFAULT 0,
    correlation_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Of the last attempt, if it failed; and of all that did, oldest first.
    error text,
    errors jsonb,
    -- Both while a worker holds it, neither while it waits.
    worker text,
    lease_until timestamptz,
    started_at timestamptz,
    -- Jobs of one lock run in order of lock_seq: all but the first are blocked. Triggers see to it.
    lock text,
    lock_seq bigint,
    blocked boolean NOT NULL DEFAULT false,
    unique_key text,
    cancel_asked boolean NOT NULL DEFAULT false,
    progress smallint CHECK (progress BETWEEN 0 AND 100),
    progress_note text,
    CHECK ((worker IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, run_at, id) WHERE worker IS NULL AND NOT blocked;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE worker IS NOT NULL;
CREATE INDEX jobs_locked ON jobs (lock, lock_seq) WHERE lock IS NOT NULL;
-- Whatever the triggers do: never two that may run.
CREATE UNIQUE INDEX jobs_lock_head ON jobs (lock) WHERE lock IS NOT NULL AND NOT blocked;
CREATE UNIQUE INDEX jobs_unique_waiting ON jobs (unique_key) WHERE unique_key IS NOT NULL AND worker IS NULL;

-- Those who add to a lock or end one of its jobs take turns until they commit. So each sees what the one before
-- did, and the order of enqueueing is the order of commits.
CREATE SEQUENCE jobs_lock_seq;

CREATE FUNCTION jobs_join_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.lock, 7221));
    NEW.lock_seq := nextval('jobs_lock_seq');
    NEW.blocked := EXISTS (SELECT FROM jobs WHERE lock = NEW.lock);
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_join_lock BEFORE INSERT ON jobs
    FOR EACH ROW WHEN (NEW.lock IS NOT NULL) EXECUTE FUNCTION jobs_join_lock();

CREATE FUNCTION jobs_pass_lock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    passed text;
BEGIN
    FOR passed IN SELECT DISTINCT lock FROM gone WHERE lock IS NOT NULL ORDER BY lock LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended(passed, 7221));
        UPDATE jobs SET blocked = false
        WHERE blocked AND id = (SELECT id FROM jobs WHERE lock = passed ORDER BY lock_seq LIMIT 1);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_pass_lock AFTER DELETE ON jobs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION jobs_pass_lock();

-- The errors of a job with one more: at most fifty, none longer than two thousand characters.
CREATE FUNCTION job_errors_with(errors jsonb, attempt integer, at timestamptz, worker text, error text)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN error IS NULL THEN errors
           ELSE CASE WHEN jsonb_array_length(errors) >= 50 THEN errors - 0 ELSE coalesce(errors, '[]') END
                || jsonb_build_object('attempt', attempt, 'at', at, 'worker', worker, 'error', left(error, 2000)) END
$$;

CREATE TABLE paused_queues (
    queue text PRIMARY KEY
);

-- Never changed, only added to. What went well is in one partition for each day, which is dropped when it is old;
-- the dead are looked after by hand.
CREATE TABLE finished_jobs (
    id uuid NOT NULL,
    queue text NOT NULL,
    name text NOT NULL,
    payload json NOT NULL,
    priority smallint NOT NULL,
    state text NOT NULL CHECK (state IN ('done', 'dead', 'cancelled')),
    attempts integer NOT NULL,
    max_attempts integer NOT NULL,
    correlation_id text,
    lock text,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    error text,
    errors jsonb,
    PRIMARY KEY (id, state, finished_at)
) PARTITION BY LIST (state);
CREATE TABLE finished_jobs_dead PARTITION OF finished_jobs FOR VALUES IN ('dead');
CREATE INDEX finished_jobs_dead_age ON finished_jobs_dead (finished_at);
CREATE TABLE finished_jobs_ended PARTITION OF finished_jobs FOR VALUES IN ('done', 'cancelled')
    PARTITION BY RANGE (finished_at);
-- What no day was made for in time.
CREATE TABLE finished_jobs_other PARTITION OF finished_jobs_ended DEFAULT;

-- Makes the partition of a day, and moves into it what went elsewhere. Says whether there was none.
CREATE FUNCTION make_finished_jobs_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'finished_jobs_' || to_char(day, 'YYYYMMDD');
    since timestamptz := day::timestamp AT TIME ZONE 'UTC';
    until timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE finished_jobs_ended INCLUDING ALL)', partition);
    EXECUTE format(
        'WITH moved AS (DELETE FROM finished_jobs_other WHERE finished_at >= %L AND finished_at < %L RETURNING *)
         INSERT INTO %I SELECT * FROM moved', since, until, partition);
    EXECUTE format(
        'ALTER TABLE finished_jobs_ended ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, since, until);
    RETURN true;
END $$;

-- Drops the partitions of the days before; says how many.
CREATE FUNCTION drop_finished_jobs_days(before date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'finished_jobs_ended'::regclass AND c.relname ~ '^finished_jobs_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- What a queue outside the database has, or is to have: written in the caller's transaction, forwarded by the relay,
-- and kept until the job has ended, so that the queue is never the only one that knows of it.
CREATE TABLE outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    job json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The queue was given it. It may have lost it since.
    forwarded boolean NOT NULL DEFAULT false,
    -- The queue refuses it as it is, for this reason.
    refusal text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX outbox_unforwarded ON outbox (seq) WHERE NOT forwarded;
