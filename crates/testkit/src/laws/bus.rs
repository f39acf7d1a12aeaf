//! Laws of the bus.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use tenon_core::ports::bus::{Bus, Heard, Listener};

use super::{laws, soon, unique};

/// A bus as two processes see it.
pub struct Fixture {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The same bus from another process; the same object where it reaches no further than one.
    pub elsewhere: Arc<dyn Bus>,
    /// Makes every listener that hears the topic lose something.
    pub lose: Box<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>,
    /// What must live as long as the bus.
    pub keep: Box<dyn Any + Send>,
}

laws!(
    bus_laws,
    bus,
    [
        every_listener_hears_each_message_once,
        messages_of_one_publisher_arrive_in_order,
        only_topics_listened_to_are_heard,
        what_is_ignored_is_heard_no_more,
        listening_twice_is_listening_once,
        any_bytes_arrive,
        nobody_listening_is_no_error,
        giving_up_waiting_loses_no_message,
        a_lost_connection_is_told_and_mended,
    ]
);

/// Here and elsewhere.
pub async fn every_listener_hears_each_message_once(f: Fixture) {
    f.bus.check().await.unwrap();
    let topic = unique("topic");
    let mut here = listener(&*f.bus, &topic).await;
    let mut there = listener(&*f.elsewhere, &topic).await;
    say(&*f.bus, &topic, "from here").await;
    say(&*f.elsewhere, &topic, "from there").await;
    say(&*f.bus, &topic, "the end").await;
    for ear in [&mut here, &mut there] {
        for body in ["from here", "from there", "the end"] {
            assert_eq!(hear(ear).await, (topic.clone(), body.to_owned()));
        }
    }
}

/// In order, on one topic.
pub async fn messages_of_one_publisher_arrive_in_order(f: Fixture) {
    let topic = unique("topic");
    let mut ear = listener(&*f.elsewhere, &topic).await;
    for n in 0..200 {
        say(&*f.bus, &topic, &n.to_string()).await;
    }
    for n in 0..200 {
        assert_eq!(hear(&mut ear).await.1, n.to_string());
    }
}

/// A topic is its whole name.
pub async fn only_topics_listened_to_are_heard(f: Fixture) {
    let topic = unique("topic");
    let mut ear = listener(&*f.bus, &topic).await;
    for other in [format!("{topic}.more"), topic[..topic.len() - 1].to_owned(), "*".to_owned()] {
        say(&*f.bus, &other, "not for you").await;
    }
    silence(&f, &mut ear, &topic).await;
    let second = unique("second");
    ear.listen(&second).await.unwrap();
    say(&*f.bus, &second, "two").await;
    say(&*f.bus, &topic, "one").await;
    assert_eq!(hear(&mut ear).await, (second, "two".to_owned()));
    assert_eq!(hear(&mut ear).await, (topic, "one".to_owned()));
}

/// From when `ignore` returns.
pub async fn what_is_ignored_is_heard_no_more(f: Fixture) {
    let (gone, stays) = (unique("gone"), unique("stays"));
    let mut ear = listener(&*f.bus, &gone).await;
    ear.listen(&stays).await.unwrap();
    say(&*f.bus, &gone, "still under way").await;
    ear.ignore(&gone).await.unwrap();
    say(&*f.bus, &gone, "not heard").await;
    silence(&f, &mut ear, &stays).await;
    ear.ignore(&gone).await.unwrap();
    ear.listen(&gone).await.unwrap();
    say(&*f.bus, &gone, "heard again").await;
    assert_eq!(hear(&mut ear).await, (gone, "heard again".to_owned()));
}

/// Repeating `listen` doubles nothing.
pub async fn listening_twice_is_listening_once(f: Fixture) {
    let topic = unique("topic");
    let mut ear = listener(&*f.bus, &topic).await;
    ear.listen(&topic).await.unwrap();
    say(&*f.bus, &topic, "once").await;
    assert_eq!(hear(&mut ear).await.1, "once");
    silence(&f, &mut ear, &topic).await;
}

/// A body is bytes, not text.
pub async fn any_bytes_arrive(f: Fixture) {
    let topic = unique("topic");
    let mut ear = listener(&*f.elsewhere, &topic).await;
    for body in [Bytes::from_static(b"\0\xff\r\n"), Bytes::new(), Bytes::from(vec![0xfe; 100_000])] {
        f.bus.publish(&topic, body.clone()).await.unwrap();
        assert_eq!(soon(ear.next()).await, Heard::Message { topic: topic.clone(), body });
    }
}

/// Publishing does not depend on listeners, present or gone.
pub async fn nobody_listening_is_no_error(f: Fixture) {
    let topic = unique("topic");
    say(&*f.bus, &topic, "anybody?").await;
    drop(listener(&*f.bus, &topic).await);
    say(&*f.bus, &topic, "anybody?").await;
    let mut ear = listener(&*f.bus, &topic).await;
    silence(&f, &mut ear, &topic).await;
}

/// `next` may be dropped half-way, as `select!` does.
pub async fn giving_up_waiting_loses_no_message(f: Fixture) {
    let topic = unique("topic");
    let mut ear = listener(&*f.elsewhere, &topic).await;
    let mut heard = 0;
    for n in 0..100 {
        say(&*f.bus, &topic, &n.to_string()).await;
        for _ in 0..3 {
            if let Some(next) = ear.next().now_or_never() {
                assert_eq!(text(next).1, heard.to_string());
                heard += 1;
            }
            tokio::task::yield_now().await;
        }
    }
    while heard < 100 {
        assert_eq!(hear(&mut ear).await.1, heard.to_string());
        heard += 1;
    }
}

/// `Lost` comes before what follows, and every topic is heard again.
pub async fn a_lost_connection_is_told_and_mended(f: Fixture) {
    let topics = [unique("topic"), unique("topic")];
    let mut ear = listener(&*f.bus, &topics[0]).await;
    ear.listen(&topics[1]).await.unwrap();
    (f.lose)(topics[0].clone()).await;
    soon(async { while ear.next().await != Heard::Lost {} }).await;
    for topic in topics {
        let marker = unique("after");
        say(&*f.elsewhere, &topic, &marker).await;
        soon(async { while text(ear.next().await) != (topic.clone(), marker.clone()) {} }).await;
    }
}

async fn listener(bus: &dyn Bus, topic: &str) -> Box<dyn Listener> {
    let mut ear = soon(bus.listener()).await.unwrap();
    soon(ear.listen(topic)).await.unwrap();
    ear
}

async fn say(bus: &dyn Bus, topic: &str, body: &str) {
    soon(bus.publish(topic, Bytes::copy_from_slice(body.as_bytes()))).await.unwrap();
}

async fn hear(ear: &mut Box<dyn Listener>) -> (String, String) {
    text(soon(ear.next()).await)
}

fn text(heard: Heard) -> (String, String) {
    match heard {
        Heard::Message { topic, body } => (topic, String::from_utf8_lossy(&body).into_owned()),
        Heard::Lost => panic!("nothing was lost here"),
    }
}

/// Nothing is under way: the next thing heard on `topic` is a marker sent now.
async fn silence(f: &Fixture, ear: &mut Box<dyn Listener>, topic: &str) {
    let marker = unique("marker");
    say(&*f.bus, topic, &marker).await;
    assert_eq!(hear(ear).await, (topic.to_owned(), marker));
}
