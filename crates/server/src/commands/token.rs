//! `tenon token`: personal access tokens, made and ended with a shell.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenon_app::{App, tokens};
use tenon_core::{
    Error,
    ids::TokenId,
    page::Page,
    tokens::{NewToken, Scope, Token, TokenName},
};

use super::shell::{self, explained, find};
use crate::{
    config::{Config, Span},
    output::Output,
};

const PAGE: i64 = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a person; it is shown this once.
    Create(NewTokenOptions),
    /// List a person's tokens, newest first, without their secrets.
    List {
        /// Address or handle.
        user: String,
    },
    /// End a token.
    Revoke {
        /// Its id, as `list` shows it.
        id: TokenId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewTokenOptions {
    /// Address or handle of the person it acts for.
    user: String,
    /// What to call it.
    #[arg(long)]
    name: String,
    /// What it may be used for, comma-separated: read-account, write-account, read-workspaces, write-workspaces,
    /// read-projects, write-projects, admin.
    #[arg(long, value_delimiter = ',', required = true, value_name = "SCOPE,…")]
    scopes: Vec<String>,
    /// How long it is good for, as in 90d; for ever when absent.
    #[arg(long, value_name = "TIME")]
    expires_in: Option<String>,
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: TokenCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    shell::with_app(config, async |app| execute(command, app, output).await).await
}

async fn execute(command: TokenCommand, app: &App, output: &Output) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(options) => create(app, &options, output).await,
        TokenCommand::List { user } => {
            let person = find(app, &user).await?;
            let page = Page { limit: PAGE, after: None };
            let found = tokens::list_of(app, person.id, &page).await.map_err(explained)?.items;
            output.print(&found.iter().map(object).collect::<Vec<_>>(), || {
                found.iter().map(line).collect::<Vec<_>>().join("\n")
            })
        }
        TokenCommand::Revoke { id } => match tokens::revoke(app, id).await {
            Err(Error::NotFound(_)) => anyhow::bail!("there is no token {id}"),
            revoked => {
                let token = revoked.map_err(explained)?;
                output.print(&object(&token), || format!("Ended {}", line(&token)))
            }
        },
    }
}

async fn create(app: &App, options: &NewTokenOptions, output: &Output) -> anyhow::Result<()> {
    let person = find(app, &options.user).await?;
    let new = NewToken {
        name: TokenName::parse(&options.name).map_err(|e| anyhow::anyhow!("the name {}", e.detail))?,
        scopes: options.scopes.iter().map(|word| scope(word)).collect::<anyhow::Result<BTreeSet<_>>>()?,
        expires_at: options.expires_in.as_deref().map(|text| end(app, text)).transpose()?,
    };
    let (token, secret) = match tokens::create_for(app, person.id, new).await {
        Err(Error::Conflict { code: "account-deactivated", .. }) => anyhow::bail!(
            "the account of {0} is deactivated, a token would open nothing; first: tenon user activate {0}",
            person.username
        ),
        Err(Error::Conflict { code: "email-not-verified", .. }) => anyhow::bail!(
            "the account of {0} is not active until its address is verified, a token would open nothing; the person follows \
             the link in their mail, or set a password: tenon user password {0}",
            person.username
        ),
        Err(Error::Forbidden(_)) => anyhow::bail!(
            "{0} is no administrator of this installation, so a token with the scope admin would open nothing more; \
             first: tenon user promote {0}",
            person.username
        ),
        made => made.map_err(explained)?,
    };
    let mut shown = object(&token);
    shown["token"] = json!(secret.expose());
    // Alone on its line, for `$(…)`.
    output.print(&shown, || secret.expose().clone())
}

fn scope(word: &str) -> anyhow::Result<Scope> {
    let words: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    Scope::of(word)
        .ok_or_else(|| anyhow::anyhow!("there is no scope {word}; the scopes are {}", words.join(", ")))
}

fn end(app: &App, text: &str) -> anyhow::Result<DateTime<Utc>> {
    let span: Span = text.parse().map_err(|e| anyhow::anyhow!("--expires-in {text}: {e}"))?;
    TimeDelta::from_std(span.duration())
        .ok()
        .and_then(|span| app.now().checked_add_signed(span))
        .ok_or_else(|| anyhow::anyhow!("--expires-in {text} is too long"))
}

fn object(token: &Token) -> Value {
    json!({
        "id": token.id,
        "user_id": token.user_id,
        "name": token.name,
        "scopes": token.scopes,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    })
}

fn line(token: &Token) -> String {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let end = token.expires_at.map_or_else(String::new, |at| format!(", until {}", at.format("%Y-%m-%d")));
    format!("{} {} ({}{end})", token.id, token.name.as_str(), scopes.join(", "))
}
