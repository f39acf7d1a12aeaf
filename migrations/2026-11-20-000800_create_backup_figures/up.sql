-- What the last backup and the last drill measured, for the figures of whoever runs: both are done by commands that
-- end. Named as the figures are.
CREATE TABLE backup_figures (
    name text PRIMARY KEY,
    value double precision NOT NULL
);
