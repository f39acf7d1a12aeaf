-- People, their logins, their tokens, and the links mailed to them.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL UNIQUE,
    email text NOT NULL UNIQUE,
    password_hash text,
    full_name text NOT NULL,
    color smallint NOT NULL,
    lang text NOT NULL,
    timezone text NOT NULL,
    is_active boolean NOT NULL DEFAULT false,
    is_admin boolean NOT NULL DEFAULT false,
    accepted_terms_at timestamptz,
    accepted_privacy_at timestamptz,
    verified_at timestamptz,
    last_login_at timestamptz,
    created_at timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    CHECK (username = lower(username)),
    CHECK (email = lower(email))
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    user_agent text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- Every refresh token ever issued to a living session: a rotated one that comes back is a theft.
CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    rotated_at timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE TABLE access_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX access_tokens_user ON access_tokens (user_id, created_at);

-- Single-use links; the token in the mail is derived from the id with a key that is not here.
CREATE TABLE links (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    purpose text NOT NULL,
    user_id uuid REFERENCES users ON DELETE CASCADE,
    -- For a change of address: the address wanted, and the other half of the pair.
    new_email text,
    partner_id uuid,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX links_user ON links (user_id, purpose);

CREATE TABLE idempotency_keys (
    caller text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);
