//! Blobs as files of a directory.
//!
//! An upload grows in `incoming/` and is renamed into `blobs/` when complete: both are parts of one
//! directory so that the rename stays within a file system, and apart so that a listing never meets
//! half an upload.

use std::path::{Path, PathBuf};

use opendal::{Operator, services::Fs};
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::ports::blob::Capabilities;

use super::operator::OperatorStore;
use crate::ConnectError;

/// Settings of the file system store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemConfig {
    /// Directory of the files; made when absent. Unset, one within `data_dir`: `files`, or `backups` for backups.
    pub directory: PathBuf,
}

impl Default for FilesystemConfig {
    fn default() -> Self {
        Self { directory: PathBuf::from("./.tenon/files") }
    }
}

pub(super) async fn connect(config: FilesystemConfig) -> Result<OperatorStore, ConnectError> {
    let directory = config.directory;
    prove_writable(&directory).await.map_err(|e| {
        ConnectError::caused(format!("The blob directory {} is not writable.", directory.display()), e)
    })?;
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|path| {
            ConnectError::new(format!("The blob directory {} is not valid UTF-8.", path.display()))
        })
    };
    let blobs = text(directory.join("blobs"))?;
    let incoming = text(directory.join("incoming"))?;
    let operator = Operator::new(Fs::default().root(&blobs).atomic_write_dir(&incoming)).map_err(|e| {
        ConnectError::caused(format!("The blob directory {} cannot be used.", directory.display()), e)
    })?;
    Ok(OperatorStore::new(operator, Capabilities { durable: true, presign: false, media_type: false }))
}

async fn prove_writable(directory: &Path) -> std::io::Result<()> {
    let incoming = directory.join("incoming");
    tokio::fs::create_dir_all(directory.join("blobs")).await?;
    tokio::fs::create_dir_all(&incoming).await?;
    let probe = incoming.join(format!("probe-{}", std::process::id()));
    tokio::fs::write(&probe, b"").await?;
    match tokio::fs::remove_file(&probe).await {
        // Another connection of this process was probing too.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
