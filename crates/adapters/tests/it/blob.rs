//! Blob stores.

use serde_json::json;
use tenon_adapters::blob::{Config, connect};
use tenon_testkit::{blob_laws, services};

pub(crate) mod fixtures {
    use futures_util::FutureExt as _;
    use tenon_testkit::laws::blob::Fixture;

    use super::*;

    pub(crate) async fn filesystem() -> Option<Fixture> {
        let directory = tempfile::tempdir().unwrap();
        let config = config(json!({"backend": "filesystem", "directory": directory.path()}));
        Some(durable(config, directory).await)
    }

    pub(crate) async fn memory() -> Option<Fixture> {
        let store = connect(Config::Memory {}).await.unwrap();
        Some(Fixture { store, reopen: None, keep: Box::new(()) })
    }

    pub(crate) async fn s3() -> Option<Fixture> {
        let server = services::s3::Server::start().await;
        server.create_bucket("tenon");
        Some(durable(s3_config(&server, "tenon"), server).await)
    }

    async fn durable(config: Config, keep: impl Send + 'static) -> Fixture {
        let store = connect(config.clone()).await.unwrap();
        let reopen = async move { connect(config).await.unwrap() }.boxed();
        Fixture { store, reopen: Some(reopen), keep: Box::new(keep) }
    }
}

blob_laws!(filesystem, crate::blob::fixtures::filesystem);
blob_laws!(memory, crate::blob::fixtures::memory);
blob_laws!(s3, crate::blob::fixtures::s3);

#[tokio::test]
async fn each_store_declares_what_it_can() {
    let stores = [fixtures::filesystem().await, fixtures::memory().await, fixtures::s3().await];
    let declared = stores.map(|fixture| {
        let can = fixture.unwrap().store.capabilities();
        (can.durable, can.presign, can.media_type)
    });
    assert_eq!(declared, [(true, false, false), (false, false, false), (true, true, true)]);
}

#[tokio::test]
async fn an_absent_bucket_is_named() {
    let server = services::s3::Server::start().await;
    let refused = connect(s3_config(&server, "nowhere")).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), format!("The bucket nowhere does not exist at {}.", server.endpoint()));
}

#[tokio::test]
async fn an_absent_store_is_named() {
    let config = s3_config_at("http://127.0.0.1:9", "tenon");
    let refused = connect(config).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "The bucket tenon at http://127.0.0.1:9 cannot be reached.");
}

#[tokio::test]
async fn a_store_that_is_busy_for_a_moment_is_asked_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = async {
        let busy = ("503 Slow Down", "<Error><Code>SlowDown</Code><Message>Busy</Message></Error>");
        let empty = ("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
        for (status, body) in [busy, busy, empty] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    let ((), connected) = tokio::join!(serving, connect(s3_config_at(&endpoint, "tenon")));
    connected.map(drop).unwrap();
}

#[tokio::test]
async fn an_upload_of_many_parts_arrives_whole_whatever_their_size() {
    use futures_util::{StreamExt, TryStreamExt, stream};
    use tenon_core::ports::blob::Key;
    let server = services::s3::Server::start().await;
    server.create_bucket("tenon");
    let bytes: Vec<u8> =
        (0..17_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for size in ["0", "5"] {
        let store = connect(with_parts(&server, size)).await.unwrap();
        let key = Key::parse(&format!("parts/{size}")).unwrap();
        let pieces: Vec<_> = bytes.chunks(300_000).map(|piece| Ok(piece.to_vec().into())).collect();
        store.put(&key, "application/octet-stream", stream::iter(pieces).boxed()).await.unwrap();
        let read: Vec<_> = store.get(&key, None).await.unwrap().try_collect().await.unwrap();
        assert!(read.concat() == bytes, "with parts of {size} MiB");
    }
    let refused = connect(with_parts(&server, "4")).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "The parts of uploads to S3 have 5 to 1024 MiB, and part_size_mib is 4.");
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = config(json!({"backend": "filesystem", "directory": file}));
    let refused = connect(config).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), format!("The blob directory {} is not writable.", file.display()));
}

#[test]
fn a_typing_error_in_the_configuration_is_found() {
    let typo = json!({"backend": "filesystem", "direktory": "x"});
    assert!(serde_json::from_value::<Config>(typo).unwrap_err().to_string().contains("direktory"));
    let typo = json!({"backend": "memory", "directory": "x"});
    assert!(serde_json::from_value::<Config>(typo).is_err());
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let config = s3_config_at("http://127.0.0.1:9", "tenon");
    assert!(!format!("{config:?}").contains(services::s3::Server::SECRET_ACCESS_KEY));
}

fn s3_config(server: &services::s3::Server, bucket: &str) -> Config {
    s3_config_at(&server.endpoint(), bucket)
}

fn s3_config_at(endpoint: &str, bucket: &str) -> Config {
    config(json!({
        "backend": "s3",
        "endpoint": endpoint,
        "bucket": bucket,
        "prefix": "files",
        "access_key_id": services::s3::Server::ACCESS_KEY_ID,
        "secret_access_key": services::s3::Server::SECRET_ACCESS_KEY,
        "path_style": "true",
    }))
}

fn with_parts(server: &services::s3::Server, mebibytes: &str) -> Config {
    let Config::S3(s3) = s3_config(server, "tenon") else { panic!("it is of S3") };
    Config::S3(tenon_adapters::blob::S3Config { part_size_mib: mebibytes.parse().unwrap(), ..s3 })
}

fn config(json: serde_json::Value) -> Config {
    serde_json::from_value(json).unwrap()
}
