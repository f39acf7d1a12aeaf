//! One's own account: profile, password, address, and its end.

use serde::{Deserialize, Serialize};
use tenon_app::{deletions, email_changes, me};
use tenon_core::{
    accounts::{Belonging, DeleteInfo},
    emails::Email,
    secrets::{NewPassword, Secret},
    text::Color,
    tokens::Scope,
    users::{FullName, Lang, ProfilePatch, Timezone, Username},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    cookies::SignedOut,
    users::{LangView, UserView},
};
use crate::{
    endpoint::{
        Accepted, Api, Body, Caller, Client, Ctx, Given, IfMatch, Json, MaybeBody, NoContent, Patch, Plain,
        methods::{Delete, Get, Patch as PatchMethod, Post},
    },
    problem::Problem,
};

pub(super) fn mount(api: &mut Api) {
    let mut group = api.group("me", "One's own account.").scopes(Scope::ReadAccount, Scope::WriteAccount);
    group.op("get_me", Get, "/me", "One's own account", get);
    group.op("update_me", PatchMethod, "/me", "Change one's profile", update).conflicts(&["username-taken"]);
    group
        .op("delete_me", Delete, "/me", "Delete one's account", delete)
        .describe("Needs a session, not a personal access token, and the password; an account without a password needs a sign-in of the last 15 minutes instead. Refused while one alone owns what others use, and for the last administrator; `/me/delete-info` tells beforehand. What nobody else is in goes to the trash.")
        .conflicts(&["sole-owner", "last-administrator", "changed-meanwhile", "sign-in-not-recent"]);
    group.op("get_delete_info", Get, "/me/delete-info", "What deleting one's account would do", delete_info);
    group
        .op("change_password", Post, "/me/password", "Change one's password", change_password)
        .describe("Needs the old password, and a session. Every other session ends. Personal access tokens go on; the mail that tells names them.");
    group
        .op("request_email_change", Post, "/me/email", "Change one's address", change_email)
        .describe("Needs the password, and a session. Mails a link to the old and to the new address; the address changes when both were followed. An address that has an account gets the same answer.");
}

async fn get(ctx: Ctx, caller: Caller) -> Result<Json<UserView>, Problem> {
    Ok(Json(me::get(&ctx, &caller).await?.into()))
}

/// A changed profile; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProfilePatch)]
struct PatchProfile {
    /// New handle.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", example = "ada")]
    username: Given<Username>,
    /// New name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Ada King")]
    full_name: Given<FullName>,
    /// New shade, 1 to 20.
    #[serde(default)]
    #[schema(value_type = i16, minimum = 1, maximum = 20, example = 7)]
    color: Given<Color>,
    /// New language.
    #[serde(default)]
    #[schema(value_type = LangView)]
    lang: Given<LangView>,
    /// New IANA time zone.
    #[serde(default)]
    #[schema(value_type = String, max_length = 100, example = "Europe/London")]
    timezone: Given<Timezone>,
    /// The version you have seen, when there is no `If-Match`.
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<i64>,
}

async fn update(
    ctx: Ctx,
    caller: Caller,
    seen: IfMatch,
    Patch(patch): Patch<PatchProfile>,
) -> Result<Json<UserView>, Problem> {
    let expected = seen.or(patch.version.into_option());
    let patch = ProfilePatch {
        username: patch.username.into_option(),
        full_name: patch.full_name.into_option(),
        color: patch.color.into_option(),
        lang: patch.lang.into_option().map(Lang::from),
        timezone: patch.timezone.into_option(),
    };
    Ok(Json(me::patch(&ctx, &caller, &patch, expected).await?.into()))
}

/// Proof that it is the account's own person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountDeletion {
    /// Your password; only an account without one can leave it out.
    #[schema(value_type = Option<String>, format = "password", max_length = 256, example = "difference engine 2")]
    password: Option<Secret>,
}

async fn delete(
    ctx: Ctx,
    caller: Caller,
    client: Client,
    seen: IfMatch,
    MaybeBody(proof): MaybeBody<AccountDeletion>,
) -> Result<SignedOut, Problem> {
    let password = proof.and_then(|proof| proof.password);
    deletions::delete(&ctx, &caller, password.as_ref(), seen.version(), &client.info()).await?;
    Ok(SignedOut::new(&ctx))
}

/// What deleting one's account would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeleteInfo)]
struct DeleteInfoView {
    /// Stand in the way: others use them, and nobody else owns them.
    blockers: Vec<BelongingView>,
    /// Would go to the trash: nobody else is in them.
    destroyed: Vec<BelongingView>,
    /// Would be left.
    left: Vec<BelongingView>,
}

/// A workspace or project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Belonging)]
pub(super) struct BelongingView {
    /// Which of the two.
    kind: BelongingKind,
    /// Its id.
    id: Uuid,
    /// Its name.
    #[schema(example = "Engines")]
    name: String,
}

/// Workspace or project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BelongingKind {
    /// A workspace.
    Workspace,
    /// A project.
    Project,
}

impl From<Belonging> for BelongingView {
    fn from(of: Belonging) -> Self {
        let kind = if of.is_project { BelongingKind::Project } else { BelongingKind::Workspace };
        Self { kind, id: of.id, name: of.name }
    }
}

impl From<DeleteInfo> for DeleteInfoView {
    fn from(info: DeleteInfo) -> Self {
        let views = |list: Vec<Belonging>| list.into_iter().map(BelongingView::from).collect();
        Self { blockers: views(info.blockers), destroyed: views(info.destroyed), left: views(info.left) }
    }
}

async fn delete_info(ctx: Ctx, caller: Caller) -> Result<Plain<DeleteInfoView>, Problem> {
    Ok(Plain(deletions::preview(&ctx, &caller).await?.into()))
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    /// The password so far.
    #[schema(value_type = String, format = "password", max_length = 256, example = "difference engine 2")]
    old_password: Secret,
    /// The password from now on; common ones are refused.
    #[schema(value_type = String, format = "password", min_length = 10, max_length = 256, example = "analytical engine 1")]
    new_password: NewPassword,
}

async fn change_password(
    ctx: Ctx,
    caller: Caller,
    client: Client,
    Body(new): Body<PasswordChange>,
) -> Result<NoContent, Problem> {
    me::change_password(&ctx, &caller, &new.old_password, &new.new_password, &client.info()).await?;
    Ok(NoContent)
}

/// A wish for another address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEmail {
    /// The address wanted.
    #[schema(value_type = String, format = "email", max_length = 254, example = "ada.king@example.org")]
    email: Email,
    /// One's password.
    #[schema(value_type = String, format = "password", max_length = 256, example = "difference engine 2")]
    password: Secret,
}

/// Where the links went.
#[derive(Debug, Serialize, ToSchema)]
struct EmailChangeMailed {
    /// The address wanted; a link went to the present one, too.
    #[schema(example = "ada.king@example.org")]
    new_email: String,
}

async fn change_email(
    ctx: Ctx,
    caller: Caller,
    client: Client,
    Body(new): Body<NewEmail>,
) -> Result<Accepted<EmailChangeMailed>, Problem> {
    email_changes::request(&ctx, &caller, &new.email, &new.password, &client.info()).await?;
    Ok(Accepted(EmailChangeMailed { new_email: new.email.into() }))
}
