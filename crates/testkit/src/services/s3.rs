//! An S3 server within the test, on loopback, with its objects in a temporary directory.

use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    directory: TempDir,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Who may sign.
    pub const ACCESS_KEY_ID: &str = "tenon-test";
    /// With what.
    pub const SECRET_ACCESS_KEY: &str = "tenon-test-secret";

    /// Starts a server with no bucket yet.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = s3s_fs::FileSystem::new(directory.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY_ID, Self::SECRET_ACCESS_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A client that hangs up is no matter of ours.
                    let _ = connection.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, directory, _tasks: tasks }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        std::fs::create_dir_all(self.directory.path().join(name)).unwrap();
    }
}
