//! The table of operations, group by group.

pub mod system;

use crate::endpoint::Api;

/// Every operation of the API.
pub fn table() -> Api {
    let mut api = Api::new();
    system::mount(&mut api);
    system::mount_config(&mut api);
    api
}
