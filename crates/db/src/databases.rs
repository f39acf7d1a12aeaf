//! Databases as wholes: made, cloned, renamed and dropped, over a connection to another one.

use diesel::sql_types as st;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::{error::Result, sql::sql};

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = st::Bool)]
    found: bool,
}

/// Whether there is a database of this name.
pub async fn exists(conn: &mut AsyncPgConnection, name: &str) -> Result<bool> {
    let row: Found = sql("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1) AS found")
        .bind::<st::Text, _>(name)
        .get_result(conn)
        .await?;
    Ok(row.found)
}

/// Waits for, and then holds until the connection ends, a lock that all of the server's databases share through
/// the one that `conn` is connected to.
pub async fn lock(conn: &mut AsyncPgConnection, key: i64) -> Result<()> {
    sql("SELECT pg_advisory_lock($1)").bind::<st::BigInt, _>(key).execute(conn).await?;
    Ok(())
}

/// Makes a database: empty, or as `template` is. Nobody may be connected to the template.
pub async fn create(conn: &mut AsyncPgConnection, name: &str, template: Option<&str>) -> Result<()> {
    let template = template.unwrap_or("template0");
    conn.batch_execute(&format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(template))).await?;
    Ok(())
}

/// Gives a database that nobody is connected to another name.
pub async fn rename(conn: &mut AsyncPgConnection, from: &str, to: &str) -> Result<()> {
    conn.batch_execute(&format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))).await?;
    Ok(())
}

/// Drops a database, ending the connections to it. Dropping an absent one succeeds.
pub async fn drop(conn: &mut AsyncPgConnection, name: &str) -> Result<()> {
    conn.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await?;
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
