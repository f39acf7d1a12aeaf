//! Where a database is, for programs that are not us.

use tokio_postgres::config::{Host, SslMode};

use crate::error::{Error, Result};

/// The parts of a database's URL.
#[derive(Clone)]
pub struct Address {
    /// Name or address of the machine, or directory of the socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Account.
    pub user: Option<String>,
    /// Password.
    pub password: Option<tenon_core::secrets::Secret>,
    /// Database.
    pub database: String,
    /// Whether the connection must be encrypted, as ours are to any other machine.
    pub encrypted: bool,
}

impl Address {
    /// Takes a URL apart.
    pub fn of(url: &str) -> Result<Self> {
        let config: tokio_postgres::Config =
            url.parse().map_err(|e: tokio_postgres::Error| Error::Pool(Box::new(e)))?;
        let (host, local) = match config.get_hosts().first() {
            Some(Host::Unix(path)) => (path.display().to_string(), true),
            Some(Host::Tcp(name)) => (name.clone(), false),
            None => ("localhost".to_owned(), false),
        };
        let user = config.get_user().map(str::to_owned);
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().or(user.as_deref()).unwrap_or("postgres").to_owned(),
            user,
            password: config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned().into()),
            encrypted: !local && config.get_ssl_mode() != SslMode::Disable,
        })
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address")
            .field("host", &self.host)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// The URL of another database of the same server.
pub fn with_database(url: &str, database: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let Some((scheme, rest)) = url.split_once("://") else {
        // `host=… dbname=…`: the last one said holds.
        return format!("{url} dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"));
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let server = place.split('/').next().unwrap_or_default();
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("dbname=")).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{scheme}://{server}/{}{query}", utf8_percent_encode(database, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use super::{Address, with_database};

    #[test]
    fn a_url_is_taken_apart_for_other_programs() {
        let socket = Address::of("postgres:///tenon?host=/run/postgresql").unwrap();
        assert_eq!((socket.host.as_str(), socket.database.as_str()), ("/run/postgresql", "tenon"));
        assert!(!socket.encrypted);
        let remote = Address::of("postgres://u:p%40ss@db.example.org:6432/tenon").unwrap();
        assert_eq!((remote.host.as_str(), remote.port, remote.encrypted), ("db.example.org", 6432, true));
        assert_eq!(remote.password.as_ref().unwrap().expose(), "p@ss");
        assert!(!format!("{remote:?}").contains("p@ss"));
        assert!(!Address::of("postgres://db/tenon?sslmode=disable").unwrap().encrypted);
    }

    #[test]
    fn another_database_is_of_the_same_server() {
        assert_eq!(
            with_database("postgres://u:p@h:1/a?sslmode=disable", "b"),
            "postgres://u:p@h:1/b?sslmode=disable"
        );
        assert_eq!(
            with_database("postgres:///a?host=/run/x&dbname=a", "b c"),
            "postgres:///b%20c?host=/run/x"
        );
        assert_eq!(with_database("postgres://u@%2Frun%2Fx/a", "b"), "postgres://u@%2Frun%2Fx/b");
        let words = with_database("host=/run/x dbname=a", "b");
        assert_eq!(Address::of(&words).unwrap().database, "b");
    }
}
