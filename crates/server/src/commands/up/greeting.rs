//! What `tenon up` says once it answers: where everything is, and how to become the first administrator.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tenon_adapters::mail;

use crate::{config::Config, database::Database};

/// For people as a few lines, for programs as an object.
#[derive(Debug, Serialize)]
pub(super) struct Greeting {
    version: &'static str,
    /// Where it listens.
    address: String,
    /// Where people find it.
    url: String,
    /// The reference of the API.
    reference: String,
    /// Where mails land, or whom they are handed to.
    mail: String,
    data_dir: PathBuf,
    /// Where the database is, when it is ours and not within the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<PathBuf>,
    /// Present as long as the instance has no administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_administrator: Option<Claim>,
}

/// A way in that works once.
#[derive(Debug, Serialize)]
struct Claim {
    link: String,
    token: String,
    curl: String,
}

impl Greeting {
    pub(super) fn new(config: &Config, address: &str, database: &Database, claim: Option<&str>) -> Self {
        let url = config.public_url.as_str().trim_end_matches('/').to_owned();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            reference: format!("{url}/api/docs"),
            mail: mails(&config.mail),
            data_dir: absolute(&config.data_dir),
            database: database.elsewhere().map(absolute),
            first_administrator: claim.map(|token| Claim {
                link: format!("{url}/#/claim/{token}"),
                token: token.to_owned(),
                curl: curl(address, token),
            }),
            address: address.to_owned(),
            url,
        }
    }
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Tenon {} is ready: {}  (Ctrl-C stops it)", self.version, self.url)?;
        if !self.address.starts_with("http") || !self.url.contains("localhost") {
            writeln!(f, "  listening   {}", self.address)?;
        }
        writeln!(f, "  reference   {}", self.reference)?;
        writeln!(f, "  mail        {}", self.mail)?;
        writeln!(f, "  data        {}", self.data_dir.display())?;
        if let Some(database) = &self.database {
            writeln!(f, "  database    {}, since its account cannot enter the above", database.display())?;
        }
        if let Some(claim) = &self.first_administrator {
            writeln!(f, "\nThere is no administrator yet. This link makes the first one, once:")?;
            writeln!(f, "  {}", claim.link)?;
            writeln!(f, "or, with your own address, name and password:")?;
            writeln!(f, "  {}", claim.curl)?;
        }
        Ok(())
    }
}

/// The password in it is refused as too short, so that nobody leaves it as it is.
fn curl(address: &str, token: &str) -> String {
    let target = match address.strip_prefix("unix:") {
        Some(path) => format!("--unix-socket '{path}' http://localhost"),
        None => address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"),
    };
    format!(
        "curl {target}/api/v1/auth/claim -H 'Content-Type: application/json' -d \
         '{{\"token\":\"{token}\",\"email\":\"you@example.org\",\"full_name\":\"Your Name\",\"password\":\"CHANGE ME\"}}'"
    )
}

fn mails(config: &mail::Config) -> String {
    match config {
        mail::Config::Directory(directory) => absolute(&directory.directory).display().to_string(),
        mail::Config::Log(_) => "into the log".to_owned(),
        mail::Config::Sendmail(_) => "by sendmail".to_owned(),
        mail::Config::Smtp(smtp) => format!("to the mail server {}", smtp.host),
    }
}

/// As it can be used from any directory.
fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
