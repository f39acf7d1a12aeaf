-- How many accounts signed in from an address widens its limit of failed sign-ins.
CREATE INDEX sessions_address ON sessions (address, created_at);
