-- The one log. A stream's row is the lock under which everything in it is written, so a smaller
-- seq is always committed before a larger one.

CREATE TABLE streams (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('workspace', 'project', 'person')),
    seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE changes (
    stream uuid NOT NULL REFERENCES streams ON DELETE CASCADE,
    seq bigint NOT NULL,
    kind text NOT NULL,
    subject uuid NOT NULL,
    actor_id uuid REFERENCES users ON DELETE SET NULL,
    correlation_id text NOT NULL,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    before jsonb,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX changes_subject ON changes (subject, stream, seq);
CREATE INDEX changes_actor ON changes (actor_id);
