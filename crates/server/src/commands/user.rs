//! `tenon user`: what an administrator can do with a shell and without an account.

use std::{fmt::Write, io::Read, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenon_app::{
    App,
    users::{self, AccountPatch, Operator::System},
};
use tenon_core::{
    Error,
    emails::Email,
    page::Page,
    secrets::NewPassword,
    text::TextError,
    users::{FullName, Lang, NewAccount, Timezone, User, Username},
};

use super::{
    owner,
    shell::{self, explained, find},
};
use crate::{
    config::Config,
    output::{self, Output},
};

const PAGE: i64 = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account.
    ///
    /// With --password-stdin it is ready at once; without, a mail lets the person choose a password.
    Create(NewUser),
    /// List accounts, oldest first.
    List {
        /// Only those whose handle, name or address contains this.
        search: Option<String>,
    },
    /// Let a person in again; personal access tokens of before have ended.
    Activate {
        /// Address or handle.
        user: String,
    },
    /// Lock a person out: sessions, sockets and pending invitations end, personal access tokens open
    /// nothing.
    ///
    /// Says which workspaces and projects that leaves without an active owner; `tenon owner` gives them another.
    Deactivate {
        /// Address or handle.
        user: String,
    },
    /// Make a person an administrator of this installation.
    Promote {
        /// Address or handle.
        user: String,
    },
    /// Make an administrator an ordinary person again.
    Demote {
        /// Address or handle.
        user: String,
    },
    /// Set a person's password, read from standard input.
    ///
    /// Every session and personal access token of theirs ends; an address that was not verified is taken for verified.
    Password {
        /// Address or handle.
        user: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewUser {
    /// Address.
    email: String,
    /// Name.
    #[arg(long)]
    name: String,
    /// Handle; made from the address when absent.
    #[arg(long)]
    username: Option<String>,
    /// Language of mails: en, es or fr.
    #[arg(long, default_value = "en")]
    lang: String,
    /// Time zone, as in Europe/Paris.
    #[arg(long, default_value = "UTC")]
    timezone: String,
    /// Make the person an administrator of this installation.
    #[arg(long)]
    admin: bool,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Read the password from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "password_stdin")]
    password_file: Option<PathBuf>,
    /// With --admin: only for the first administrator. While there is one, nothing is done; an account that has the
    /// address becomes it.
    #[arg(long, requires = "admin")]
    if_no_admin: bool,
}

/// Runs one of the commands on the database of this installation.
pub(crate) async fn run(command: UserCommand, config: &Config, output: &Output) -> anyhow::Result<()> {
    shell::with_app(config, async |app| execute(command, app, output).await).await
}

async fn execute(command: UserCommand, app: &Arc<App>, output: &Output) -> anyhow::Result<()> {
    match command {
        UserCommand::Create(new) if new.if_no_admin && users::has_admin(app).await? => {
            output.print(&json!({ "administrator": true }), || "There is an administrator.".to_owned())
        }
        UserCommand::Create(new) => {
            if new.if_no_admin
                && let Some(user) = known(app, &new.email).await?
            {
                return promote_known(app, &user, output).await;
            }
            let user = users::create(app, System, account(&new)?).await.map_err(explained)?;
            show(output, "Made", &user)
        }
        UserCommand::List { search } => list(app, search.as_deref(), output).await,
        UserCommand::Activate { user } => {
            change(app, &user, AccountPatch { is_active: Some(true), is_admin: None }, output).await
        }
        UserCommand::Deactivate { user } => {
            change(app, &user, AccountPatch { is_active: Some(false), is_admin: None }, output).await
        }
        UserCommand::Promote { user } => {
            change(app, &user, AccountPatch { is_active: None, is_admin: Some(true) }, output).await
        }
        UserCommand::Demote { user } => {
            change(app, &user, AccountPatch { is_active: None, is_admin: Some(false) }, output).await
        }
        UserCommand::Password { user } => {
            let user = find(app, &user).await?;
            let user = users::set_password(app, user.id, &password()?).await.map_err(explained)?;
            show(output, "Set the password of", &user)?;
            if !user.is_active {
                output::note(&format!(
                    "The account is deactivated, so nobody can sign in with the password yet: tenon user activate {}",
                    user.username
                ));
            }
            Ok(())
        }
    }
}

