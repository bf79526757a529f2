//! `[dns]`: how the names of receivers become addresses.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Period;

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Name servers to ask. Without any, those of `/etc/resolv.conf`.
    pub servers: Vec<NameServer>,
    /// How long one lookup may take.
    pub timeout: Period,
    /// Maximum number of lookups in flight.
    pub lookups: usize,
    /// Maximum number of lookups in flight for one tenant.
    pub lookups_per_tenant: usize,
    /// Maximum number of names in the cache.
    pub cached_names: usize,
    /// How long an answer is cached at most, whatever its TTL.
    pub cached_for: Period,
}

impl Default for Dns {
    fn default() -> Self {
        let dns = fanfare_dns::Options::default();
        Self {
            servers: Vec::new(),
            timeout: Period(dns.timeout),
            lookups: dns.lookups,
            lookups_per_tenant: dns.lookups_per_tenant,
            cached_names: dns.cached_names,
            cached_for: Period(dns.cached_for),
        }
    }
}

/// The address of a name server: `10.0.0.2`, `10.0.0.2:5353` or `[2001:db8::2]:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameServer(pub SocketAddr);

/// The port of name servers.
const PORT: u16 = 53;

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_port = || text.parse::<SocketAddr>().ok();
        let address = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
        address.or_else(with_port).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not the address of a name server; write an IP address, with or \
                 without a port, such as \"10.0.0.2\" or \"10.0.0.2:53\""
            )
        })
    }
}

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NameServer> for String {
    fn from(server: NameServer) -> Self {
        server.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let parse = |text: &str| text.parse::<NameServer>().map(|server| server.to_string());
        assert_eq!(parse("10.0.0.2").as_deref(), Ok("10.0.0.2:53"));
        assert_eq!(parse("127.0.0.1:5300").as_deref(), Ok("127.0.0.1:5300"));
        assert_eq!(parse("2001:db8::2").as_deref(), Ok("[2001:db8::2]:53"));
        assert_eq!(parse("[2001:db8::2]:5353").as_deref(), Ok("[2001:db8::2]:5353"));
        assert!(parse("ns.example.com").unwrap_err().contains("IP address"));
    }
}
