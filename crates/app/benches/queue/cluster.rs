//! The Postgres that everybody is measured on: one of our own, `fsync` on.

use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicU32, Ordering},
};

use tenon_db::{
    Db, DbConfig, databases,
    managed::{Managed, ManagedConfig},
};

pub(crate) struct Cluster {
    managed: Managed,
    postmaster: u32,
    databases: AtomicU32,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The account that Postgres runs as must get in.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let data_dir = dir.path().join("postgres");
        let settings = [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("max_connections", "100")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let managed =
            Managed::start(ManagedConfig { data_dir: data_dir.clone(), settings, ..Default::default() })
                .await
                .unwrap();
        let pid = std::fs::read_to_string(data_dir.join("data/postmaster.pid")).unwrap();
        let postmaster = pid.lines().next().unwrap().parse().unwrap();
        Self { managed, postmaster, databases: AtomicU32::new(0), _dir: dir }
    }

    /// The URL of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut admin = Db::open(DbConfig::new(self.managed.url())).dedicated().await.unwrap();
        databases::create(&mut admin, &name, None).await.unwrap();
        self.managed.url_of(&name)
    }

    /// Processor time of the server and all its connections until now, in seconds.
    pub(crate) fn processor(&self) -> f64 {
        let children = format!("/proc/{0}/task/{0}/children", self.postmaster);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        // Of those that have ended, the parent knows.
        ticks(self.postmaster, 4)
            + children.split_whitespace().map(|pid| ticks(pid.parse().unwrap(), 2)).sum::<f64>()
    }

    pub(crate) async fn stop(self) {
        self.managed.stop().await.unwrap();
    }
}

/// Processor time of this process until now, in seconds.
pub(crate) fn own_processor() -> f64 {
    ticks(std::process::id(), 2)
}

/// The first of `utime`, `stime`, `cutime` and `cstime`, summed up, in seconds.
fn ticks(pid: u32, fields: usize) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name
        .split_whitespace()
        .skip(11)
        .take(fields)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}
