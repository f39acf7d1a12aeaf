//! Linking invitations to the account that has just verified their address.

use tenon_core::{
    Result,
    changes::{Change, Kind, Stream},
    jobs::LinkInvitations,
};
use tenon_db::invitations;

use crate::App;

/// Links the pending invitations to the person's verified address and tells their log. Done again, it finds none.
pub async fn run(app: &App, job: LinkInvitations, correlation_id: &str) -> Result<()> {
    let stream = Stream::Person(job.user_id);
    app.write(&[stream], correlation_id, async |tx| {
        for stored in invitations::link(tx.conn(), job.user_id).await? {
            let invitation = &stored.invitation;
            tx.record(stream, Change::new(Kind::InvitationReceived, invitation.id, invitation))?;
        }
        Ok(())
    })
    .await
}
