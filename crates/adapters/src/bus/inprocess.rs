//! The bus within one process.
//!
//! Each listener has a queue of its own. One that falls too far behind loses its queue and hears
//! [`Heard::Lost`]: a publisher never waits for a slow listener.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use tenon_core::ports::bus::{Bus, BusError, Heard, Listener};
use tokio::sync::Notify;

/// Messages a listener may be behind.
const BACKLOG: usize = 1024;

#[derive(Default)]
pub(super) struct InProcessBus {
    topics: Arc<Mutex<Topics>>,
}

/// Who listens to what.
#[derive(Default)]
struct Topics {
    listeners: HashMap<String, Vec<Weak<Ear>>>,
}

/// A listener's queue.
#[derive(Default)]
struct Ear {
    heard: Mutex<VecDeque<Heard>>,
    news: Notify,
}

impl Ear {
    fn hear(&self, topic: &str, body: &Bytes) {
        let mut heard = lock(&self.heard);
        if heard.len() >= BACKLOG {
            heard.clear();
            heard.push_back(Heard::Lost);
        }
        heard.push_back(Heard::Message { topic: topic.to_owned(), body: body.clone() });
        drop(heard);
        self.news.notify_one();
    }
}

#[async_trait]
impl Bus for InProcessBus {
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        // Delivered under the lock, so that two publishers are heard in one order by all.
        let topics = lock(&self.topics);
        for ear in topics.listeners.get(topic).into_iter().flatten().filter_map(Weak::upgrade) {
            ear.hear(topic, &body);
        }
        Ok(())
    }

    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        Ok(Box::new(InProcessListener {
            ear: Arc::default(),
            listening: HashSet::new(),
            topics: self.topics.clone(),
        }))
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

struct InProcessListener {
    ear: Arc<Ear>,
    listening: HashSet<String>,
    topics: Arc<Mutex<Topics>>,
}

impl InProcessListener {
    fn leave(&self, topic: &str) {
        let mut topics = lock(&self.topics);
        if let Some(ears) = topics.listeners.get_mut(topic) {
            ears.retain(|ear| !std::ptr::eq(ear.as_ptr(), Arc::as_ptr(&self.ear)));
            if ears.is_empty() {
                topics.listeners.remove(topic);
            }
        }
    }
}

#[async_trait]
impl Listener for InProcessListener {
    async fn listen(&mut self, topic: &str) -> Result<(), BusError> {
        if self.listening.insert(topic.to_owned()) {
            let ear = Arc::downgrade(&self.ear);
            lock(&self.topics).listeners.entry(topic.to_owned()).or_default().push(ear);
        }
        Ok(())
    }

    async fn ignore(&mut self, topic: &str) -> Result<(), BusError> {
        if self.listening.remove(topic) {
            self.leave(topic);
            lock(&self.ear.heard)
                .retain(|heard| !matches!(heard, Heard::Message { topic: t, .. } if t == topic));
        }
        Ok(())
    }

    async fn next(&mut self) -> Heard {
        loop {
            let heard = lock(&self.ear.heard).pop_front();
            match heard {
                Some(heard) => return heard,
                None => self.ear.news.notified().await,
            }
        }
    }
}

impl Drop for InProcessListener {
    fn drop(&mut self) {
        for topic in &self.listening {
            self.leave(topic);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
