//! A database for each test.
//!
//! It is cloned from a template that was migrated once, in a server that all test processes share. Each process
//! of a run may be one test (nextest) or hundreds; whoever comes first starts the server. A schema of its own
//! would not do for a test, as `NOTIFY` and advisory locks cross schemas.

mod server;

use std::{
    hash::{DefaultHasher, Hasher},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tenon_db::{Connection, Db, DbConfig, databases, migrations, pool::Watch};

/// Of the advisory lock under which one process at a time makes the template.
const TEMPLATE_LOCK: i64 = 0x7465_6e6f_6e00_7e57;

/// A database of a test's own; it is dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    admin_url: String,
    db: Db,
    statements: Arc<Mutex<Vec<String>>>,
}

impl TestDb {
    /// A migrated database without rows.
    pub async fn new() -> Self {
        let admin_url = server::admin_url().await;
        let mut admin = admin(&admin_url).await;
        let template = template(&admin_url, &mut admin).await;
        Self::create(admin_url, admin, Some(&template)).await
    }

    /// A database without tables.
    pub async fn empty() -> Self {
        let admin_url = server::admin_url().await;
        let admin = admin(&admin_url).await;
        Self::create(admin_url, admin, None).await
    }

    async fn create(admin_url: String, mut admin: Connection, template: Option<&str>) -> Self {
        let name = format!("tenon_test_{}", uuid::Uuid::now_v7().simple());
        databases::create(&mut admin, &name, template).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&statements);
        let watch: Watch = Arc::new(move |statement| seen.lock().unwrap().push(statement.to_owned()));
        let db = Db::open(DbConfig { watch: Some(watch), ..config(&url_of(&admin_url, &name)) });
        Self { name, admin_url, db, statements }
    }

    /// The statements sent since this was last asked, those that begin and end transactions included.
    pub fn statements(&self) -> Vec<String> {
        std::mem::take(&mut *self.statements.lock().unwrap())
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.db.url()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (url, name) = (self.admin_url.clone(), self.name.clone());
        // On a runtime of its own: the test's may be the one that is just ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                databases::drop(&mut admin(&url).await, &name).await.unwrap();
            });
        });
        let dropped = dropping.join().is_ok();
        assert!(dropped || std::thread::panicking(), "the test's database could not be dropped");
    }
}

async fn admin(url: &str) -> Connection {
    open(url).dedicated().await.unwrap()
}

/// A small pool: many tests share the server.
pub fn open(url: &str) -> Db {
    Db::open(config(url))
}

fn config(url: &str) -> DbConfig {
    let acquire_timeout = Duration::from_secs(30);
    DbConfig { pool_size: 8, acquire_timeout, ..DbConfig::new(url) }
}

/// The template's name; made first if this is the first test since a migration changed.
async fn template(admin_url: &str, admin: &mut Connection) -> String {
    let name = format!("tenon_template_{:016x}", fingerprint());
    if databases::exists(admin, &name).await.unwrap() {
        return name;
    }
    let mut locked = self::admin(admin_url).await;
    databases::lock(&mut locked, TEMPLATE_LOCK).await.unwrap();
    if !databases::exists(admin, &name).await.unwrap() {
        // Under another name until it is whole, so that a test that is ended here leaves no half of one.
        let unfinished = format!("{name}_new");
        databases::drop(admin, &unfinished).await.unwrap();
        databases::create(admin, &unfinished, None).await.unwrap();
        migrations::run(&open(&url_of(admin_url, &unfinished))).await.unwrap();
        rename_once_free(admin, &unfinished, &name).await;
    }
    name
}

/// The server may take a moment to notice that the migrating connection has gone.
async fn rename_once_free(admin: &mut Connection, from: &str, to: &str) {
    for _ in 0..500 {
        if databases::rename(admin, from, to).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    databases::rename(admin, from, to).await.unwrap();
}

/// Of the migrations' text: a changed one makes another template.
fn fingerprint() -> u64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        hasher.write(folder.file_name().unwrap().as_encoded_bytes());
        hasher.write(&std::fs::read(folder.join("up.sql")).unwrap());
    }
    hasher.finish()
}

/// The same server's database `name`.
fn url_of(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(b, q)| (b, format!("?{q}")));
    let server = base.rsplit_once('/').expect("a database URL names a database").0;
    format!("{server}/{name}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server() {
        assert_eq!(url_of("postgres://a@h/b", "c"), "postgres://a@h/c");
        assert_eq!(url_of("postgres://a@h:1/b?sslmode=disable", "c"), "postgres://a@h:1/c?sslmode=disable");
    }

    #[tokio::test]
    async fn tests_do_not_share_a_database() {
        let (one, two) = tokio::join!(TestDb::new(), TestDb::new());
        assert_ne!(one.url(), two.url());
        migrations::check(one.db()).await.unwrap();
    }
}
