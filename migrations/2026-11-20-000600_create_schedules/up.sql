-- The ticks of schedules that were enqueued, a row each. Whoever adds the row enqueues the job: so two leaders of one
-- moment, or a clock that is set back, enqueue a tick once.

CREATE TABLE schedule_ticks (
    schedule text NOT NULL,
    tick timestamptz NOT NULL,
    job uuid NOT NULL,
    -- In order of enqueueing, which is not that of the ticks where a clock was moved.
    seq bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (schedule, tick)
);
CREATE INDEX schedule_ticks_latest ON schedule_ticks (schedule, seq);
