-- The latest tick of each schedule that was enqueued, so that two leaders of one moment enqueue it once.

CREATE TABLE schedules (
    name text PRIMARY KEY,
    last_tick timestamptz NOT NULL
);
