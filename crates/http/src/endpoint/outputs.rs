//! Results of endpoints.

mod file;
mod json;
mod page;
mod upgrade;

pub use self::{
    file::File,
    json::{Accepted, Created, Json, NoContent, Plain, Tagged, Versioned},
    page::Page,
    upgrade::Upgrade,
};
