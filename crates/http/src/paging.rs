//! Pages of lists: `limit`, `cursor` and `count` in, a signed cursor out.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tenon_app::App;
use tenon_core::{Error, Result, page::Items};
use utoipa::IntoParams;

use crate::endpoint::Page;

/// The parameters of every list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50, example = 50)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(max_length = 2000)]
    pub cursor: Option<String>,
    /// Also say how long the whole list is.
    #[param(default = false)]
    pub count: Option<bool>,
}

impl Paging {
    /// The page asked for. A cursor is good only for the `list` it was made for.
    pub fn page<K: DeserializeOwned>(&self, app: &App, list: &str) -> Result<tenon_core::page::Page<K>> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(Error::invalid("limit", "out-of-range", "must be a number from 1 to 200"));
        }
        let after = match &self.cursor {
            None => None,
            Some(cursor) => Some(app.keys.unseal(list, cursor).ok_or_else(|| {
                Error::invalid("cursor", "invalid-cursor", "must be the next_cursor of the page before")
            })?),
        };
        Ok(tenon_core::page::Page { limit, after })
    }

    /// Whether the length of the whole list is wanted.
    pub fn wants_count(&self) -> bool {
        self.count.unwrap_or(false)
    }
}

/// The answer of a list: views of the items, and the cursor to go on with.
pub fn answer<T, K: Serialize, V: From<T>>(app: &App, list: &str, items: Items<T, K>) -> Result<Page<V>> {
    let cursor = items.next.map(|key| app.keys.seal(list, &key)).transpose()?;
    Ok(Page::new(items.items.into_iter().map(V::from).collect(), cursor))
}
