//! Arguments of endpoints.

mod body;
mod caller;
mod client;
mod fields;
mod params;
mod precondition;
mod state;
mod upload;

pub(crate) use self::{body::bytes as body_bytes, params::header_text};
pub use self::{
    body::{BODY_LIMIT, Body, MaybeBody, Patch},
    caller::MaybeCaller,
    client::Client,
    fields::{Field, Given},
    params::{Path, Query},
    precondition::IfMatch,
    state::{Correlation, Ctx, State},
    upload::Upload,
};
pub use tenon_core::callers::Caller;
