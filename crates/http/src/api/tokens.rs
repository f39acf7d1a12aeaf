//! One's own personal access tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::tokens;
use tenon_core::tokens::{NewToken, Scope, Token, TokenName};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Json, NoContent, Page, Path, Query, Versioned,
        methods::{Delete, Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

const ONE: &str = "/me/tokens/{token_id}";

pub(super) fn mount(api: &mut Api) {
    let mut group = api.group("me", "One's own account.").scopes(Scope::ReadAccount, Scope::WriteAccount);
    group
        .op("list_tokens", Get, "/me/tokens", "One's personal access tokens", list)
        .describe("Newest first, ended ones included. `count` is not known for this list.");
    group
        .op("create_token", Post, "/me/tokens", "Make a personal access token", create)
        .secret()
        .describe("Its secret is shown this once. Needs a session: a token cannot make tokens. Only administrators of the instance can give it the scope `admin`.")
        .conflicts(&["too-many-tokens"]);
    group.op("get_token", Get, ONE, "A personal access token", get);
    group
        .op("delete_token", Delete, ONE, "End a personal access token", delete)
        .describe("It is refused from its next request on, and its live connections close.");
}

/// What a token may be used for. Writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Scope)]
enum ScopeView {
    /// Read one's own account.
    ReadAccount,
    /// Change it.
    WriteAccount,
    /// Read workspaces and their members.
    ReadWorkspaces,
    /// Change them.
    WriteWorkspaces,
    /// Read projects and everything in them.
    ReadProjects,
    /// Change them.
    WriteProjects,
    /// Administer the instance, if the person may.
    Admin,
}

macro_rules! scopes {
    ($($name:ident),*) => {
        impl From<Scope> for ScopeView {
            fn from(scope: Scope) -> Self {
                match scope { $(Scope::$name => Self::$name),* }
            }
        }
        impl From<ScopeView> for Scope {
            fn from(scope: ScopeView) -> Self {
                match scope { $(ScopeView::$name => Self::$name),* }
            }
        }
    };
}
scopes!(ReadAccount, WriteAccount, ReadWorkspaces, WriteWorkspaces, ReadProjects, WriteProjects, Admin);

/// A personal access token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    id: Uuid,
    /// What its person calls it.
    #[schema(example = "Nightly export")]
    name: String,
    /// What it may be used for.
    scopes: Vec<ScopeView>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends, if ever.
    expires_at: Option<DateTime<Utc>>,
    /// Latest use, to the minute; known about a minute later.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.uuid(),
            name: token.name.into(),
            scopes: token.scopes.into_iter().map(ScopeView::from).collect(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// Tokens never change.
impl Versioned for TokenView {
    fn version(&self) -> i64 {
        1
    }
}

/// A personal access token with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedToken)]
struct CreatedTokenView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    id: Uuid,
    /// What its person calls it.
    #[schema(example = "Nightly export")]
    name: String,
    /// What it may be used for.
    scopes: Vec<ScopeView>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends, if ever.
    expires_at: Option<DateTime<Utc>>,
    /// The secret, shown this once: for `Authorization: Bearer`.
    #[schema(example = "tenon_pat_k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    token: String,
}

impl Versioned for CreatedTokenView {
    fn version(&self) -> i64 {
        1
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
struct TokenWish {
    /// What to call it.
    #[schema(value_type = String, min_length = 1, max_length = 80, example = "Nightly export")]
    name: TokenName,
    /// What it may be used for; at least one.
    #[schema(min_items = 1, max_items = 7, example = json!(["read-projects"]))]
    scopes: Vec<ScopeView>,
    /// When it ends; never when absent.
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize, IntoParams)]
struct TokenPath {
    /// The token.
    token_id: Uuid,
}

async fn list(ctx: Ctx, caller: Caller, Query(paging): Query<Paging>) -> Result<Page<TokenView>, Problem> {
    let page = paging.page(&ctx, "tokens")?;
    Ok(paging::answer(&ctx, "tokens", tokens::list(&ctx, &caller, &page).await?)?)
}

async fn create(
    ctx: Ctx,
    caller: Caller,
    Body(new): Body<TokenWish>,
) -> Result<Created<CreatedTokenView>, Problem> {
    let new = NewToken {
        name: new.name,
        scopes: new.scopes.into_iter().map(Scope::from).collect(),
        expires_at: new.expires_at,
    };
    let (token, secret) = tokens::create(&ctx, &caller, new).await?;
    let location = format!("/me/tokens/{}", token.id);
    let TokenView { id, name, scopes, created_at, expires_at, .. } = token.into();
    let token = secret.expose().clone();
    Ok(Created::at(location, CreatedTokenView { id, name, scopes, created_at, expires_at, token }))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<TokenPath>) -> Result<Json<TokenView>, Problem> {
    Ok(Json(tokens::get(&ctx, &caller, p.token_id.into()).await?.into()))
}

async fn delete(ctx: Ctx, caller: Caller, Path(p): Path<TokenPath>) -> Result<NoContent, Problem> {
    tokens::delete(&ctx, &caller, p.token_id.into()).await?;
    Ok(NoContent)
}
