//! Signing up, in and out, and the links that mails carry.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::{accounts, claims, email_changes, resets, sessions};
use tenon_core::{
    accounts::{Claim, SignUp},
    emails::Email,
    secrets::{NewPassword, Secret},
    sessions::TokenPair,
    tokens::Scope,
    users::{FullName, Lang, Timezone, User, Username},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    cookies::{RefreshCookie, SignedIn, SignedOut},
    users::{LangView, UserView},
};
use crate::{
    endpoint::{
        Accepted, Api, Body, Caller, Client, Correlation, Created, Ctx, NoContent, Plain, methods::Post,
    },
    problem::Problem,
};

const SIGN_IN: &str = "\
`login` is an address or a username. With `\"delivery\": \"cookie\"` (browsers) the tokens come as `HttpOnly` cookies and \
the body says only what the page needs: send `csrf_token` (also in the readable cookie `__Host-tenon_csrf`) as `X-CSRF-Token` \
with every change. An unknown account and a wrong password get the same answer. That an account is not verified or \
switched off is told only to whoever knows its password. Where people come without TLS the cookies have no prefix `__Host-` or `__Secure-`.";

const REFRESH: &str = "\
A refresh token is good for one exchange. One that comes back after it was exchanged was stolen: its session ends, \
for everybody who holds a token of it. For ten seconds it is taken for a lost answer instead and gives another pair. \
Without `refresh_token` the browser's cookie is exchanged and the new pair comes as cookies.";

const LINK_CODES: &[&str] = &["link-not-valid"];

pub(super) fn mount(api: &mut Api) {
    let mut group =
        api.group("auth", "Signing up, in and out.").scopes(Scope::ReadAccount, Scope::WriteAccount);
    group
        .op("sign_up", Post, "/auth/sign-up", "Sign up", sign_up)
        .login()
        .describe("Mails a link that verifies the address. An address that has an account gets the same answer; its owner is told by mail.")
        .conflicts(&["username-taken", "registration-closed", "invitation-needed"]);
    group
        .op("resend_verification", Post, "/auth/resend-verification", "Mail the verifying link again", resend)
        .login()
        .describe("Answers the same whether the address waits to be verified or not.");
    group
        .op("verify_email", Post, "/auth/verify-email", "Verify one's address", verify)
        .proof()
        .describe("Takes the token of the mailed link. The account can sign in from then on.")
        .conflicts(LINK_CODES);
    group
        .op("sign_in", Post, "/auth/sign-in", "Sign in", sign_in)
        .secret()
        .describe(SIGN_IN)
        .problem(401, "No such account, or another password.")
        .conflicts(&["email-not-verified", "account-deactivated"]);
    group
        .op("refresh_session", Post, "/auth/refresh", "Get a new pair of tokens", refresh)
        .proof()
        .describe(REFRESH)
        .problem(401, "The refresh token is unknown, ended, revoked or was exchanged before; or the account is not active, which `code` says.");
    group
        .op("sign_out", Post, "/auth/sign-out", "Sign out", sign_out)
        .describe("Ends the session in use and clears its cookies. A personal access token cannot sign out; delete it instead.");
    group
        .op(
            "request_password_reset",
            Post,
            "/auth/reset-password/request",
            "Ask for a new password",
            request_reset,
        )
        .login()
        .describe("Mails a link to the address, if it has an account. Answers the same if not.");
    group
        .op("reset_password", Post, "/auth/reset-password", "Choose a new password", reset)
        .proof()
        .describe("Takes the token of the mailed link. Every session and every personal access token of the account ends, and a mail tells.")
        .conflicts(LINK_CODES);
    group
        .op("confirm_email_change", Post, "/auth/change-email", "Consent to a change of address", change_email)
        .proof()
        .describe("Takes the token of a link mailed to the old or the new address. The address changes with the second consent.")
        .conflicts(&["link-not-valid", "email-taken"]);
    group
        .op("claim_instance", Post, "/auth/claim", "Become the first administrator", claim)
        .proof()
        .describe("Takes the token that the instance showed when it started without an administrator.")
        .conflicts(&["link-not-valid", "already-claimed", "username-taken", "email-taken"]);
}

