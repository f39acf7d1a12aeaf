//! Linking invitations to the account that has just verified their address.

use tenon_core::{
    changes::{Change, Kind, Stream},
    jobs::LinkInvitations,
};
use tenon_db::invitations;

use super::{Context, Failure, Handle};

/// Links the pending invitations to the person's verified address and tells their log. Done again, it finds none.
impl Handle for LinkInvitations {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        let stream = Stream::Person(self.user_id);
        cx.app
            .write(&[stream], &cx.correlation_id(), async |tx| {
                for stored in invitations::link(tx.conn(), self.user_id).await? {
                    let invitation = &stored.invitation;
                    tx.record(stream, Change::new(Kind::InvitationReceived, invitation.id, invitation))?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }
}
