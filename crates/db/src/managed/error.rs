//! Why there is no server, in words that say what to do about it.

use std::path::PathBuf;

/// What can go wrong with a managed server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedError {
    /// No programs of a server, or only of versions that are too old.
    #[error(
        "no PostgreSQL server (14 or newer) was found in {looked_in}; install one with {}, or set database.url to a server you have",
        super::install_command()
    )]
    NoBinaries {
        /// A directory, or the usual places.
        looked_in: String,
    },
    /// A client's program is missing, or of another major version than the server.
    #[error(
        "the server is PostgreSQL {wanted}, and {name} of that version was not found in {looked_in} (found: {found}); install the client programs of PostgreSQL {wanted}, or set database.bin_dir to them"
    )]
    NoProgram {
        /// The program.
        name: &'static str,
        /// The server's major version.
        wanted: u32,
        /// A directory, or the usual places.
        looked_in: String,
        /// The versions there are.
        found: String,
    },
    /// The cluster was made by another major version.
    #[error("the database in {} was made by PostgreSQL {cluster}, and of that version no programs were found (found: {found}); install PostgreSQL {cluster} or set database.bin_dir to its programs", data.display())]
    WrongMajor {
        /// The cluster.
        data: PathBuf,
        /// Its major version.
        cluster: u32,
        /// The versions there are.
        found: String,
    },
    /// There is no cluster in its place, and beside it one that a recovery has moved aside or made.
    #[error("there is no database in {}, but {} was left beside it by a recovery that broke off; move it there, or away, before a new and empty one is made", data.display(), beside.display())]
    Interrupted {
        /// The place.
        data: PathBuf,
        /// What is beside it.
        beside: PathBuf,
    },
    /// The data directory cannot be created or written.
    #[error("the data directory {} cannot be written", dir.display())]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The unprivileged account may not enter a directory above the data directory.
    #[error("PostgreSQL refuses to run as root, and the account {account} cannot enter {}; choose a data directory that it can reach, for example --data-dir /var/lib/tenon", dir.display())]
    Unreachable {
        /// The directory.
        dir: PathBuf,
        /// The account.
        account: String,
    },
    /// Another process is responsible for this cluster.
    #[error("another tenon is running on the data directory {}; stop it first, or choose another with --data-dir", .0.display())]
    InUse(PathBuf),
    /// Running as root without any account to drop to.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account {0} to run it as; create it, or start tenon as another user"
    )]
    NoAccount(String),
    /// Something else sits where the socket's private directory should be.
    #[error("{} is needed for PostgreSQL's socket, but it is not a private directory of the right owner; remove it", .0.display())]
    SocketDirectoryTaken(PathBuf),
    /// The socket leads to a server of another cluster.
    #[error("the server found for {} serves {} instead", wanted.display(), serves.display())]
    Stranger {
        /// Our cluster.
        wanted: PathBuf,
        /// Its cluster.
        serves: PathBuf,
    },
    /// `initdb` failed.
    #[error("the database could not be created: {0}")]
    Initdb(String),
    /// The server ended while starting.
    #[error("PostgreSQL did not start: {log}")]
    Exited {
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but does not answer.
    #[error("PostgreSQL started but does not answer: {log}")]
    NotReady {
        /// The last lines of its log.
        log: String,
        /// The last refusal.
        #[source]
        source: Box<tokio_postgres::Error>,
    },
    /// The server ignores its signals.
    #[error("PostgreSQL (process {0}) does not stop")]
    StillRunning(i32),
    /// The server answered with an error.
    #[error("PostgreSQL refused")]
    Query(#[from] tokio_postgres::Error),
    /// A file or a process could not be handled.
    #[error("PostgreSQL could not be run")]
    Io(#[from] std::io::Error),
}
