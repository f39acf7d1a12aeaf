//! Everything Postgres: schema, rows, query functions, the log, migrations, and a server of our own.

pub mod managed;
