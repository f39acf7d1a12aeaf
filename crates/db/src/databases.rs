//! Databases as wholes: made, cloned, renamed and dropped, over a connection to another one.

use diesel::sql_types as st;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::{error::Result, sql::sql};

#[derive(diesel::QueryableByName)]
struct Found {
    #[diesel(sql_type = st::Bool)]
    found: bool,
}

#[derive(diesel::QueryableByName)]
struct Named {
    #[diesel(sql_type = st::Text)]
    name: String,
}

#[derive(diesel::QueryableByName)]
struct Locale {
    #[diesel(sql_type = st::Text)]
    collation: String,
    #[diesel(sql_type = st::Text)]
    ctype: String,
    #[diesel(sql_type = st::Text)]
    encoding: String,
}

#[derive(diesel::QueryableByName)]
struct Visitor {
    #[diesel(sql_type = st::Text)]
    program: String,
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

/// The same lock if nobody holds it; whether it is held now.
pub async fn try_lock(conn: &mut AsyncPgConnection, key: i64) -> Result<bool> {
    let row: Found =
        sql("SELECT pg_try_advisory_lock($1) AS found").bind::<st::BigInt, _>(key).get_result(conn).await?;
    Ok(row.found)
}

/// Databases of the account of `conn` whose names begin like this, in order.
pub async fn owned(conn: &mut AsyncPgConnection, beginning: &str) -> Result<Vec<String>> {
    let rows: Vec<Named> = sql("SELECT datname::text AS name FROM pg_database
         WHERE starts_with(datname::text, $1) AND pg_has_role(datdba, 'USAGE') ORDER BY 1")
    .bind::<st::Text, _>(beginning)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Makes a database: empty, or as `template` is. Nobody may be connected to the template.
pub async fn create(conn: &mut AsyncPgConnection, name: &str, template: Option<&str>) -> Result<()> {
    let template = template.unwrap_or("template0");
    conn.batch_execute(&format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(template))).await?;
    Ok(())
}

/// Makes an empty database that sorts and encodes text as the database of `conn` does.
pub async fn create_alike(conn: &mut AsyncPgConnection, name: &str) -> Result<()> {
    let own: Locale = sql(
        "SELECT datcollate AS collation, datctype AS ctype, pg_encoding_to_char(encoding)::text AS encoding
         FROM pg_database WHERE datname = current_database()",
    )
    .get_result(conn)
    .await?;
    conn.batch_execute(&format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quoted(name),
        literal(&own.encoding),
        literal(&own.collation),
        literal(&own.ctype)
    ))
    .await?;
    Ok(())
}

/// Whether the account of `conn` may make databases.
pub async fn may_create(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Found =
        sql("SELECT rolcreatedb OR rolsuper AS found FROM pg_roles WHERE rolname = current_user")
            .get_result(conn)
            .await?;
    Ok(row.found)
}

/// Programs connected to a database, apart from the connection that asks.
pub async fn visitors(conn: &mut AsyncPgConnection, name: &str) -> Result<Vec<String>> {
    let rows: Vec<Visitor> = sql("SELECT coalesce(nullif(application_name, ''), 'a program') AS program
         FROM pg_stat_activity
         WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1")
    .bind::<st::Text, _>(name)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.program).collect())
}

/// Ends the connections to a database, and waits until they are gone.
pub async fn disconnect(conn: &mut AsyncPgConnection, name: &str) -> Result<()> {
    sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()")
        .bind::<st::Text, _>(name)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a database that nobody is connected to another name.
pub async fn rename(conn: &mut AsyncPgConnection, from: &str, to: &str) -> Result<()> {
    conn.batch_execute(&format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))).await?;
    Ok(())
}

/// Gives `name` to the database `new`, and the one that has it the name `old`: both or neither. Nobody may be connected
/// to either.
pub async fn replace(conn: &mut AsyncPgConnection, name: &str, old: &str, new: &str) -> Result<()> {
    let (name, old, new) = (quoted(name), quoted(old), quoted(new));
    // Sent as one, the statements are one transaction.
    conn.batch_execute(&format!(
        "ALTER DATABASE {name} RENAME TO {old}; ALTER DATABASE {new} RENAME TO {name}"
    ))
    .await?;
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

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
