//! Which address a request comes from.
//!
//! `X-Forwarded-For` is believed only as far as proxies that the configuration names have written it;
//! what stands left of the first stranger is that stranger's word.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use salvo::{Request, conn::SocketAddr};

/// A block of addresses: `10.0.0.0/8`, `::1`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl Network {
    /// Whether `address` lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, canonical(address)) {
            (IpAddr::V4(ours), IpAddr::V4(given)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                u32::from(ours) & mask == u32::from(given) & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(given)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                u128::from(ours) & mask == u128::from(given) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let bad = || NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address = canonical(address.trim().parse().map_err(|_| bad())?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.trim().parse().map_err(|_| bad()))?;
        if prefix > most { Err(bad()) } else { Ok(Self { address, prefix }) }
    }
}

/// The proxies in front of us. A unix socket is only reached by whom the system lets: its peer is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<Network>);

impl TrustedProxies {
    /// The address of the client, if any is known.
    pub fn client(&self, req: &Request) -> Option<IpAddr> {
        let (mut address, mut trusted) = match req.remote_addr() {
            SocketAddr::IPv4(peer) => self.judge(IpAddr::V4(*peer.ip())),
            SocketAddr::IPv6(peer) => self.judge(IpAddr::V6(*peer.ip())),
            SocketAddr::Unix(_) => (None, true),
            _ => (None, false),
        };
        let lines: Vec<&str> =
            req.headers().get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops {
            if !trusted {
                break;
            }
            let Ok(hop) = hop.trim().trim_matches(['[', ']']).parse() else { break };
            (address, trusted) = self.judge(hop);
        }
        address
    }

    /// Whether the request comes from this very machine, not through a proxy.
    pub fn is_local(&self, req: &Request) -> bool {
        self.client(req).is_some_and(|address| address.is_loopback())
            || (matches!(req.remote_addr(), SocketAddr::Unix(_))
                && !req.headers().contains_key("x-forwarded-for"))
    }

    fn judge(&self, address: IpAddr) -> (Option<IpAddr>, bool) {
        let address = canonical(address);
        (Some(address), self.0.iter().any(|network| network.contains(address)))
    }
}

/// `::ffff:10.0.0.1` is 10.0.0.1.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The part of an address that one customer of a provider has to himself: budgets are drawn per this.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << 64))),
    }
}

/// Where no address is known, all share this one.
pub(crate) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_and_a_length() {
        let net: Network = "10.1.0.0/16".parse().unwrap();
        assert!(net.contains("10.1.255.255".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("10.2.0.0".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!("fd00::/8".parse::<Network>().unwrap().contains("fd12::1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "10.0.0", "", "::/129", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
