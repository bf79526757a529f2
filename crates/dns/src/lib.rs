//! The names of receivers become addresses.
//!
//! Tenants choose the names of their receivers, and with them the name servers that answer. A name
//! server that never answers must cost its tenant alone. This crate therefore does not use the
//! resolver of the operating system, which blocks a thread for each lookup. It sends queries
//! itself, and bounds the lookups in flight for each tenant and in total (`places`), the time of
//! each lookup, and the cache of answers (`cache`).
//!
//! | module | content |
//! | --- | --- |
//! | `resolver` | one lookup: cache, places, and a query that all askers of a name share |
//! | `places` | how many lookups run at once |
//! | `cache` | answers and failures, for a limited time |
//! | `upstream` | the name servers of the settings, or of the machine |
//!
//! The cache cannot weaken a check of addresses. The webhook channel's guard checks the answer to
//! each lookup, from the cache or not, and connects to the address that it checked.

#![forbid(unsafe_code)]

mod cache;
mod places;
mod resolver;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

pub use resolver::Resolver;

/// Limits of the resolver, and the name servers that it asks.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name servers to ask. Without any, those of the machine: `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long one lookup may take, and how long it may wait for its turn before.
    pub timeout: Duration,
    /// Lookups in flight in total.
    pub lookups: usize,
    /// Lookups in flight for one tenant.
    pub lookups_per_tenant: usize,
    /// Names in the cache.
    pub cached_names: usize,
    /// How long an answer is cached at most, whatever its TTL.
    pub cached_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            // Below the time limit of a connection (5 s), so that the verdict names DNS.
            timeout: Duration::from_secs(4),
            // Each uses two sockets per name server that is asked.
            lookups: 128,
            lookups_per_tenant: 8,
            cached_names: 8_192,
            cached_for: Duration::from_mins(5),
        }
    }
}
