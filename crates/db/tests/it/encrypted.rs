//! Connections over the network: encrypted, and only to a server whose certificate is trusted.

use tenon_db::{Db, DbConfig, backups};
use tenon_testkit::services::postgres::Server;

#[tokio::test]
async fn a_server_is_trusted_when_its_authority_is_named_and_else_refused_with_advice() {
    let server = Server::start().await;
    let authority = format!("sslrootcert={}", server.authority().display());
    let empty = tempfile::NamedTempFile::new().unwrap();
    for (more, encrypted) in [
        (authority.clone(), true),
        (format!("sslmode=verify-full&{authority}"), true),
        ("sslmode=disable".to_owned(), false),
    ] {
        let db = Db::open(DbConfig::new(server.url(&more)));
        let mut conn = db.dedicated().await.unwrap();
        assert_eq!(backups::is_encrypted(&mut conn).await.unwrap(), encrypted, "{more}");
    }
    for (more, words) in [
        (String::new(), "sslrootcert=/path"),
        ("sslmode=require".to_owned(), "sslrootcert=/path"),
        ("sslrootcert=/nowhere".to_owned(), "cannot read the authorities in /nowhere"),
        (format!("sslrootcert={}", empty.path().display()), "there is no certificate in it"),
    ] {
        let refused = Db::open(DbConfig::new(server.url(&more))).dedicated().await.map(drop).unwrap_err();
        let said = format!("{refused:?}");
        assert!(said.contains(words), "{more}: {said}");
    }
}
