//! Connections to a server elsewhere: encrypted, and only to the one whose certificate is trusted.

use std::{
    fs::Permissions,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tenon_db::{
    Db, DbConfig, backups,
    managed::{self, Managed, ManagedConfig},
};

use crate::managed::directory;

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with a certificate of its own; answers its address, which nobody else on this machine listens at.
async fn server(dir: &Path) -> (Server, String) {
    let [_, high, low, last] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{low}.{last}", high | 0x80);
    let at = |name: &str| dir.join(name);
    let certify = |subject: &str, name: &str, more: &[&str]| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", subject, "-out", &format!("{name}.pem")])
            .args(["-keyout", &format!("{name}.key")])
            .args(more)
            .current_dir(dir)
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
    for file in ["server.pem", "server.key", "hba.conf"].map(at) {
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
    postgres.uid(owner.uid()).gid(owner.gid()).current_dir(dir).env_remove("PGPORT").stderr(Stdio::null());
    let server = Server(postgres.spawn().unwrap());
    for _ in 0..500 {
        let state = std::fs::read_to_string(at("postgres/data/postmaster.pid")).unwrap_or_default();
        if state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return (server, address);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not start");
}

#[tokio::test]
async fn a_server_is_trusted_when_its_authority_is_named_and_else_refused_with_advice() {
    let dir = directory();
    let (_server, address) = server(dir.path()).await;
    let url = |more: &str| format!("postgres://tenon@{address}/tenon?{more}");
    let authority = format!("sslrootcert={}", dir.path().join("authority.pem").display());
    for (more, encrypted) in [
        (authority.clone(), true),
        (format!("sslmode=verify-full&{authority}"), true),
        ("sslmode=disable".to_owned(), false),
    ] {
        let db = Db::open(DbConfig::new(url(&more)));
        let mut conn = db.dedicated().await.unwrap();
        assert_eq!(backups::is_encrypted(&mut conn).await.unwrap(), encrypted, "{more}");
    }
    for (more, words) in [
        (String::new(), "sslrootcert=/path"),
        ("sslmode=require".to_owned(), "sslrootcert=/path"),
        ("sslrootcert=/nowhere".to_owned(), "cannot read the authorities in /nowhere"),
        (format!("sslrootcert={}", dir.path().join("hba.conf").display()), "there is no certificate in it"),
    ] {
        let refused = Db::open(DbConfig::new(url(&more))).dedicated().await.map(drop).unwrap_err();
        let said = format!("{refused:?}");
        assert!(said.contains(words), "{more}: {said}");
    }
}
