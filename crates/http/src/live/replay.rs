//! The long way into a stream: what somebody missed is sent to them at their own pace, beside the channel, which
//! meanwhile serves those who are up to date. When little is missing the channel takes them in.

use std::sync::Arc;

use tenon_app::changes::{self, Tail};
use tenon_core::{Error, changes::Stream};

use super::{
    channel::{BATCH, BYTES, Member, NEAR},
    frames::ChangeView,
    hub::Hub,
};

/// Sends what comes after `after` until the channel can take over.
pub(super) async fn run(hub: Arc<Hub>, stream: Stream, member: Member, mut after: i64) {
    // Never closed.
    let Ok(_turn) = Arc::clone(&member.outbox.replays).acquire_owned().await else { return };
    loop {
        if !member.admission.is_wanted() {
            return;
        }
        let Tail { head, changes } = match changes::tail(&hub.app, stream, after, BATCH, BYTES).await {
            Ok(tail) => tail,
            Err(Error::Conflict { .. }) => return member.reset(stream),
            // What was sent so far is in order; the client asks again from there.
            Err(error) => return member.refuse(&error),
        };
        // Asked after what is shown was read: rights that were lost since are lost for it, too.
        let Ok(sight) = changes::sight(&hub.app, &member.caller, stream).await else {
            return member.revoke(stream);
        };
        for change in changes {
            after = change.seq;
            if sight.shows(&change) {
                let frame = ChangeView::new(stream, change).frame().to_string();
                if !member.outbox.send_waiting(frame.into()).await {
                    return;
                }
            }
        }
        if head - after <= NEAR {
            if member.outbox.half_empty().await {
                hub.join(stream, Member { after: Some(after), told: true, ..member });
            }
            return;
        }
    }
}
