//! Connections: a pool that checks nothing over the network and still hands out no dead connection.

mod observer;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod, bb8,
    },
};
use futures_util::FutureExt;

use self::observer::Observer;
use crate::{
    address::{Encryption, Way},
    error::{Error, Result},
};

/// A connection on loan; it goes back when dropped.
pub type PooledConnection = bb8::PooledConnection<'static, AsyncPgConnection>;

/// How to reach Postgres.
#[derive(Clone)]
pub struct DbConfig {
    /// `postgres://user:password@host/name`, or a percent-encoded socket directory as host.
    pub url: String,
    /// Most connections at once.
    pub pool_size: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// Longest a statement may run.
    pub statement_timeout: Duration,
    /// Is told each statement of the pool's connections as it is sent, those that begin and end transactions included.
    pub watch: Option<Watch>,
}

/// Whoever wants to know which statements run: tests that count them.
pub type Watch = Arc<dyn Fn(&str) + Send + Sync>;

impl std::fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DbConfig").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

impl DbConfig {
    /// Sensible limits for `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            watch: None,
        }
    }
}

/// The database.
#[derive(Clone)]
pub struct Db {
    pool: bb8::Pool<AsyncPgConnection>,
    config: DbConfig,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the pool. No connection is made before one is needed.
    pub fn open(config: DbConfig) -> Self {
        let (timeout, watch) = (config.statement_timeout, config.watch.clone());
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |url| {
            let (url, watch) = (url.to_owned(), watch.clone());
            async move {
                let mut conn = establish(url, timeout).await?;
                conn.set_instrumentation(Observer::telling(watch));
                Ok(conn)
            }
            .boxed()
        });
        // A broken connection says so itself (`is_broken`); asking the server at each loan would
        // double the round trips of a small request.
        manager.recycling_method =
            RecyclingMethod::CustomFunction(Box::new(|conn: &mut AsyncPgConnection| {
                let broken = conn.is_broken();
                async move {
                if broken { Err(diesel::result::Error::BrokenTransactionManager) } else { Ok(()) }
            }
            .boxed()
            }));
        let manager = AsyncDieselConnectionManager::new_with_config(&config.url, manager);
        let pool = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(config.acquire_timeout)
            .build_unchecked(manager);
        Self { pool, config }
    }

    /// A connection from the pool.
    pub async fn conn(&self) -> Result<PooledConnection> {
        let asked = Instant::now();
        let conn = self.pool.get_owned().await.map_err(|e| Error::Pool(Box::new(e)));
        metrics::histogram!("db_pool_wait_seconds").record(asked.elapsed().as_secs_f64());
        conn
    }

    /// A connection of its own, outside the pool: for LISTEN, advisory locks and migrations.
    pub async fn dedicated(&self) -> Result<AsyncPgConnection> {
        establish(self.config.url.clone(), Duration::ZERO).await.map_err(|e| Error::Pool(Box::new(e)))
    }

    /// Connections open and idle.
    pub fn status(&self) -> PoolStatus {
        let state = self.pool.state();
        PoolStatus {
            connections: state.connections,
            idle: state.idle_connections,
            max: self.config.pool_size,
        }
    }

    /// Where the database is.
    pub fn url(&self) -> &str {
        &self.config.url
    }
}

/// A look at the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open.
    pub connections: u32,
    /// Open and not on loan.
    pub idle: u32,
    /// Most allowed.
    pub max: u32,
}

/// Connects; encrypted unless over a socket or `sslmode=disable`.
async fn establish(url: String, statement_timeout: Duration) -> ConnectionResult<AsyncPgConnection> {
    let bad = |e: &dyn std::fmt::Display| ConnectionError::BadConnection(e.to_string());
    let mut way = Way::of(&url).map_err(|e| bad(&e))?;
    way.config
        .application_name("tenon")
        .connect_timeout(Duration::from_secs(5))
        .keepalives_idle(Duration::from_secs(30));
    let mut conn = if way.encryption == Encryption::Never {
        let (client, conn) = way.config.connect(tokio_postgres::NoTls).await.map_err(|e| bad(&Chain(&e)))?;
        AsyncPgConnection::try_from_client_and_connection(client, conn).await?
    } else {
        let roots = way.roots().map_err(|e| bad(&e))?;
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls);
        let (client, conn) = way.config.connect(tls).await.map_err(|e| bad(&with_advice(&e)))?;
        AsyncPgConnection::try_from_client_and_connection(client, conn).await?
    };
    let millis = statement_timeout.as_millis();
    conn.batch_execute(&format!(
        "SET statement_timeout = {millis}; SET idle_in_transaction_session_timeout = 60000"
    ))
    .await
    .map_err(|e| bad(&e))?;
    Ok(conn)
}

/// What went wrong, and what can be done about a certificate that is not trusted.
fn with_advice(error: &tokio_postgres::Error) -> String {
    let said = Chain(error).to_string();
    if said.contains("invalid peer certificate") {
        return format!(
            "{said}; name the file with the authority that signed it in the URL of the database (sslrootcert=/path), or do \
             without encryption (sslmode=disable)"
        );
    }
    said
}

/// An error with its causes in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut at = self.0.source();
        while let Some(cause) = at {
            write!(f, ": {cause}")?;
            at = cause.source();
        }
        Ok(())
    }
}
