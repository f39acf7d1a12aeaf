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
    -- Of the last attempt, if it failed.
    error text,
    -- Both while a worker holds it, neither while it waits.
    worker text,
    lease_until timestamptz,
    started_at timestamptz,
    CHECK ((worker IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, run_at, id) WHERE worker IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE worker IS NOT NULL;

CREATE TABLE finished_jobs (
    id uuid PRIMARY KEY,
    queue text NOT NULL,
    name text NOT NULL,
    payload json NOT NULL,
    priority smallint NOT NULL,
    state text NOT NULL CHECK (state IN ('done', 'dead', 'cancelled')),
    attempts integer NOT NULL,
    max_attempts integer NOT NULL,
    correlation_id text,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL,
    error text
);
CREATE INDEX finished_jobs_age ON finished_jobs (state, finished_at);

-- For queues that live elsewhere: filled in the caller's transaction, emptied by the relay.
CREATE TABLE outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job json NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
