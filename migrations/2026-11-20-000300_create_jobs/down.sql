DROP TABLE outbox;
DROP TABLE finished_jobs;
DROP TABLE jobs;
