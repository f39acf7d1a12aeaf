//! Pages of a list: a limit and where the last page ended.

use crate::Time;

/// A slice of a list in a total order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// At most this many, 1 to 200.
    pub limit: i64,
    /// The key of the last item already seen.
    pub after: Option<K>,
}

impl<K> Page<K> {
    /// How many to ask the database for: one more than the limit tells whether there is a next page.
    pub const fn fetch(&self) -> i64 {
        self.limit + 1
    }
}

/// The items of a page and the key to go on after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items<T, K> {
    /// The items.
    pub items: Vec<T>,
    /// The last item's key, when there are more.
    pub next: Option<K>,
}

impl<T, K> Items<T, K> {
    /// Cuts the extra row that [`Page::fetch`] asked for and remembers where to go on.
    pub fn cut(mut items: Vec<T>, page: &Page<K>, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
    /// Converts the items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Items<U, K> {
        Items { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// A key by time, then id: total even when times are equal.
pub type TimeKey = (Time, uuid::Uuid);
