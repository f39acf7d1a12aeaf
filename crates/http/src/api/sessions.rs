//! One's own sessions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::sessions;
use tenon_core::{ids::SessionId, page::Items, sessions::Session, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    endpoint::{
        Api, Caller, Ctx, NoContent, Page, Path, Plain, Query,
        methods::{Delete, Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api.group("me", "One's own account.").scopes(Scope::ReadAccount, Scope::WriteAccount);
    group
        .op("list_sessions", Get, "/me/sessions", "One's living sessions", list)
        .describe("Newest first. `count` is not known for this list.");
    group
        .op("revoke_session", Delete, "/me/sessions/{session_id}", "End one of one's sessions", revoke)
        .describe("It is refused from its next request on, and its live connections close. Ending it again succeeds.");
    group
        .op(
            "revoke_other_sessions",
            Post,
            "/me/sessions/revoke-others",
            "End every session but the one in use",
            revoke_others,
        )
        .describe("Needs a session: with a personal access token none is in use, and the one that made the token would end, too.");
}

/// A login.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    id: Uuid,
    /// Sign-in.
    created_at: DateTime<Utc>,
    /// Latest exchange of tokens.
    last_seen_at: DateTime<Utc>,
    /// When it ends by itself.
    expires_at: DateTime<Utc>,
    /// What the client called itself at sign-in.
    #[schema(example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")]
    user_agent: String,
    /// Client address at sign-in.
    #[schema(example = "192.0.2.7")]
    address: String,
    /// Whether it is the one in use.
    current: bool,
}

impl SessionView {
    fn of(session: Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id.uuid(),
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            user_agent: session.user_agent,
            address: session.address,
            current: Some(session.id) == current,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct SessionPath {
    /// The session.
    session_id: Uuid,
}

async fn list(ctx: Ctx, caller: Caller, Query(paging): Query<Paging>) -> Result<Page<SessionView>, Problem> {
    let page = paging.page(&ctx, "sessions")?;
    let (items, current) = sessions::list(&ctx, &caller, &page).await?;
    let items: Items<SessionView, Uuid> = items.map(|session| SessionView::of(session, current));
    Ok(paging::answer(&ctx, "sessions", items)?)
}

async fn revoke(ctx: Ctx, caller: Caller, Path(p): Path<SessionPath>) -> Result<NoContent, Problem> {
    sessions::revoke(&ctx, &caller, p.session_id.into()).await?;
    Ok(NoContent)
}

/// What ended.
#[derive(Debug, Serialize, ToSchema)]
struct RevokedSessions {
    /// How many sessions.
    #[schema(example = 2)]
    count: i64,
}

async fn revoke_others(ctx: Ctx, caller: Caller) -> Result<Plain<RevokedSessions>, Problem> {
    let count = sessions::revoke_others(&ctx, &caller).await?;
    Ok(Plain(RevokedSessions { count: i64::try_from(count).unwrap_or(i64::MAX) }))
}
