-- The text of each migration as it was applied: one that is edited later is another migration under the same name, and
-- what it adds would be missing here without a word.
CREATE TABLE applied_migrations (
    version text PRIMARY KEY,
    -- Of up.sql, in hexadecimal digits.
    sha256 text NOT NULL,
    -- The release that applied it, or that first found it applied.
    release text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