/// A wish to sign up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignUp)]
struct NewSignUp {
    /// Address.
    #[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.org")]
    email: Email,
    /// Handle; made from the address when absent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", example = "ada")]
    username: Option<Username>,
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Ada Lovelace")]
    full_name: FullName,
    /// Password; common ones are refused.
    #[schema(value_type = String, format = "password", min_length = 10, max_length = 256, example = "difference engine 2")]
    password: NewPassword,
    /// Language of mails and of the interface.
    lang: Option<LangView>,
    /// IANA time zone; UTC when absent.
    #[schema(value_type = Option<String>, max_length = 100, example = "Europe/London")]
    timezone: Option<Timezone>,
    /// The terms of use are accepted; must be true.
    accept_terms: bool,
    /// The privacy policy is accepted; must be true.
    accept_privacy: bool,
}

/// Where a mail goes, if there is anything to mail.
#[derive(Debug, Serialize, ToSchema)]
struct Mailed {
    /// The address, as it was understood.
    #[schema(example = "ada@example.org")]
    email: String,
}

/// An address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmailAddress {
    /// Address.
    #[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.org")]
    email: Email,
}

/// The token of a mailed link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LinkToken {
    /// What stands at the end of the link.
    #[schema(value_type = String, max_length = 200, example = "k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    token: Secret,
}

async fn sign_up(
    ctx: Ctx,
    client: Client,
    Correlation(correlation): Correlation,
    Body(new): Body<NewSignUp>,
) -> Result<Accepted<Mailed>, Problem> {
    let email = new.email.as_str().to_owned();
    let wish = SignUp {
        email: new.email,
        username: new.username,
        full_name: new.full_name,
        password: new.password,
        lang: new.lang.map(Lang::from).unwrap_or_default(),
        timezone: new.timezone.unwrap_or_default(),
        accept_terms: new.accept_terms,
        accept_privacy: new.accept_privacy,
    };
    accounts::sign_up(&ctx, wish, &client.info(), &correlation).await?;
    Ok(Accepted(Mailed { email }))
}

async fn resend(
    ctx: Ctx,
    client: Client,
    Correlation(correlation): Correlation,
    Body(of): Body<EmailAddress>,
) -> Result<Accepted<Mailed>, Problem> {
    accounts::resend_verification(&ctx, &of.email, &client.info(), &correlation).await?;
    Ok(Accepted(Mailed { email: of.email.into() }))
}

async fn verify(
    ctx: Ctx,
    Correlation(correlation): Correlation,
    Body(link): Body<LinkToken>,
) -> Result<NoContent, Problem> {
    accounts::verify_email(&ctx, link.token.expose(), &correlation).await?;
    Ok(NoContent)
}

/// How tokens reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Delivery {
    /// In the body, for API clients.
    #[default]
    Body,
    /// As `HttpOnly` cookies, for browsers.
    Cookie,
}

/// A wish to sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
struct NewSignIn {
    /// Address or username.
    #[schema(max_length = 254, example = "ada@example.org")]
    login: String,
    /// Password.
    #[schema(value_type = String, format = "password", max_length = 256, example = "difference engine 2")]
    password: Secret,
    /// How the tokens come.
    #[serde(default)]
    delivery: Delivery,
}

/// A session and its tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionTokens)]
pub(super) struct TokensView {
    /// The session.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a01")]
    session_id: Uuid,
    /// Whose.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a02")]
    user_id: Uuid,
    /// For `Authorization: Bearer`; null when it came as a cookie.
    #[schema(example = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl")]
    access_token: Option<String>,
    /// When the access token ends.
    access_expires_at: DateTime<Utc>,
    /// For one exchange; null when it came as a cookie.
    #[schema(example = "k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    refresh_token: Option<String>,
    /// When the refresh token ends.
    refresh_expires_at: DateTime<Utc>,
    /// For `X-CSRF-Token`, with every change by cookie.
    #[schema(example = "pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMkk7Jm0-4rYb2")]
    csrf_token: String,
}

impl TokensView {
    pub(super) fn of(pair: &TokenPair, delivery: Delivery) -> Self {
        let shown = |secret: &Secret| (delivery == Delivery::Body).then(|| secret.expose().clone());
        Self {
            session_id: pair.session_id.uuid(),
            user_id: pair.user_id.uuid(),
            access_token: shown(&pair.access_token),
            access_expires_at: pair.access_expires_at,
            refresh_token: shown(&pair.refresh_token),
            refresh_expires_at: pair.refresh_expires_at,
            csrf_token: pair.csrf_token.expose().clone(),
        }
    }
}

async fn sign_in(
    ctx: Ctx,
    client: Client,
    Correlation(correlation): Correlation,
    Body(new): Body<NewSignIn>,
) -> Result<SignedIn, Problem> {
    let wish = sessions::SignIn { login: new.login, password: new.password, client: client.info() };
    let (_, pair): (User, TokenPair) = sessions::sign_in(&ctx, &wish, &correlation).await?;
    Ok(SignedIn::new(&ctx, &pair, new.delivery))
}

