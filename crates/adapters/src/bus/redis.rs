//! The bus over Redis' publish and subscribe.
//!
//! Publishing goes through the pool; each listener has a connection of its own, since a subscribed
//! connection can do nothing else.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use redis::{AsyncCommands, Client, aio::PubSub};
use tenon_core::{
    BoxError,
    ports::bus::{Bus, BusError, Heard, Listener},
};
use tokio::time::{sleep, timeout};

use crate::{
    ConnectError,
    breaker::Breaker,
    redis_pool::{PATIENCE, Pool, RedisConfig},
};

pub(super) struct RedisBus {
    config: RedisConfig,
    pool: Pool,
    client: Client,
    prefix: String,
    breaker: Breaker,
}

impl RedisBus {
    /// Without looking whether Redis is there.
    pub(super) fn lazily(config: RedisConfig) -> Result<Self, ConnectError> {
        let (pool, client, prefix) = (config.lazy_pool()?, config.client()?, config.prefix.clone());
        Ok(Self { config, pool, client, prefix, breaker: Breaker::default() })
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, topic: &str, body: Bytes) -> Result<(), BusError> {
        let publishing = async {
            let mut connection = self.pool.get().await?;
            let channel = format!("{}{topic}", self.prefix);
            connection.publish::<_, _, ()>(channel, body.as_ref()).await?;
            Ok::<_, BoxError>(())
        };
        self.breaker.run(publishing).await.map_err(BusError)
    }

    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        let mut listener = RedisListener {
            client: self.client.clone(),
            prefix: self.prefix.clone(),
            topics: BTreeSet::new(),
            connection: None,
            lost: false,
        };
        listener.connection = Some(listener.connect().await?);
        Ok(Box::new(listener))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.breaker.check(self.config.probe()).await.map_err(BusError)
    }
}

struct RedisListener {
    client: Client,
    prefix: String,
    topics: BTreeSet<String>,
    connection: Option<PubSub>,
    /// The connection was lost and nobody was told yet.
    lost: bool,
}

impl RedisListener {
    /// A connection that is subscribed to every topic.
    async fn connect(&self) -> Result<PubSub, BusError> {
        let connecting = async {
            let mut connection = self.client.get_async_pubsub().await?;
            let channels: Vec<String> = self.topics.iter().map(|topic| self.channel(topic)).collect();
            if !channels.is_empty() {
                connection.subscribe(channels).await?;
            }
            Ok::<_, redis::RedisError>(connection)
        };
        timeout(PATIENCE, connecting).await.map_err(bus_error)?.map_err(bus_error)
    }

    fn channel(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn lose(&mut self) {
        self.connection = None;
        self.lost = true;
    }
}

#[async_trait]
impl Listener for RedisListener {
    async fn listen(&mut self, topic: &str) -> Result<(), BusError> {
        if self.topics.contains(topic) {
            return Ok(());
        }
        let channel = self.channel(topic);
        if let Some(connection) = &mut self.connection {
            if connection.subscribe(channel).await.is_ok() {
                self.topics.insert(topic.to_owned());
                return Ok(());
            }
            self.lose();
        }
        self.topics.insert(topic.to_owned());
        match self.connect().await {
            Ok(connection) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(e) => {
                self.topics.remove(topic);
                Err(e)
            }
        }
    }

    async fn ignore(&mut self, topic: &str) -> Result<(), BusError> {
        if !self.topics.remove(topic) {
            return Ok(());
        }
        let channel = self.channel(topic);
        if let Some(connection) = &mut self.connection
            && connection.unsubscribe(channel).await.is_err()
        {
            // The next connection will not subscribe to it.
            self.lose();
        }
        Ok(())
    }

    async fn next(&mut self) -> Heard {
        let mut pause = Duration::from_millis(50);
        loop {
            if let Some(connection) = &mut self.connection {
                if self.lost {
                    self.lost = false;
                    return Heard::Lost;
                }
                let heard = connection.on_message().next().await;
                let Some(message) = heard else {
                    self.lose();
                    continue;
                };
                let channel = message.get_channel_name();
                let topic = channel.strip_prefix(self.prefix.as_str()).unwrap_or(channel);
                // What was on its way when we stopped listening is not heard.
                if self.topics.contains(topic) {
                    let body = Bytes::copy_from_slice(message.get_payload_bytes());
                    return Heard::Message { topic: topic.to_owned(), body };
                }
            } else if let Ok(connection) = self.connect().await {
                self.connection = Some(connection);
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}

fn bus_error(e: impl Into<BoxError>) -> BusError {
    BusError(e.into())
}
