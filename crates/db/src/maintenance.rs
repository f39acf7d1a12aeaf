//! Whether the installation is being maintained.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    maintenance::{Message, Notice},
};

use crate::{error::Result, schema::maintenance};

/// The maintenance that is going on, if one is.
pub async fn current(conn: &mut AsyncPgConnection) -> Result<Option<Notice>> {
    let row: Option<(Time, Option<String>, Option<Time>)> = maintenance::table
        .select((maintenance::since, maintenance::message, maintenance::until))
        .first(conn)
        .await
        .optional()?;
    let Some((since, message, until)) = row else { return Ok(None) };
    let message = message.as_deref().map(Message::parse).transpose()?;
    Ok(Some(Notice { since, message, until }))
}

/// Begins maintenance, or changes what people are told of the one that is going on, which keeps its beginning.
pub async fn begin(conn: &mut AsyncPgConnection, notice: &Notice) -> Result<()> {
    let told = (
        maintenance::message.eq(notice.message.as_ref().map(Message::as_str)),
        maintenance::until.eq(notice.until),
    );
    diesel::insert_into(maintenance::table)
        .values((maintenance::since.eq(notice.since), told))
        .on_conflict(maintenance::id)
        .do_update()
        .set(told)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends maintenance; false when there was none.
pub async fn end(conn: &mut AsyncPgConnection) -> Result<bool> {
    Ok(diesel::delete(maintenance::table).execute(conn).await? > 0)
}
