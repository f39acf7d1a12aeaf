//! Blobs in a bucket of an S3-compatible store.

use std::time::Duration;

use futures_util::StreamExt;
use opendal::{
    ErrorKind, HttpTransporter, Operator,
    layers::{RetryLayer, TimeoutLayer},
    services::S3,
};
use opendal_http_transport_reqwest::ReqwestTransport;
use schemars::JsonSchema;
use serde::Deserialize;
use tenon_core::{ports::blob::Capabilities, secrets::Secret};

use super::operator::{OperatorStore, Parts};
use crate::{
    ConnectError,
    connect::{from_text, install_tls_provider},
};

/// Settings of the S3 store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// Address of the store: `https://s3.eu-central-1.amazonaws.com`, `http://127.0.0.1:9000`, ….
    pub endpoint: String,
    /// Region of the bucket; many stores accept any.
    #[serde(default = "default_region")]
    pub region: String,
    /// Name of the bucket; it must exist.
    pub bucket: String,
    /// Begins every key, for a bucket shared with others.
    #[serde(default)]
    pub prefix: String,
    /// Name of the key to sign in with; without keys the environment's credentials are used (instance roles, profiles).
    #[serde(default)]
    pub access_key_id: Option<Secret>,
    /// Belongs to `access_key_id`.
    #[serde(default)]
    pub secret_access_key: Option<Secret>,
    /// Size of each part of an upload but the last, in MiB, for stores that demand the same one for all (Cloudflare R2): 5 to
    /// 1024; an object may have ten thousand times as much. 0 lets parts grow with the upload, from 8 to 64 MiB, and an object may
    /// have 480 GiB.
    #[serde(default, deserialize_with = "from_text")]
    #[schemars(extend("minimum" = 0, "maximum" = 1024))]
    pub part_size_mib: u16,
    /// `https://host/bucket/key` instead of `https://bucket.host/key`.
    #[serde(default = "yes", deserialize_with = "from_text")]
    pub path_style: bool,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

const fn yes() -> bool {
    true
}

impl S3Config {
    /// Says what no store could be reached with.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let endpoint = url::Url::parse(&self.endpoint).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if endpoint.is_none() {
            return Err(ConnectError::new(format!(
                "endpoint must be the address of the S3 store, such as https://s3.eu-central-1.amazonaws.com, not {:?}.",
                self.endpoint
            )));
        }
        for (key, value) in [("bucket", &self.bucket), ("region", &self.region)] {
            if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '/') {
                return Err(ConnectError::new(format!("{key} must be a name, not {value:?}.")));
            }
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err(ConnectError::new(
                "The S3 store needs both access_key_id and secret_access_key, or neither.",
            ));
        }
        self.parts().map(drop)
    }

    fn parts(&self) -> Result<Parts, ConnectError> {
        match self.part_size_mib {
            0 => Ok(Parts::Growing),
            size @ 5..=1024 => Ok(Parts::Of(usize::from(size) << 20)),
            size => Err(ConnectError::new(format!(
                "The parts of uploads to S3 have 5 to 1024 MiB, and part_size_mib is {size}."
            ))),
        }
    }
}

pub(super) async fn connect(config: S3Config) -> Result<OperatorStore, ConnectError> {
    install_transport()?;
    let mut builder = S3::default()
        .endpoint(&config.endpoint)
        .region(&config.region)
        .bucket(&config.bucket)
        .root(&config.prefix);
    if let (Some(id), Some(secret)) = (&config.access_key_id, &config.secret_access_key) {
        builder = builder
            .access_key_id(id.expose())
            .secret_access_key(secret.expose())
            .disable_config_load()
            .disable_ec2_metadata();
    }
    if !config.path_style {
        builder = builder.enable_virtual_host_style();
    }
    let operator = Operator::new(builder)
        .map_err(|e| ConnectError::caused("The settings of the S3 store are not valid.", e))?
        .layer(TimeoutLayer::new().with_timeout(Duration::from_secs(30)).with_io_timeout(IO_TIMEOUT))
        // A store far away refuses now and then; one such answer shall not cost the upload of an hour.
        .layer(RetryLayer::new().with_max_times(3).with_min_delay(Duration::from_millis(200)).with_jitter());
    prove_readable(&operator, &config).await?;
    let parts = config.parts()?;
    let store = OperatorStore::new(operator, Capabilities { durable: true, presign: true, media_type: true });
    Ok(store.with_parts(parts))
}

/// For one part, at 3 Mbit/s.
const IO_TIMEOUT: Duration = Duration::from_mins(3);

/// Gives opendal its HTTP client: without default features it has none.
fn install_transport() -> Result<(), ConnectError> {
    install_tls_provider();
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(|e| ConnectError::caused("The HTTP client of the S3 store cannot be made.", e))?;
    HttpTransporter::install_default(ReqwestTransport::new(client));
    Ok(())
}

/// Lists one key: `Operator::check` would call an absent bucket fine.
async fn prove_readable(operator: &Operator, config: &S3Config) -> Result<(), ConnectError> {
    let first = match operator.lister_with("/").recursive(true).limit(1).await {
        Ok(mut lister) => lister.next().await.transpose(),
        Err(e) => Err(e),
    };
    let S3Config { bucket, endpoint, .. } = config;
    first.map(drop).map_err(|e| match e.kind() {
        // opendal's kind for `NoSuchBucket`. What the store said beyond that is of no use to anybody.
        ErrorKind::NotFound | ErrorKind::ConfigInvalid => {
            ConnectError::new(format!("The bucket {bucket} does not exist at {endpoint}."))
        }
        ErrorKind::PermissionDenied => ConnectError::new(format!(
            "The S3 store at {endpoint} does not let these keys list the bucket {bucket}."
        )),
        _ => ConnectError::caused(format!("The bucket {bucket} at {endpoint} cannot be reached."), e),
    })
}
