//! Where a database is, and how to get there: for us, and for programs that are not us.
//!
//! URLs are those of libpq, of which `tokio_postgres` knows a part: `sslmode=verify-full`, `verify-ca` and `sslrootcert` are
//! understood here. A certificate is always verified, with the name of the server, so `require` means no less.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::error::{Error, Result};

/// The parts of a database's URL.
#[derive(Clone)]
pub struct Address {
    /// Name or address of the machine, or directory of the socket; with commas where there are several.
    pub host: String,
    /// Numeric addresses, likewise, where the URL names them as well.
    pub numeric: Option<String>,
    /// Port; of several machines one for all, or one each.
    pub port: String,
    /// Whether only one that takes changes will do.
    pub writable: bool,
    /// Account.
    pub user: Option<String>,
    /// Password.
    pub password: Option<tenon_core::secrets::Secret>,
    /// Database.
    pub database: String,
    /// Whether the connection is encrypted.
    pub encryption: Encryption,
    /// File with the certificates of those who may sign the server's, in PEM; absent, those whom everybody knows.
    pub authorities: Option<PathBuf>,
}

/// Whether a connection is encrypted; one through a socket never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// It is not.
    Never,
    /// It is when the server can.
    Offered,
    /// It is, or there is none.
    Required,
}

/// What `tokio_postgres` understands of a URL, and what it does not.
pub(crate) struct Way {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) encryption: Encryption,
    authorities: Option<PathBuf>,
}

impl Way {
    /// Reads a URL, or words such as `host=… dbname=…`.
    pub(crate) fn of(url: &str) -> std::result::Result<Self, tokio_postgres::Error> {
        let (separator, head, pairs) = match url.split_once("://") {
            Some(_) => {
                let (head, query) = url.split_once('?').unwrap_or((url, ""));
                ("&", format!("{head}?"), query.split('&').collect::<Vec<_>>())
            }
            None => (" ", String::new(), url.split(' ').collect()),
        };
        let mut authorities = None;
        let mut known = Vec::new();
        for pair in pairs {
            match pair.split_once('=') {
                Some(("sslrootcert", "system")) => {}
                Some(("sslrootcert", file)) => {
                    let file = percent_decode_str(file.trim_matches('\'')).decode_utf8_lossy();
                    authorities = Some(PathBuf::from(file.into_owned()));
                }
                Some(("sslmode", "verify-full" | "verify-ca")) => known.push("sslmode=require"),
                Some(("sslmode", "allow")) => known.push("sslmode=prefer"),
                _ => known.push(pair),
            }
        }
        let known = known.join(separator);
        let head = if known.is_empty() { head.trim_end_matches('?') } else { &head };
        let config: tokio_postgres::Config = format!("{head}{known}").parse()?;
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let encryption = match config.get_ssl_mode() {
            _ if local && !config.get_hosts().is_empty() => Encryption::Never,
            SslMode::Disable => Encryption::Never,
            SslMode::Require => Encryption::Required,
            _ => Encryption::Offered,
        };
        Ok(Self { config, encryption, authorities })
    }

    /// Those who may sign the server's certificate.
    pub(crate) fn roots(&self) -> std::result::Result<RootCertStore, String> {
        match &self.authorities {
            None => Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
            Some(file) => read_authorities(file)
                .map_err(|e| format!("cannot read the authorities in {}: {e}", file.display())),
        }
    }
}

fn read_authorities(file: &Path) -> std::result::Result<RootCertStore, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("there is no certificate in it".into()) } else { Ok(roots) }
}

impl Address {
    /// Takes a URL apart.
    pub fn of(url: &str) -> Result<Self> {
        let Way { config, encryption, authorities } = Way::of(url).map_err(|e| Error::Pool(Box::new(e)))?;
        let hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Unix(path) => path.display().to_string(),
                Host::Tcp(name) => name.clone(),
            })
            .collect();
        let numeric: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
        let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
        let user = config.get_user().map(str::to_owned);
        Ok(Self {
            host: if hosts.is_empty() { "localhost".to_owned() } else { hosts.join(",") },
            numeric: (!numeric.is_empty()).then(|| numeric.join(",")),
            port: if ports.is_empty() { "5432".to_owned() } else { ports.join(",") },
            writable: config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite,
            database: config.get_dbname().or(user.as_deref()).unwrap_or("postgres").to_owned(),
            user,
            password: config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned().into()),
            encryption,
            authorities,
        })
    }
}

/// Says what is wrong with a URL, in words that hold no secret. Neither is a database asked nor a file read that it names.
pub fn check(url: &str) -> std::result::Result<(), String> {
    let way = Way::of(url).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })?;
    if way.config.get_hosts().is_empty() {
        return Err(
            "it names no host; a directory of sockets is one as well: postgres:///tenon?host=/run/postgresql"
                .to_owned(),
        );
    }
    Ok(())
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
    use super::{Address, Encryption, with_database};

    #[test]
    fn a_url_is_taken_apart_for_other_programs() {
        let socket = Address::of("postgres:///tenon?host=/run/postgresql").unwrap();
        assert_eq!((socket.host.as_str(), socket.database.as_str()), ("/run/postgresql", "tenon"));
        assert_eq!(socket.encryption, Encryption::Never);
        let remote = Address::of("postgres://u:p%40ss@db.example.org:6432/tenon").unwrap();
        assert_eq!((remote.host.as_str(), remote.port.as_str()), ("db.example.org", "6432"));
        let several = Address::of("postgres://a:1,b:2/t?target_session_attrs=read-write").unwrap();
        assert_eq!((several.host.as_str(), several.port.as_str(), several.writable), ("a,b", "1,2", true));
        let words = Address::of("host=db dbname=t user=u password=secret?").unwrap();
        assert_eq!(words.password.unwrap().expose(), "secret?");
        assert_eq!(remote.encryption, Encryption::Offered);
        assert_eq!(remote.password.as_ref().unwrap().expose(), "p@ss");
        assert!(!format!("{remote:?}").contains("p@ss"));
        assert_eq!(Address::of("postgres://db/tenon?sslmode=disable").unwrap().encryption, Encryption::Never);
    }

    #[test]
    fn what_libpq_says_of_encryption_is_understood() {
        for (url, encryption, authorities) in [
            ("postgres://db/t?sslmode=require", Encryption::Required, None),
            (
                "postgres://db/t?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem",
                Encryption::Required,
                Some("/etc/ca.pem"),
            ),
            (
                "postgres://db/t?sslrootcert=/etc/ca.pem&connect_timeout=3",
                Encryption::Offered,
                Some("/etc/ca.pem"),
            ),
            ("postgres://db/t?sslrootcert=system&sslmode=verify-ca", Encryption::Required, None),
            (
                "host=db dbname=t sslmode=verify-full sslrootcert='/etc/ca.pem'",
                Encryption::Required,
                Some("/etc/ca.pem"),
            ),
            ("postgres:///t?host=/run/x&sslmode=require", Encryption::Never, None),
        ] {
            let address = Address::of(url).unwrap();
            assert_eq!(address.encryption, encryption, "{url}");
            assert_eq!(address.authorities, authorities.map(Into::into), "{url}");
            assert_eq!(address.database, "t", "{url}");
        }
        assert!(Address::of("postgres://db/t?sslmode=sometimes").is_err());
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
