DROP TABLE idempotency_keys;
DROP TABLE links;
DROP TABLE access_tokens;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE users;
