//! A PostgreSQL server of our own, for whoever has none.
//!
//! The server's programs come from the system; the cluster lives in the data directory and is reachable only
//! through a unix socket in a private directory. It runs in its own process group, so that Ctrl-C in a terminal
//! does not stop it before the application has drained. A server that outlived a crashed parent is adopted
//! rather than fought: its connections are fine, and a second postmaster on the same files would not be.

mod account;
mod binaries;
mod claim;
mod error;
mod postmaster;
mod socket;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio_postgres::{NoTls, error::SqlState};

use self::{account::Account, binaries::Binaries, claim::Claim, postmaster::Postmaster};
pub use self::{
    binaries::{install_command, program},
    error::ManagedError,
};

const USER: &str = "tenon";
const DATABASE: &str = "tenon";
const PORT: u16 = 5432;
/// Beside the cluster: one that is being recovered, and the beginning of the names of those that were replaced.
const RECOVERED: &str = "data.recovered";
const REPLACED: &str = "data.before-";
/// What a server says of an account or a database that it does not have.
const UNKNOWN: [SqlState; 2] =
    [SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::INVALID_CATALOG_NAME];
const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// Where the cluster lives and how its server is run.
#[derive(Debug, Clone, Default)]
pub struct ManagedConfig {
    /// Holds the cluster (`data`), its socket (`run`) and its log (`postgres.log`); created when absent.
    pub data_dir: PathBuf,
    /// Directory of `postgres` and `initdb`. Absent, they are looked for where distributions put them.
    pub bin_dir: Option<PathBuf>,
    /// Account that owns the cluster when we are root; PostgreSQL refuses to run as root. Absent, `postgres`
    /// and then `nobody` are tried. Means nothing to anybody else.
    pub run_as: Option<String>,
    /// Server settings (`shared_buffers`, `256MB`) that replace our defaults.
    pub settings: Vec<(String, String)>,
    /// How long a start may take; absent, a minute. A server that replays a write-ahead log takes longer.
    pub patience: Option<Duration>,
    /// Whose the cluster is, if it was made elsewhere; absent, `tenon` and a database of that name, which is made.
    pub inhabitant: Option<Inhabitant>,
}

/// An account and its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhabitant {
    /// Name of the account.
    pub user: String,
    /// Name of the database.
    pub database: String,
}

impl Default for Inhabitant {
    fn default() -> Self {
        Self { user: USER.to_owned(), database: DATABASE.to_owned() }
    }
}

/// A running server. [`Managed::stop`] it last; dropped without that, it is asked to stop and not waited for.
#[derive(Debug)]
pub struct Managed {
    postmaster: Postmaster,
    child: Option<Child>,
    data: PathBuf,
    socket_dir: PathBuf,
    patience: Duration,
    inhabitant: Option<Inhabitant>,
    /// Held as long as we are responsible for the cluster.
    _claim: Arc<Claim>,
}

impl Managed {
    /// Starts the server, making the cluster and the database when they are absent, and waits until it answers.
    pub async fn start(config: ManagedConfig) -> Result<Self, ManagedError> {
        let home = Home::open(&config)?;
        let running = postmaster::of(&home.data);
        if let Some(postmaster) = running
            && let Some(managed) = home.adopt(postmaster).await?
        {
            return Ok(managed);
        }
        let (bin, cluster) = home.binaries(&config).await?;
        if !cluster {
            home.initialise(&bin, &config.settings).await?;
        }
        let managed = home.launch(&bin, &config.settings).await?;
        if managed.inhabitant.is_none() {
            managed.create_database().await?;
        }
        Ok(managed)
    }

    /// URL of the database of the server that another process runs in `data_dir`, if one does.
    pub fn running(data_dir: &Path) -> Option<String> {
        let data = std::fs::canonicalize(data_dir.join("data")).ok()?;
        Some(url(&postmaster::of(&data)?.socket_dir?, USER, DATABASE))
    }

    /// URL of the database, as its account.
    pub fn url(&self) -> String {
        self.url_of(&self.inhabitant.clone().unwrap_or_default().database)
    }

    /// URL of another database of the same server.
    pub fn url_of(&self, database: &str) -> String {
        url(&self.socket_dir, &self.inhabitant.clone().unwrap_or_default().user, database)
    }

