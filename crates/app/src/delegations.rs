//! What somebody passed on ends with their right to pass it on.
//!
//! An invitation is good while its sender may send it. That is looked at here, before every write is committed: when
//! what it recorded can have taken rights from somebody ([`takes_rights`]), the pending invitations that may rest on them
//! are judged anew. So a use-case that removes, demotes or deactivates people gets it by itself. Whoever accepts is
//! asked for the same ([`refuse_unfounded`]), for what was sent in the moment that its sender lost the right.

use tenon_core::{
    Error, Result,
    changes::{Kind, Stream},
    ids::InvitationId,
    invitations::{Delegation, InvitationStatus},
};
use tenon_db::{
    Connection,
    delegations::{self as rows},
    invitations,
};
use uuid::Uuid;

use crate::{
    Tx,
    invitations::{record_update, withdrawn},
    policy::is_founded,
    write::outdated,
};

/// Whether a change can take the right to invite from somebody.
const fn takes_rights(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::MemberRemoved
            | Kind::MemberRoleChanged
            | Kind::RoleUpdated
            | Kind::RoleDeleted
            | Kind::AccountActivityChanged
    )
}

/// Withdraws the invitations that a write leaves without somebody who may send them. Refused as [`outdated`] when the
/// write does not hold the logs of the places they lead to.
pub(crate) async fn end_unfounded(tx: &mut Tx<'_>) -> Result<()> {
    let (mut places, mut people): (Vec<Uuid>, Vec<Uuid>) = (vec![], vec![]);
    for (stream, _) in tx.recorded().filter(|(_, kind)| takes_rights(*kind)) {
        match stream {
            Stream::Workspace(_) | Stream::Project(_) => places.push(stream.uuid()),
            Stream::Person(_) => people.push(stream.uuid()),
        }
    }
    let mut pending: Vec<Delegation> = vec![];
    if !places.is_empty() {
        pending.extend(rows::into_places(tx.conn(), &places).await?);
    }
    if !people.is_empty() {
        pending.extend(rows::by_people(tx.conn(), &people).await?);
    }
    let ended: Vec<InvitationId> = pending.iter().filter(|d| !is_founded(d)).map(|d| d.id).collect();
    if ended.is_empty() {
        return Ok(());
    }
    let mut stored = invitations::of_ids(tx.conn(), &ended).await?;
    for stored in &mut stored {
        // The link stays known, so that whoever holds it can be told.
        stored.invitation.status = InvitationStatus::Revoked;
        stored.invitation.version += 1;
        if !tx.holds(&[stored.invitation.to.place().stream()]) {
            return Err(outdated());
        }
        record_update(tx, &stored.invitation)?;
    }
    Ok(invitations::save(tx.conn(), &stored).await?)
}

/// Whether a pending invitation is still its sender's to send.
pub(crate) async fn is_good(conn: &mut Connection, id: InvitationId) -> Result<bool> {
    Ok(rows::find(conn, id).await?.is_some_and(|delegation| is_founded(&delegation)))
}

/// Refuses an invitation that is no longer its sender's to send.
pub(crate) async fn refuse_unfounded(conn: &mut Connection, id: InvitationId) -> Result<(), Error> {
    if is_good(conn, id).await? { Ok(()) } else { Err(withdrawn()) }
}
