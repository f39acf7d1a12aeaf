//! Laws of the blob store.

use std::{any::Any, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use tenon_core::ports::blob::{BlobError, BlobMeta, BlobStore, ByteStream, Key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{laws, soon};

/// A fresh, empty store.
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn BlobStore>,
    /// Opens the same store as a restarted process would; absent where it does not outlive one.
    pub reopen: Option<BoxFuture<'static, Arc<dyn BlobStore>>>,
    /// What must live as long as the store.
    pub keep: Box<dyn Any + Send>,
}

laws!(
    blob_laws,
    blob,
    [
        what_was_put_comes_back,
        an_empty_blob_is_a_blob,
        many_megabytes_stream_in_and_out,
        putting_again_replaces,
        readers_see_the_old_or_the_new_never_a_mix,
        an_upload_that_breaks_off_leaves_nothing,
        an_upload_that_breaks_off_leaves_the_old_bytes,
        missing_is_not_found,
        a_range_gives_its_bytes,
        a_range_past_the_end_is_cut_to_the_end,
        what_was_deleted_is_gone,
        deleting_what_is_absent_succeeds,
        a_list_is_in_byte_order,
        a_list_goes_on_after_a_key_and_stops_at_its_limit,
        a_list_keeps_to_its_prefix,
        the_media_type_is_remembered_if_declared,
        a_presigned_url_gives_the_bytes_if_declared,
        blobs_survive_a_restart_if_declared,
    ]
);

/// What was put comes back, with its size told by `put` and `head` alike.
pub async fn what_was_put_comes_back(f: Fixture) {
    let key = key("thing/a b-ü.txt");
    let meta = put(&f, &key, b"hello").await;
    assert_eq!(meta.size, 5);
    assert_eq!(f.store.head(&key).await.unwrap().size, 5);
    assert_eq!(get(&f, &key, None).await, b"hello");
}

/// Nothing at all is a blob too.
pub async fn an_empty_blob_is_a_blob(f: Fixture) {
    let key = key("thing/empty");
    assert_eq!(put(&f, &key, b"").await.size, 0);
    assert_eq!(f.store.head(&key).await.unwrap().size, 0);
    assert_eq!(get(&f, &key, None).await, b"");
    assert_eq!(get(&f, &key, Some(0..10)).await, b"");
}

/// A body of several parts arrives whole and in order.
pub async fn many_megabytes_stream_in_and_out(f: Fixture) {
    let key = key("thing/large");
    let frames: Vec<Bytes> = (0..300_u32).map(|n| Bytes::from(n.to_le_bytes().repeat(16 * 1024))).collect();
    let expected: Vec<u8> = frames.concat();
    let body = stream::iter(frames.into_iter().map(Ok)).boxed();
    let meta = soon(f.store.put(&key, "application/octet-stream", body)).await.unwrap();
    assert_eq!(meta.size, expected.len() as u64);
    assert!(get(&f, &key, None).await == expected, "the bytes differ");
    let middle = get(&f, &key, Some(9_000_001..9_000_009)).await;
    assert_eq!(middle, expected[9_000_001..9_000_009]);
}

/// The last `put` wins, whatever the lengths.
pub async fn putting_again_replaces(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, b"the first, a long one").await;
    put(&f, &key, b"second").await;
    assert_eq!(get(&f, &key, None).await, b"second");
    assert_eq!(f.store.head(&key).await.unwrap().size, 6);
}

/// Readers during a `put` get one version.
pub async fn readers_see_the_old_or_the_new_never_a_mix(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, &vec![0; 200_000]).await;
    for round in 1..=8_u8 {
        let body = vec![round; 200_000 + usize::from(round)];
        let (_, seen) = futures_util::join!(put(&f, &key, &body), get(&f, &key, None));
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "two versions in one answer");
        let version = usize::from(seen[0]);
        assert_eq!(seen.len(), 200_000 + version, "half a version");
    }
}

