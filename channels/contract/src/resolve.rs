//! How a channel asks for the addresses of a receiver. The router's resolver is in `crates/dns`.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

/// Who a lookup is for. Lookups in flight are limited for each asker, so that the name servers of
/// one tenant's receivers delay no other tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A host that the operator chose, such as the mail server.
    Operator,
    /// A host that this tenant chose.
    Tenant(Arc<str>),
}

/// Resolves names.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of `name`. They may come from a cache, so a caller that restricts addresses
    /// checks every answer and connects to an address that it has checked.
    async fn resolve(&self, asker: Asker, name: &str) -> io::Result<Arc<[IpAddr]>>;
}
