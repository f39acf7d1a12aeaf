//! People, as administrators of the instance see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::users::{self, AccountPatch, Operator, Patched};
use tenon_core::{
    emails::Email,
    secrets::NewPassword,
    tokens::Scope,
    users::{FullName, Lang, NewAccount, Timezone, User, Username},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::me::BelongingView;
use crate::{
    endpoint::{
        Api, Body, Caller, Created, Ctx, Given, IfMatch, Json, NoContent, Page, Patch, Path, Query,
        Versioned,
        methods::{Get, Patch as PatchMethod, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

const ONE: &str = "/users/{user_id}";
/// The permission of this group, as the document says it.
const ADMIN: &str = "administrator";

pub(super) fn mount(api: &mut Api) {
    let mut group =
        api.group("users", "People, for administrators of the instance.").scopes(Scope::Admin, Scope::Admin);
    group
        .op("list_users", Get, "/users", "Everybody with an account", list)
        .describe("In order of arrival.")
        .permission(ADMIN);
    group
        .op("create_user", Post, "/users", "Make an account", create)
        .describe("With a password the account is ready at once. Without one, a mailed link lets the person choose it, which also verifies the address.")
        .conflicts(&["username-taken", "email-taken"])
        .permission(ADMIN);
    group.op("get_user", Get, ONE, "Somebody with an account", get).permission(ADMIN);
    group
        .op("update_user", PatchMethod, ONE, "Switch an account on or off, make or unmake an administrator", update)
        .describe(
            "A deactivated account is refused from its next request on, its sessions end, and its pending invitations are withdrawn. \
             Activated again, its personal access tokens of before have ended, too. The last administrator stays one. A sole owner is deactivated like anybody else: `without_owner` lists what others use and is then without an \
             active owner (`list_sole_ownerships` tells before), and `set_workspace_owner` and `set_project_owner` give it another.",
        )
        .conflicts(&["last-administrator", "email-not-verified"])
        .permission(ADMIN);
    group
        .op(
            "send_password_reset",
            Post,
            "/users/{user_id}/send-password-reset",
            "Mail somebody a link to choose a new password",
            send_reset,
        )
        .describe("Refused for a deactivated account: activate it first.")
        .conflicts(&["account-deactivated"])
        .permission(ADMIN);
}

/// A language of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Lang)]
pub(crate) enum LangView {
    /// English.
    En,
    /// Spanish.
    Es,
    /// French.
    Fr,
}

impl From<Lang> for LangView {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::En,
            Lang::Es => Self::Es,
            Lang::Fr => Self::Fr,
        }
    }
}

impl From<LangView> for Lang {
    fn from(lang: LangView) -> Self {
        match lang {
            LangView::En => Self::En,
            LangView::Es => Self::Es,
            LangView::Fr => Self::Fr,
        }
    }
}

/// A person with everything that the person and administrators see.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    id: Uuid,
    /// Unique handle.
    #[schema(example = "ada")]
    username: String,
    /// Unique address.
    #[schema(example = "ada@example.org")]
    email: String,
    /// Name.
    #[schema(example = "Ada Lovelace")]
    full_name: String,
    /// Shade, 1 to 20.
    #[schema(example = 7, minimum = 1, maximum = 20)]
    color: i16,
    /// Language of mails and of the interface.
    lang: LangView,
    /// IANA time zone.
    #[schema(example = "Europe/London")]
    timezone: String,
    /// False until the address is verified, or once deactivated.
    is_active: bool,
    /// Administers the instance.
    is_admin: bool,
    /// When the address was verified.
    verified_at: Option<DateTime<Utc>>,
    /// Latest sign-in.
    last_login_at: Option<DateTime<Utc>>,
    /// Sign-up.
    created_at: DateTime<Utc>,
    /// Increases with every change of the profile.
    version: i64,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.uuid(),
            username: user.username.into(),
            email: user.email.into(),
            full_name: user.full_name.into(),
            color: user.color.get(),
            lang: user.lang.into(),
            timezone: user.timezone.into(),
            is_active: user.is_active,
            is_admin: user.is_admin,
            verified_at: user.verified_at,
            last_login_at: user.last_login_at,
            created_at: user.created_at,
            version: user.version,
        }
    }
}

