-- Whether the installation is being maintained: one row while it is, none otherwise. Every process looks here.

CREATE TABLE maintenance (
    -- There is one installation.
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    since timestamptz NOT NULL,
    -- What people are told: why, and until when it will probably last.
    message text CHECK (length(message) <= 500),
    until timestamptz
);
