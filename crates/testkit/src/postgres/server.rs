//! The server that all test processes share.
//!
//! Every process holds a shared lock on the file `users` for as long as it lives. The first one finds no server and
//! starts one on a fresh cluster, without `fsync`, and beside it a shell that stops the server when for some seconds
//! nobody held that lock. A process that comes while the server is being stopped waits for that to be over.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tenon_db::{
    Db, DbConfig,
    managed::{Managed, ManagedConfig},
};
use tokio::sync::OnceCell;

static ADMIN_URL: OnceCell<String> = OnceCell::const_new();

/// Stops the server once nobody used it for two looks; `flock` holds newcomers back meanwhile.
const WATCHDOG: &str = r#"
cd "$1" || exit 1
idle=0
while [ -e cluster/data/postmaster.pid ] && kill -0 "$2" 2>/dev/null; do
    sleep 10
    if flock --exclusive --nonblock users true; then idle=$((idle + 1)); else idle=0; fi
    if [ "$idle" -ge 2 ]; then
        flock --exclusive --nonblock users sh -c '
            kill -INT "$1"
            while [ -e cluster/data/postmaster.pid ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; done
            rm -f url' stop "$2"
        idle=0
    fi
done
"#;

/// URL of the administrative database of the tests' server: `TENON_TEST_DATABASE_URL`, or our own server's.
pub(super) async fn admin_url() -> String {
    ADMIN_URL.get_or_init(find_or_start).await.clone()
}

async fn find_or_start() -> String {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
    let own = std::env::var("TENON_TEST_DATABASE_URL");
    match own {
        Ok(url) => url,
        Err(_) => tokio::task::spawn_blocking(join_or_start).await.unwrap(),
    }
}

fn join_or_start() -> String {
    let dir = directory();
    std::fs::create_dir_all(&dir).unwrap();
    // The process's hold on the server; the system takes it back when the process ends, however it ends.
    let users = open(&dir.join("users"));
    users.lock_shared().unwrap();
    std::mem::forget(users);
    let starting = open(&dir.join("starting"));
    starting.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match running(&dir).await {
            Some(url) => url,
            None => start(&dir).await,
        }
    })
}

async fn running(dir: &Path) -> Option<String> {
    let url = std::fs::read_to_string(dir.join("url")).ok()?;
    Db::open(DbConfig::new(&url)).dedicated().await.ok()?;
    Some(url)
}

async fn start(dir: &Path) -> String {
    let data_dir = dir.join("cluster");
    // A cluster without `fsync` is worth nothing once its server has gone.
    let _ = std::fs::remove_dir_all(&data_dir);
    let settings = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "500"),
        ("max_wal_size", "4GB"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let config = ManagedConfig { data_dir: data_dir.clone(), settings, ..ManagedConfig::default() };
    let server = Managed::start(config).await.unwrap();
    let pid = std::fs::read_to_string(data_dir.join("data/postmaster.pid")).unwrap();
    watch(dir, pid.lines().next().unwrap());
    let url = server.url();
    std::fs::write(dir.join("url"), &url).unwrap();
    // It outlives this process; the watchdog stops it.
    std::mem::forget(server);
    url
}

fn watch(dir: &Path, pid: &str) {
    // It outlives this process on purpose, so nobody here waits for it.
    let watchdog = Command::new("setsid")
        .args(["sh", "-c", WATCHDOG, "watchdog"])
        .arg(dir)
        .arg(pid)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tests' PostgreSQL is watched by `setsid` and `flock` of util-linux; without them, point TENON_TEST_DATABASE_URL at a server of yours");
    drop(watchdog);
}

fn open(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

/// The same for all checkouts of one account, short enough for a socket's path.
fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("tenon-tests-{}", rustix::process::getuid().as_raw()))
}