/// A body that errs stores nothing under a new key.
pub async fn an_upload_that_breaks_off_leaves_nothing(f: Fixture) {
    for size in [10, 20 << 20] {
        let key = key("thing/broken");
        let error = break_off(&f, &key, size).await;
        assert!(matches!(error, BlobError::Aborted(_)), "{error:?}");
        assert!(matches!(f.store.head(&key).await, Err(BlobError::NotFound)));
        assert_eq!(f.store.list("", None, 10).await.unwrap(), []);
    }
}

/// A body that errs stores nothing over an old key.
pub async fn an_upload_that_breaks_off_leaves_the_old_bytes(f: Fixture) {
    let key = key("thing/kept");
    put(&f, &key, b"old").await;
    break_off(&f, &key, 10).await;
    assert_eq!(get(&f, &key, None).await, b"old");
}

/// A missing key is `NotFound`, at once and everywhere.
pub async fn missing_is_not_found(f: Fixture) {
    let key = key("thing/none");
    assert!(matches!(f.store.head(&key).await, Err(BlobError::NotFound)));
    assert!(matches!(f.store.get(&key, None).await.map(drop), Err(BlobError::NotFound)));
    assert!(matches!(f.store.get(&key, Some(0..1)).await.map(drop), Err(BlobError::NotFound)));
}

/// A range is half open.
pub async fn a_range_gives_its_bytes(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, b"0123456789").await;
    assert_eq!(get(&f, &key, Some(0..1)).await, b"0");
    assert_eq!(get(&f, &key, Some(3..7)).await, b"3456");
    assert_eq!(get(&f, &key, Some(9..10)).await, b"9");
    assert_eq!(get(&f, &key, Some(4..4)).await, b"");
}

/// A range that asks for more gets what there is.
pub async fn a_range_past_the_end_is_cut_to_the_end(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, b"0123456789").await;
    assert_eq!(get(&f, &key, Some(7..1000)).await, b"789");
    assert_eq!(get(&f, &key, Some(0..u64::MAX)).await, b"0123456789");
    assert_eq!(get(&f, &key, Some(10..20)).await, b"");
    assert_eq!(get(&f, &key, Some(500..600)).await, b"");
}

/// After `delete` the key is missing, and only it.
pub async fn what_was_deleted_is_gone(f: Fixture) {
    let (gone, stays) = (key("thing/x"), key("thing/xy"));
    put(&f, &gone, b"x").await;
    put(&f, &stays, b"y").await;
    f.store.delete(&gone).await.unwrap();
    assert!(matches!(f.store.head(&gone).await, Err(BlobError::NotFound)));
    assert_eq!(f.store.list("", None, 10).await.unwrap(), [stays]);
}

/// `delete` can be repeated.
pub async fn deleting_what_is_absent_succeeds(f: Fixture) {
    f.store.delete(&key("thing/none")).await.unwrap();
    f.store.delete(&key("other/none")).await.unwrap();
}

/// Order is by bytes, not by letters or by age.
pub async fn a_list_is_in_byte_order(f: Fixture) {
    let names = ["t/b", "t/a", "t/B", "t/a-1", "t/ä", "t/10", "t/9", "s/z"];
    for name in names {
        put(&f, &key(name), b"x").await;
    }
    let listed = f.store.list("", None, 100).await.unwrap();
    let mut expected: Vec<Key> = names.iter().map(|name| key(name)).collect();
    expected.sort();
    assert_eq!(listed, expected);
}

/// Pages of a list meet without gap or overlap.
pub async fn a_list_goes_on_after_a_key_and_stops_at_its_limit(f: Fixture) {
    let names: Vec<Key> = (0..7).map(|n| key(&format!("t/{n}"))).collect();
    for name in &names {
        put(&f, name, b"x").await;
    }
    let first = f.store.list("t/", None, 3).await.unwrap();
    assert_eq!(first, names[..3]);
    let second = f.store.list("t/", first.last(), 3).await.unwrap();
    assert_eq!(second, names[3..6]);
    let third = f.store.list("t/", second.last(), 3).await.unwrap();
    assert_eq!(third, names[6..]);
    assert_eq!(f.store.list("t/", third.last(), 3).await.unwrap(), []);
}

