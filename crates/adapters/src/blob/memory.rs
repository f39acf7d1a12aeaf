//! Blobs in memory, for trying things out.

use opendal::{Operator, services::Memory};
use tenon_core::ports::blob::Capabilities;

use super::operator::OperatorStore;
use crate::ConnectError;

pub(super) fn connect() -> Result<OperatorStore, ConnectError> {
    let operator = Operator::new(Memory::default())
        .map_err(|e| ConnectError::caused("The blob store in memory cannot be made.", e))?;
    Ok(OperatorStore::new(operator, Capabilities { durable: false, presign: false, media_type: false }))
}
