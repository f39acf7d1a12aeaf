//! Laws of the cache.

use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use tenon_core::ports::cache::Cache;

use super::{laws, soon, unique};
use crate::clock::Timeline;

/// A cache and its time.
pub struct Fixture {
    /// The cache.
    pub cache: Arc<dyn Cache>,
    /// The time it goes by.
    pub time: Timeline,
    /// What must live as long as the cache.
    pub keep: Box<dyn Any + Send>,
}

laws!(
    cache_laws,
    cache,
    [
        what_was_put_comes_back,
        putting_again_replaces,
        what_was_never_put_is_absent,
        what_was_forgotten_is_gone,
        forgetting_what_is_absent_succeeds,
        nothing_outlives_its_time,
        putting_again_begins_a_new_time,
    ]
);

const LONG: Duration = Duration::from_hours(1);

/// Any bytes, under any key.
pub async fn what_was_put_comes_back(f: Fixture) {
    let (one, other) = (unique("clé de cache:ü"), unique("key"));
    put(&f, &one, b"\0\xff one", LONG).await;
    put(&f, &other, b"", LONG).await;
    assert_eq!(get(&f, &one).await.as_deref(), Some(&b"\0\xff one"[..]));
    assert_eq!(get(&f, &other).await.as_deref(), Some(&b""[..]));
}

/// The last value is the value.
pub async fn putting_again_replaces(f: Fixture) {
    let key = unique("key");
    put(&f, &key, b"first, and longer", LONG).await;
    put(&f, &key, b"second", LONG).await;
    assert_eq!(get(&f, &key).await.as_deref(), Some(&b"second"[..]));
}

/// Absence is an answer, not an error.
pub async fn what_was_never_put_is_absent(f: Fixture) {
    assert_eq!(get(&f, &unique("key")).await, None);
}

/// Forgotten means gone, and only that key.
pub async fn what_was_forgotten_is_gone(f: Fixture) {
    let (gone, stays) = (unique("key"), unique("key"));
    put(&f, &gone, b"x", LONG).await;
    put(&f, &stays, b"y", LONG).await;
    f.cache.forget(&gone).await.unwrap();
    assert_eq!(get(&f, &gone).await, None);
    assert_eq!(get(&f, &stays).await.as_deref(), Some(&b"y"[..]));
}

/// Forgetting can be repeated.
pub async fn forgetting_what_is_absent_succeeds(f: Fixture) {
    f.cache.forget(&unique("key")).await.unwrap();
}

/// At most `ttl`.
pub async fn nothing_outlives_its_time(f: Fixture) {
    let (short, long) = (unique("key"), unique("key"));
    put(&f, &short, b"x", f.time.span()).await;
    put(&f, &long, b"y", LONG).await;
    assert!(get(&f, &short).await.is_some());
    f.time.pass(f.time.span()).await;
    assert_eq!(get(&f, &short).await, None);
    assert!(get(&f, &long).await.is_some());
}

/// The time is the value's, not the key's.
pub async fn putting_again_begins_a_new_time(f: Fixture) {
    let key = unique("key");
    put(&f, &key, b"x", f.time.span()).await;
    put(&f, &key, b"y", LONG).await;
    f.time.pass(f.time.span()).await;
    assert_eq!(get(&f, &key).await.as_deref(), Some(&b"y"[..]));
}

async fn put(f: &Fixture, key: &str, value: &[u8], ttl: Duration) {
    soon(f.cache.put(key, Bytes::copy_from_slice(value), ttl)).await.unwrap();
}

async fn get(f: &Fixture, key: &str) -> Option<Bytes> {
    soon(f.cache.get(key)).await.unwrap()
}
