//! A PostgreSQL server that is reached over the network, with a certificate of its own authority.

use std::{
    fs::Permissions,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tenon_db::managed::{self, Managed, ManagedConfig};

/// A running server with an empty database `tenon` of an owner of that name, who needs no password; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: String,
    directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// The certificate of the authority, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// URL of the database, with a query.
    pub fn url(&self, query: &str) -> String {
        format!("postgres://tenon@{}/tenon?{query}", self.address)
    }

    /// Starts a server at an address of loopback that nobody else listens at.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().to_owned();
        std::fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.join(name);
        let [_, high, low, last] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{low}.{last}", high | 0x80);
        let certify = |subject: &str, name: &str, more: &[&str]| {
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
                .args(["-days", "2", "-subj", subject, "-out", &format!("{name}.pem")])
                .args(["-keyout", &format!("{name}.key")])
                .args(more)
                .current_dir(&dir)
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        certify("/CN=Authority", "authority", &[]);
        let name = format!("subjectAltName=IP:{address}");
        let signed = ["-CA", "authority.pem", "-CAkey", "authority.key"];
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", &name];
        certify("/CN=db", "server", &[signed, leaf].concat());
        std::fs::write(at("hba.conf"), "local all all trust\nhost all all 127.0.0.0/8 trust\n").unwrap();
        let config = ManagedConfig { data_dir: at("postgres"), ..ManagedConfig::default() };
        Managed::start(config.clone()).await.unwrap().stop().await.unwrap();
        // Whoever runs the server must be able to read them, and nobody else the key.
        let owner = std::fs::metadata(at("postgres/data")).unwrap();
        for file in ["server.pem", "server.key", "hba.conf"].map(&at) {
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let major = std::fs::read_to_string(at("postgres/data/PG_VERSION")).unwrap().trim().parse().unwrap();
        let mut postgres = Command::new(managed::program(None, "postgres", major).await.unwrap());
        // By itself ours listens on no address.
        let settings = [
            format!("listen_addresses={address}"),
            format!("unix_socket_directories={}", at("postgres").display()),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", at("server.pem").display()),
            format!("ssl_key_file={}", at("server.key").display()),
            format!("hba_file={}", at("hba.conf").display()),
        ];
        postgres.arg("-D").arg(at("postgres/data")).args(settings.iter().flat_map(|setting| ["-c", setting]));
        postgres
            .uid(owner.uid())
            .gid(owner.gid())
            .current_dir(&dir)
            .env_remove("PGPORT")
            .stderr(Stdio::null());
        let process = postgres.spawn().unwrap();
        let server = Self { process, address, directory };
        for _ in 0..500 {
            let state = std::fs::read_to_string(at("postgres/data/postmaster.pid")).unwrap_or_default();
            if state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not start");
    }
}