/// A refresh token to be exchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The token; when absent, the browser's cookie is exchanged.
    #[schema(value_type = Option<String>, max_length = 200, example = "k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    refresh_token: Option<Secret>,
}

async fn refresh(
    ctx: Ctx,
    Correlation(correlation): Correlation,
    RefreshCookie(cookie): RefreshCookie,
    Body(new): Body<Refresh>,
) -> Result<SignedIn, Problem> {
    let (token, delivery) = match (new.refresh_token, cookie) {
        (Some(token), _) => (token, Delivery::Body),
        (None, Some(cookie)) => (cookie, Delivery::Cookie),
        (None, None) => return Err(tenon_core::Error::Unauthenticated.into()),
    };
    let pair = sessions::refresh(&ctx, token.expose(), &correlation).await?;
    Ok(SignedIn::new(&ctx, &pair, delivery))
}

async fn sign_out(ctx: Ctx, caller: Caller) -> Result<SignedOut, Problem> {
    sessions::sign_out(&ctx, &caller).await?;
    Ok(SignedOut::new(&ctx))
}

async fn request_reset(
    ctx: Ctx,
    client: Client,
    Correlation(correlation): Correlation,
    Body(of): Body<EmailAddress>,
) -> Result<Accepted<Mailed>, Problem> {
    resets::request(&ctx, &of.email, &client.info(), &correlation).await?;
    Ok(Accepted(Mailed { email: of.email.into() }))
}

/// A new password by a mailed link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordReset {
    /// What stands at the end of the link.
    #[schema(value_type = String, max_length = 200, example = "k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    token: Secret,
    /// New password; common ones are refused.
    #[schema(value_type = String, format = "password", min_length = 10, max_length = 256, example = "analytical engine 1")]
    password: NewPassword,
}

async fn reset(
    ctx: Ctx,
    Correlation(correlation): Correlation,
    Body(new): Body<PasswordReset>,
) -> Result<NoContent, Problem> {
    resets::perform(&ctx, new.token.expose(), new.password, &correlation).await?;
    Ok(NoContent)
}

/// What a consent to a change of address came to.
#[derive(Debug, Serialize, ToSchema)]
struct EmailChange {
    /// Whether the address has changed; if not, the other address has yet to consent.
    changed: bool,
}

async fn change_email(
    ctx: Ctx,
    Correlation(correlation): Correlation,
    Body(link): Body<LinkToken>,
) -> Result<Plain<EmailChange>, Problem> {
    let changed = email_changes::confirm(&ctx, link.token.expose(), &correlation).await?;
    Ok(Plain(EmailChange { changed }))
}

/// A wish to be the first administrator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Claim)]
struct NewClaim {
    /// What the instance showed when it started.
    #[schema(value_type = String, max_length = 200, example = "k7Jm0-4rYb2pQz8XwVtN5uHs1LdEc9Ga3ToFiRyBnMk")]
    token: Secret,
    /// Address.
    #[schema(value_type = String, format = "email", max_length = 254, example = "ada@example.org")]
    email: Email,
    /// Handle; made from the address when absent.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", example = "ada")]
    username: Option<Username>,
    /// Name.
    #[schema(value_type = String, min_length = 1, max_length = 50, example = "Ada Lovelace")]
    full_name: FullName,
    /// Password; common ones are refused.
    #[schema(value_type = String, format = "password", min_length = 10, max_length = 256, example = "difference engine 2")]
    password: NewPassword,
    /// Language of mails and of the interface.
    lang: Option<LangView>,
    /// IANA time zone; UTC when absent.
    #[schema(value_type = Option<String>, max_length = 100, example = "Europe/London")]
    timezone: Option<Timezone>,
}

async fn claim(
    ctx: Ctx,
    Correlation(correlation): Correlation,
    Body(new): Body<NewClaim>,
) -> Result<Created<UserView>, Problem> {
    let wish = Claim {
        email: new.email,
        username: new.username,
        full_name: new.full_name,
        password: new.password,
        lang: new.lang.map(Lang::from).unwrap_or_default(),
        timezone: new.timezone.unwrap_or_default(),
    };
    let user = claims::claim(&ctx, new.token.expose(), wish, &correlation).await?;
    Ok(Created::at(format!("/users/{}", user.id), user.into()))
}