    /// True when the server was already there, left behind by a parent that crashed.
    pub const fn adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Directory of the server's socket; on its own when the data directory's path is too long for one.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Stops the server: open transactions are rolled back, what was committed is on disk.
    pub async fn stop(mut self) -> Result<(), ManagedError> {
        self.postmaster.signal(Signal::INT);
        if tokio::time::timeout(STOPPED_WITHIN, self.gone()).await.is_err() {
            tracing::warn!(
                postgres.pid = self.postmaster.pid(),
                "PostgreSQL did not stop in time; it is stopped the hard way and will recover on its next start"
            );
            self.postmaster.signal(Signal::QUIT);
            tokio::time::timeout(STOPPED_WITHIN, self.gone())
                .await
                .map_err(|_| ManagedError::StillRunning(self.postmaster.pid()))?;
        }
        Ok(())
    }

    async fn gone(&mut self) {
        match &mut self.child {
            Some(child) => {
                let _ = child.wait().await;
            }
            // Somebody else's child may stay a zombie for ever; the file goes when the server does.
            None => {
                while self.postmaster.is_alive() && postmaster::of(&self.data).is_some() {
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    async fn create_database(&self) -> Result<(), ManagedError> {
        let (client, connection) = self.connect().await?;
        let work = async {
            let exists =
                client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
            if exists.is_none() {
                client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
            }
            Ok(())
        };
        drive(connection, work).await
    }

    async fn connect(&self) -> Result<(tokio_postgres::Client, Connection), tokio_postgres::Error> {
        let (user, database) = match &self.inhabitant {
            Some(inhabitant) => (inhabitant.user.as_str(), inhabitant.database.as_str()),
            None => (USER, "postgres"),
        };
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(PORT).user(user).dbname(database);
        config.connect(NoTls).await
    }
}

/// The place of a cluster that no server runs on, so that one made elsewhere can be put there.
pub struct Vacancy(Home);

impl Vacancy {
    /// Holds the place; refused while somebody is responsible for it, or a server still runs there.
    pub fn claim(config: &ManagedConfig) -> Result<Self, ManagedError> {
        let home = Home::open(config)?;
        if postmaster::of(&home.data).is_some() {
            return Err(ManagedError::InUse(home.dir));
        }
        Ok(Self(home))
    }

    /// Where the cluster belongs.
    pub fn data(&self) -> &Path {
        &self.0.data
    }

    /// Where one is made that shall go there.
    pub fn recovered(&self) -> PathBuf {
        self.0.dir.join(RECOVERED)
    }

    /// Where the one goes that is there; `mark` tells such ones apart.
    pub fn replaced(&self, mark: &str) -> PathBuf {
        self.0.dir.join(format!("{REPLACED}{mark}"))
    }

    /// Gives `cluster`, which is within the place, to the account that will run it, and moves it to where it belongs.
    pub fn fill(self, cluster: &Path) -> Result<(), ManagedError> {
        if let Some(account) = &self.0.account {
            account.own_all(cluster)?;
        }
        Ok(std::fs::rename(cluster, &self.0.data)?)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let running = match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.postmaster.is_alive() && postmaster::of(&self.data).is_some(),
        };
        if running {
            self.postmaster.signal(Signal::INT);
        }
    }
}

/// The data directory, locked and owned by the right account.
struct Home {
    dir: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    patience: Duration,
    inhabitant: Option<Inhabitant>,
    claim: Arc<Claim>,
}

impl Home {
    fn open(config: &ManagedConfig) -> Result<Self, ManagedError> {
        let not_writable = |source| ManagedError::NotWritable { dir: config.data_dir.clone(), source };
        std::fs::create_dir_all(&config.data_dir).map_err(not_writable)?;
        let dir = std::fs::canonicalize(&config.data_dir).map_err(not_writable)?;
        let Some(claim) = Claim::lay(&dir).map_err(not_writable)? else {
            return Err(ManagedError::InUse(dir));
        };
        let data = dir.join("data");
        let account = Account::for_cluster(&data, config.run_as.as_deref())?;
        if let Some(account) = &account {
            account.own(&dir)?;
        }
        Ok(Self {
            dir,
            data,
            account,
            patience: config.patience.unwrap_or(READY_WITHIN),
            inhabitant: config.inhabitant.clone(),
            claim: Arc::new(claim),
        })
    }

    /// Takes over a server that is already running on our files; `None` when it ended while we looked.
    async fn adopt(&self, postmaster: Postmaster) -> Result<Option<Managed>, ManagedError> {
        let Some(socket_dir) = postmaster.socket_dir.clone() else { return Ok(None) };
        let mut managed = Managed {
            postmaster,
            child: None,
            data: self.data.clone(),
            socket_dir,
            patience: self.patience,
            inhabitant: self.inhabitant.clone(),
            _claim: Arc::clone(&self.claim),
        };
        match managed.ready(&self.log()).await {
            Ok(()) => {}
            Err(ManagedError::Exited { .. }) => return Ok(None),
            Err(e) => return Err(e),
        }
        tracing::info!(
            postgres.pid = managed.postmaster.pid(),
            "Adopted the PostgreSQL server that an earlier process left running"
        );
        managed.create_database().await?;
        Ok(Some(managed))
    }

    /// The server's programs, of the version an existing cluster needs; and whether there is a cluster.
    async fn binaries(&self, config: &ManagedConfig) -> Result<(Binaries, bool), ManagedError> {
        let cluster = match std::fs::read_to_string(self.data.join("PG_VERSION")) {
            Ok(text) => text.trim().parse::<u32>().ok(),
            Err(_) => None,
        };
        let bin = binaries::find(config.bin_dir.as_deref(), cluster, &self.data).await?;
        Ok((bin, cluster.is_some()))
    }

    /// Makes the cluster beside its place and moves it there, so that an interrupted start leaves no half of one.
    async fn initialise(&self, bin: &Binaries, settings: &[(String, String)]) -> Result<(), ManagedError> {
        for entry in std::fs::read_dir(&self.dir)? {
            let beside = entry?.path();
            let name = beside.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(REPLACED) || name == RECOVERED {
                return Err(ManagedError::Interrupted { data: self.data.clone(), beside });
            }
        }
        let unfinished = self.dir.join("data.new");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        let locale = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };
        let mut initdb = self.command(&bin.initdb());
        initdb.arg("-D").arg(&unfinished).args(["-U", USER, "-E", "UTF8", "--data-checksums", "--no-sync"]);
        initdb.arg(format!("--locale={locale}")).args(["--auth-local=trust", "--auth-host=reject"]);
        let output = initdb.output().await.map_err(|source| self.spawn_error(source))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(ManagedError::Initdb(text.trim().to_owned()));
        }
        if !settings.iter().any(|(name, value)| name == "fsync" && value == "off") {
            // Once for all of the thousand files, which takes a fraction of what `initdb` would need for it.
            write_through(&unfinished).await?;
        }
        std::fs::rename(&unfinished, &self.data)?;
        Ok(())
    }

    async fn launch(&self, bin: &Binaries, settings: &[(String, String)]) -> Result<Managed, ManagedError> {
        let socket_dir = socket::directory(&self.dir, self.account.as_ref())?;
        postmaster::clear_leftovers(&self.data, &socket_dir)?;
        let log = File::create(self.log())?;
        let mut postgres = self.command(&bin.postgres());
        postgres.arg("-D").arg(&self.data);
        for (name, value) in defaults() {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in settings {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in imposed(&socket_dir) {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        let child = postgres
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|source| self.spawn_error(source))?;
        let postmaster = Postmaster::new(child.id(), socket_dir.clone()).ok_or_else(|| self.exited())?;
        let mut managed = Managed {
            postmaster,
            child: Some(child),
            data: self.data.clone(),
            socket_dir,
            patience: self.patience,
            inhabitant: self.inhabitant.clone(),
            _claim: Arc::clone(&self.claim),
        };
        managed.ready(&self.log()).await?;
        Ok(managed)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).current_dir(&self.dir).env_remove("PGPORT").env_remove("PGDATA");
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    fn exited(&self) -> ManagedError {
        ManagedError::Exited { log: tail(&self.log()) }
    }

    /// An account that may not enter a directory above ours cannot change into it, which is how we notice.
    fn spawn_error(&self, source: std::io::Error) -> ManagedError {
        match &self.account {
            Some(account) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                ManagedError::Unreachable { dir: self.dir.clone(), account: account.name.clone() }
            }
            _ => ManagedError::Io(source),
        }
    }
}

impl Managed {
    /// Waits until the server answers, and makes sure that it serves our files.
    async fn ready(&mut self, log: &Path) -> Result<(), ManagedError> {
        let started = tokio::time::Instant::now();
        let (client, connection) = loop {
            match self.connect().await {
                Ok(pair) => break pair,
                // It answers, and will not answer otherwise.
                Err(refused) if UNKNOWN.iter().any(|state| refused.code() == Some(state)) => {
                    return Err(refused.into());
                }
                Err(_) if self.has_exited() => return Err(ManagedError::Exited { log: tail(log) }),
                Err(source) if started.elapsed() > self.patience => {
                    return Err(ManagedError::NotReady { log: tail(log), source: Box::new(source) });
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        let shown = drive(connection, async {
            match client.query_one("SHOW data_directory", &[]).await {
                Ok(row) => Ok(Some(row.get::<_, String>(0))),
                // Of a cluster that somebody else made, our account need not be the owner.
                Err(e) if e.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(None),
                Err(e) => Err(e),
            }
        })
        .await?;
        let Some(shown) = shown else {
            let socket = postmaster::of(&self.data).and_then(|postmaster| postmaster.socket_dir);
            return if socket.as_ref() == Some(&self.socket_dir) {
                Ok(())
            } else {
                Err(ManagedError::Stranger { wanted: self.data.clone(), serves: socket.unwrap_or_default() })
            };
        };
        if std::fs::canonicalize(&shown)? == self.data {
            Ok(())
        } else {
            Err(ManagedError::Stranger { wanted: self.data.clone(), serves: shown.into() })
        }
    }

    fn has_exited(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !self.postmaster.is_alive() || postmaster::of(&self.data).is_none(),
        }
    }
}

/// Waits until the file system of `dir` has everything on disk.
async fn write_through(dir: &Path) -> Result<(), ManagedError> {
    let dir = File::open(dir)?;
    let synced = tokio::task::spawn_blocking(move || {
        #[cfg(target_os = "linux")]
        return rustix::fs::syncfs(&dir);
        #[cfg(not(target_os = "linux"))]
        return rustix::fs::fsync(&dir);
    });
    synced.await.map_err(std::io::Error::other)?.map_err(std::io::Error::from)?;
    Ok(())
}

fn url(socket_dir: &Path, user: &str, database: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    format!(
        "postgres://{}@{}/{}",
        utf8_percent_encode(user, NON_ALPHANUMERIC),
        utf8_percent_encode(&socket_dir.to_string_lossy(), NON_ALPHANUMERIC),
        utf8_percent_encode(database, NON_ALPHANUMERIC)
    )
}

/// What suits an application on a small machine; the configuration may say otherwise.
fn defaults() -> [(&'static str, &'static str); 6] {
    [
        ("max_connections", "100"),
        ("shared_buffers", "128MB"),
        ("jit", "off"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("log_checkpoints", "off"),
    ]
}

/// What the rest of this module relies on; the configuration cannot say otherwise.
fn imposed(socket_dir: &Path) -> [(&'static str, String); 6] {
    // The setting is a list, so a name with a comma or a space needs its quotes.
    let quoted = format!("\"{}\"", socket_dir.to_string_lossy().replace('"', "\"\""));
    [
        ("listen_addresses", String::new()),
        ("port", PORT.to_string()),
        ("unix_socket_directories", quoted),
        ("unix_socket_permissions", "0700".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("log_destination", "stderr".to_owned()),
    ]
}

type Connection = tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>;

/// Runs `work` on the client of `connection`.
async fn drive<T>(
    connection: Connection,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ManagedError> {
    tokio::select! {
        biased;
        result = work => Ok(result?),
        end = connection => match end {
            Err(e) => Err(e.into()),
            Ok(()) => Err(ManagedError::Io(std::io::ErrorKind::UnexpectedEof.into())),
        },
    }
}

/// The last lines of the server's log, which say why it did not start.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}