fn account(new: &NewUser) -> anyhow::Result<NewAccount> {
    let wrong = |what: &'static str| move |e: TextError| anyhow::anyhow!("{what} {}", e.detail);
    Ok(NewAccount {
        email: Email::parse(&new.email).map_err(wrong("the address"))?,
        username: new.username.as_deref().map(Username::parse).transpose().map_err(wrong("the handle"))?,
        full_name: FullName::parse(&new.name).map_err(wrong("the name"))?,
        password: given_password(new)?,
        lang: serde_json::from_value::<Lang>(new.lang.clone().into())
            .map_err(|_| anyhow::anyhow!("there is no language {}; choose en, es or fr", new.lang))?,
        timezone: Timezone::parse(&new.timezone).map_err(wrong("the time zone"))?,
        is_admin: new.admin,
    })
}

/// The password that comes with the command, if one does.
fn given_password(new: &NewUser) -> anyhow::Result<Option<NewPassword>> {
    if let Some(file) = &new.password_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the password in {}", file.display()))?;
        return first_line(&text).map(Some);
    }
    new.password_stdin.then(password).transpose()
}

/// A password is never an argument: those are seen by everybody on the machine.
fn password() -> anyhow::Result<NewPassword> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the password")?;
    first_line(&text)
}

fn first_line(text: &str) -> anyhow::Result<NewPassword> {
    let line = text.lines().next().unwrap_or_default();
    NewPassword::parse(line).map_err(|e| anyhow::anyhow!("the password {}", e.detail))
}

async fn known(app: &App, email: &str) -> anyhow::Result<Option<User>> {
    match users::find(app, System, email).await {
        Err(Error::NotFound(_)) => Ok(None),
        found => found.map(Some).map_err(explained),
    }
}

/// Makes an administrator of an account that was there before, if it is certain whose it is.
async fn promote_known(app: &App, user: &User, output: &Output) -> anyhow::Result<()> {
    anyhow::ensure!(
        user.is_active,
        "there is an account with the address {} that is not active: whoever made it may not be whom you mean; \
         look with `tenon user list`, and activate or promote it yourself",
        user.email.as_str()
    );
    change(app, user.email.as_str(), AccountPatch { is_active: None, is_admin: Some(true) }, output).await
}

async fn change(app: &App, login: &str, patch: AccountPatch, output: &Output) -> anyhow::Result<()> {
    let user = find(app, login).await?;
    let changed = users::patch(app, System, user.id, patch, None).await.map_err(explained)?;
    let mut json = view(&changed.user);
    json["without_owner"] = owner::views(&changed.without_owner).into();
    output.print(&json, || {
        let mut text = format!("Changed {}", line(&changed.user));
        if !changed.without_owner.is_empty() {
            let _ = write!(
                text,
                "\nWithout an active owner now; `tenon owner set-workspace` and `set-project` give them one:\n{}",
                owner::lines(&changed.without_owner)
            );
        }
        text
    })
}

async fn list(app: &App, search: Option<&str>, output: &Output) -> anyhow::Result<()> {
    let mut page = Page { limit: PAGE, after: None };
    let mut people = vec![];
    loop {
        let (found, _) = users::list(app, System, search, &page, false).await.map_err(explained)?;
        people.extend(found.items);
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let json: Vec<Value> = people.iter().map(view).collect();
    output.print(&json, || match people.len() {
        0 => "Nobody.".to_owned(),
        _ => people.iter().map(line).collect::<Vec<_>>().join("\n"),
    })
}

fn show(output: &Output, done: &str, user: &User) -> anyhow::Result<()> {
    output.print(&view(user), || format!("{done} {}", line(user)))
}

fn view(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username.as_str(),
        "email": user.email.as_str(),
        "full_name": user.full_name.as_str(),
        "is_active": user.is_active,
        "is_admin": user.is_admin,
        "last_login_at": user.last_login_at,
        "created_at": user.created_at,
    })
}

fn line(user: &User) -> String {
    let mut marks = vec![];
    if user.is_admin {
        marks.push("administrator");
    }
    if !user.is_active {
        marks.push("not active");
    }
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("{} <{}>, {}{marks}", user.username.as_str(), user.email.as_str(), user.full_name.as_str())
}