/// A prefix is text, not a directory; nothing under it is an empty list.
pub async fn a_list_keeps_to_its_prefix(f: Fixture) {
    for name in ["file/1a", "file/1b", "file/2", "files/1", "other"] {
        put(&f, &key(name), b"x").await;
    }
    let list = async |prefix| f.store.list(prefix, None, 10).await.unwrap();
    assert_eq!(list("file/").await, [key("file/1a"), key("file/1b"), key("file/2")]);
    assert_eq!(list("file/1").await, [key("file/1a"), key("file/1b")]);
    assert_eq!(list("none/").await, []);
    assert_eq!(list("zzz").await, []);
}

/// The media type comes back where declared; nowhere is another one made up.
pub async fn the_media_type_is_remembered_if_declared(f: Fixture) {
    let key = key("thing/page");
    let put = f.store.put(&key, "text/html; charset=utf-8", body(b"x")).await.unwrap();
    let head = f.store.head(&key).await.unwrap();
    let expected = f.store.capabilities().media_type.then(|| "text/html; charset=utf-8".to_owned());
    assert_eq!((&put.media_type, &head.media_type), (&expected, &expected));
}

/// A presigned URL needs no key of ours and answers with the disposition asked for.
pub async fn a_presigned_url_gives_the_bytes_if_declared(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, b"for the browser").await;
    let disposition = "attachment; filename=\"x.txt\"";
    let url = f.store.presign(&key, Duration::from_mins(1), disposition).await;
    if !f.store.capabilities().presign {
        assert!(matches!(url, Err(BlobError::Unsupported)), "{url:?}");
        return;
    }
    let url = url.unwrap();
    let answer = soon(fetch(&url)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("for the browser"), "{answer}");
    assert!(answer.contains(disposition), "{answer}");
    let forged = soon(fetch(&url.replace("thing/x", "thing/y"))).await;
    assert!(forged.starts_with("HTTP/1.1 403"), "{forged}");
}

/// A durable store still has its blobs after a restart.
pub async fn blobs_survive_a_restart_if_declared(f: Fixture) {
    let key = key("thing/x");
    put(&f, &key, b"still here").await;
    let reopened = match (f.store.capabilities().durable, f.reopen) {
        (true, Some(reopen)) => reopen.await,
        (false, None) => return,
        (durable, _) => panic!("the store says durable: {durable}, and its fixture otherwise"),
    };
    drop(f.store);
    let bytes = soon(collect(reopened.get(&key, None).await.unwrap())).await;
    assert_eq!(bytes, b"still here");
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn body(bytes: &[u8]) -> ByteStream {
    let frames: Vec<_> = bytes.chunks(64 * 1024).map(Bytes::copy_from_slice).map(Ok).collect();
    stream::iter(frames).boxed()
}

async fn put(f: &Fixture, key: &Key, bytes: &[u8]) -> BlobMeta {
    soon(f.store.put(key, "application/octet-stream", body(bytes))).await.unwrap()
}

async fn get(f: &Fixture, key: &Key, range: Option<Range<u64>>) -> Vec<u8> {
    let body = soon(f.store.get(key, range)).await.unwrap();
    soon(collect(body)).await
}

async fn collect(body: ByteStream) -> Vec<u8> {
    body.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

async fn break_off(f: &Fixture, key: &Key, size: usize) -> BlobError {
    let frames = vec![Ok(Bytes::from(vec![7; size])), Err("the browser was closed".into())];
    soon(f.store.put(key, "text/plain", stream::iter(frames).boxed())).await.unwrap_err()
}

/// The whole answer to a plain GET, as text.
async fn fetch(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("tests use plain HTTP");
    let (host, path) = rest.split_once('/').unwrap();
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
