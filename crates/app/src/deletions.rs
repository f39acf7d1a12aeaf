//! The end of an account, by its person.
//!
//! What others use outlives it; what nobody else is in goes to the trash. A person who alone owns what others use
//! finds it a new owner first.

use std::collections::BTreeSet;

use serde_json::json;
use tenon_core::{
    Error, Result,
    accounts::{Belonging, DeleteInfo},
    callers::Caller,
    changes::{Change, Kind, Stream},
    ids::UserId,
    members::MemberRemoved,
    secrets::Secret,
    sessions::ClientInfo,
};
use tenon_db::{
    Connection,
    belongings::{self, Place, PlaceId},
};

use crate::{App, Tx, access, me};

/// What deleting the caller's account would do.
pub async fn preview(app: &App, caller: &Caller) -> Result<DeleteInfo> {
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    Ok(sorted(&belongings::of_user(&mut conn, person.id).await?))
}

fn sorted(places: &[Place]) -> DeleteInfo {
    let mut info = DeleteInfo::default();
    for place in places.iter().filter(|p| !p.is_deleted) {
        let (id, is_project) = match place.id() {
            PlaceId::Workspace(id) => (id.uuid(), false),
            PlaceId::Project(id) => (id.uuid(), true),
        };
        let list = match (place.others, place.sole_owner) {
            (0, _) => &mut info.destroyed,
            (_, true) => &mut info.blockers,
            _ => &mut info.left,
        };
        list.push(Belonging { id, is_project, name: place.name.clone() });
    }
    info
}

/// Deletes the caller's account, who proves to be the person. Refused while they alone own something that others use, and for the last
/// administrator.
pub async fn delete(
    app: &App,
    caller: &Caller,
    password: Option<&Secret>,
    expected: Option<i64>,
    client: &ClientInfo,
) -> Result<()> {
    me::prove_or_recent(app, caller, password, client).await?;
    let mut conn = app.read().await?;
    let person = access::person(app, &mut conn, caller).await?;
    let held = streams(&mut conn, person.id).await?;
    drop(conn);
    let locks: Vec<Stream> = held.iter().copied().collect();
    app.write(&locks, &caller.correlation_id, async |tx| {
        // Not the author of what is recorded: who is gone is nobody's author.
        let person = access::person(app, tx.conn(), caller).await?;
        let user = tenon_db::users::find(tx.conn(), person.id).await?.ok_or(Error::Unauthenticated)?;
        me::refuse_stale(&user, expected)?;
        if person.is_admin && tenon_db::users::lock_admins(tx.conn()).await? <= 1 {
            return Err(last_admin());
        }
        if streams(tx.conn(), person.id).await? != held {
            let detail = "Where you are a member changed just now. Look again and retry.";
            return Err(Error::conflict("changed-meanwhile", detail));
        }
        let places = belongings::of_user(tx.conn(), person.id).await?;
        let info = sorted(&places);
        refuse_blocked(&info)?;
        for place in &info.destroyed {
            trash(tx, place).await?;
        }
        tenon_db::users::delete(tx.conn(), person.id).await?;
        tenon_db::erasure::erase(tx.conn(), &user).await?;
        for place in &info.left {
            let removed = MemberRemoved { user_id: person.id };
            tx.record(stream_of(place), Change::new(Kind::MemberRemoved, person.id, removed))?;
        }
        let deleted = Change::new(Kind::AccountDeleted, person.id, json!({ "user_id": person.id }));
        tx.record(Stream::Person(person.id), deleted)
    })
    .await
}

/// Moves what nobody else is in to the trash.
async fn trash(tx: &mut Tx<'_>, place: &Belonging) -> Result<()> {
    let (now, stream) = (tx.now(), stream_of(place));
    if place.is_project {
        let found = tenon_db::projects::find(tx.conn(), place.id.into()).await?;
        let mut project = found.ok_or(Error::NotFound("project"))?;
        project.deleted_at = Some(now);
        project.version += 1;
        tenon_db::projects::update(tx.conn(), &project).await?;
        tx.record(stream, Change::new(Kind::ProjectDeleted, place.id, &project))
    } else {
        let found = tenon_db::workspaces::find(tx.conn(), place.id.into()).await?;
        let mut workspace = found.ok_or(Error::NotFound("workspace"))?;
        workspace.deleted_at = Some(now);
        workspace.version += 1;
        tenon_db::workspaces::update(tx.conn(), &workspace).await?;
        tx.record(stream, Change::new(Kind::WorkspaceDeleted, place.id, &workspace))
    }
}

pub(crate) fn last_admin() -> Error {
    Error::conflict("last-administrator", "The instance needs an administrator; make another one first.")
}

/// The logs that the end of an account is written to.
async fn streams(conn: &mut Connection, user: UserId) -> Result<BTreeSet<Stream>> {
    let places = sorted(&belongings::of_user(conn, user).await?);
    let all = places.blockers.iter().chain(&places.destroyed).chain(&places.left).map(stream_of);
    Ok(all.chain([Stream::Person(user)]).collect())
}

fn stream_of(place: &Belonging) -> Stream {
    if place.is_project { Stream::Project(place.id.into()) } else { Stream::Workspace(place.id.into()) }
}

fn refuse_blocked(info: &DeleteInfo) -> Result<()> {
    if info.blockers.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = info.blockers.iter().map(|b| b.name.as_str()).collect();
    let detail = format!("Others use what only you own; give it another owner first: {}.", names.join(", "));
    Err(Error::conflict("sole-owner", detail))
}
