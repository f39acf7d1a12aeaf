//! Where a request comes from.

use std::net::IpAddr;

use salvo::{Depot, Request, http::header};
use tenon_core::{outside, sessions::ClientInfo};

use crate::{
    endpoint::{Input, OpDoc},
    frame::Frame,
    problem::Problem,
};

/// The client: its address, as far as trusted proxies vouch for it, and what it calls itself.
#[derive(Debug, Clone)]
pub struct Client {
    /// The address; none over a unix socket without a proxy.
    pub address: Option<IpAddr>,
    /// `User-Agent`, at most 256 characters, cleaned.
    pub user_agent: Option<String>,
}

impl Client {
    /// The same in the words of the use-cases.
    pub fn info(&self) -> ClientInfo {
        ClientInfo {
            address: self.address.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: self.user_agent.clone().unwrap_or_default(),
        }
    }
}

impl Input for Client {
    async fn extract(req: &mut Request, depot: &mut Depot) -> Result<Self, Problem> {
        let user_agent = req.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: Frame::of(depot)?.settings.trusted_proxies.client(req),
            user_agent: user_agent.map(|text| outside::clean(text, 256)),
        })
    }
    fn describe(_: &mut OpDoc) {}
}