/// A changed account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangedUser)]
struct ChangedUserView {
    #[serde(flatten)]
    user: UserView,
    /// Workspaces and projects that others use and that are without an active owner, as the account is not active.
    without_owner: Vec<BelongingView>,
}

impl From<Patched> for ChangedUserView {
    fn from(patched: Patched) -> Self {
        Self {
            user: patched.user.into(),
            without_owner: patched.without_owner.into_iter().map(Into::into).collect(),
        }
    }
}

impl Versioned for ChangedUserView {
    fn version(&self) -> i64 {
        self.user.version
    }
}

impl Versioned for UserView {
    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct UserPath {
    /// The person.
    pub user_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UserFilter {
    /// Only those whose username, name or address contains this.
    #[param(min_length = 1, max_length = 100, example = "lovelace")]
    search: Option<String>,
}

/// An account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
struct NewUser {
    /// Address.
    #[schema(value_type = String, format = "email", max_length = 254, example = "grace@example.org")]
    email: Email,
    /// Handle; made from the address when absent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", example = "grace")]
    username: Option<Username>,
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Grace Hopper")]
    full_name: FullName,
    /// Password; when absent, a mailed link lets the person choose one.
    #[schema(value_type = Option<String>, format = "password", min_length = 10, max_length = 256, example = "nanoseconds of wire")]
    password: Option<NewPassword>,
    /// Language of mails and of the interface.
    lang: Option<LangView>,
    /// IANA time zone; UTC when absent.
    #[schema(value_type = Option<String>, max_length = 100, example = "America/New_York")]
    timezone: Option<Timezone>,
    /// Administers the instance.
    #[serde(default)]
    is_admin: bool,
}

/// A changed account; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserPatch)]
struct UserPatch {
    /// Switches the account on or off.
    #[serde(default)]
    #[schema(value_type = bool)]
    is_active: Given<bool>,
    /// Makes or unmakes an administrator.
    #[serde(default)]
    #[schema(value_type = bool)]
    is_admin: Given<bool>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Query(filter): Query<UserFilter>,
    Query(paging): Query<Paging>,
) -> Result<Page<UserView>, Problem> {
    let page = paging.page(&ctx, "users")?;
    let search = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty());
    let (items, total) =
        users::list(&ctx, Operator::Caller(&caller), search, &page, paging.wants_count()).await?;
    Ok(paging::answer(&ctx, "users", items)?.with_total(total))
}

async fn create(ctx: Ctx, caller: Caller, Body(new): Body<NewUser>) -> Result<Created<UserView>, Problem> {
    let new = NewAccount {
        email: new.email,
        username: new.username,
        full_name: new.full_name,
        password: new.password,
        lang: new.lang.map(Lang::from).unwrap_or_default(),
        timezone: new.timezone.unwrap_or_default(),
        is_admin: new.is_admin,
    };
    let user = users::create(&ctx, Operator::Caller(&caller), new).await?;
    Ok(Created::at(format!("/users/{}", user.id), user.into()))
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<UserPath>) -> Result<Json<UserView>, Problem> {
    Ok(Json(users::get(&ctx, Operator::Caller(&caller), p.user_id.into()).await?.into()))
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    Path(p): Path<UserPath>,
    seen: IfMatch,
    Patch(patch): Patch<UserPatch>,
) -> Result<Json<ChangedUserView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let patch =
        AccountPatch { is_active: patch.is_active.into_option(), is_admin: patch.is_admin.into_option() };
    let changed = users::patch(&ctx, Operator::Caller(&caller), p.user_id.into(), patch, expected).await?;
    Ok(Json(changed.into()))
}

async fn send_reset(ctx: Ctx, caller: Caller, Path(p): Path<UserPath>) -> Result<NoContent, Problem> {
    users::send_reset(&ctx, Operator::Caller(&caller), p.user_id.into()).await?;
    Ok(NoContent)
}
