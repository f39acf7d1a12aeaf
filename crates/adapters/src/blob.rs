//! Where files live: a directory, any S3-compatible store, or memory.

mod counted;
mod filesystem;
mod memory;
mod operator;
mod s3;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::blob::BlobStore;

pub use filesystem::FilesystemConfig;
pub use s3::S3Config;

use crate::{ConnectError, connect::refuse_empty};

/// Which blob store, and how to reach it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "backend", rename_all = "lowercase", deny_unknown_fields)]
pub enum Config {
    /// A directory of this machine.
    Filesystem(FilesystemConfig),
    /// A bucket of an S3-compatible store.
    S3(S3Config),
    /// Memory of this process; gone with it.
    Memory {},
}

impl Default for Config {
    fn default() -> Self {
        Self::Filesystem(FilesystemConfig::default())
    }
}

impl Config {
    /// Says what no store could be opened with, without opening one.
    pub fn check(&self) -> Result<(), ConnectError> {
        match self {
            Self::Filesystem(config) => refuse_empty("directory", &config.directory),
            Self::S3(config) => config.check(),
            Self::Memory {} => Ok(()),
        }
    }
}

/// Opens the configured store and proves that it can be used.
pub async fn connect(config: Config) -> Result<Arc<dyn BlobStore>, ConnectError> {
    config.check()?;
    let store = match config {
        Config::Filesystem(config) => filesystem::connect(config).await?,
        Config::S3(config) => s3::connect(config).await?,
        Config::Memory {} => memory::connect()?,
    };
    Ok(Arc::new(counted::Counted(store)))
}
