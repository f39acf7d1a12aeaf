//! Gives the stories of columns with long ranks new ones.
//!
//! No rank is made so long any more; earlier releases let them grow without end.

use tenon_core::{changes::Stream, ids::StatusId, jobs::ShortenRanks};
use tenon_db::ranks as rows;

use super::{Context, Failure, Handle};
use crate::ranks;

impl Handle for ShortenRanks {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        let mut after: Option<StatusId> = None;
        loop {
            let column = rows::next_long(&mut *cx.app.read().await?, after).await?;
            let Some((project, status)) = column else { return Ok(()) };
            if cx.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let work = async |tx: &mut crate::Tx<'_>| ranks::rewrite_column(tx, project, status).await;
            cx.app.write(&[Stream::Project(project)], &cx.correlation_id(), work).await?;
            tracing::info!(status.id = %status, "The stories of a column got short ranks.");
            after = Some(status);
        }
    }
}
