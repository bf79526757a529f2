//! Resolves names and passes only the addresses that the guard allows.
//!
//! hyper connects to exactly these addresses. There is no second lookup with another answer. The
//! guard checks each answer when a connection is made, also an answer from the resolver's cache.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_contract::Resolve;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::client::asker;
use crate::guard::{Blocked, Guard};

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    /// The guard refuses every address of the name.
    #[error("the name resolves to a blocked address")]
    Blocked(Blocked),
    /// The name has no address, or the lookup failed.
    #[error("the name cannot be resolved")]
    Failed(#[source] io::Error),
}

/// A resolver that returns only the addresses that the guard allows.
#[derive(Clone)]
pub(crate) struct Guarded {
    pub(crate) guard: Guard,
    pub(crate) inner: Arc<dyn Resolve>,
}

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<Self::Response, Unresolved>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, resolver, asker) = (self.guard.clone(), Arc::clone(&self.inner), asker());
        Box::pin(async move {
            let mut blocked = None;
            let mut allowed = Vec::new();
            let found = resolver.resolve(asker, name.as_str()).await;
            for ip in found.map_err(Unresolved::Failed)?.iter().copied() {
                match guard.check(ip) {
                    Ok(()) => allowed.push(SocketAddr::new(ip, 0)),
                    Err(refusal) => blocked = Some(refusal),
                }
            }
            match blocked {
                _ if !allowed.is_empty() => Ok(allowed.into_iter()),
                Some(blocked) => Err(Unresolved::Blocked(blocked)),
                None => Err(Unresolved::Failed(io::ErrorKind::NotFound.into())),
            }
        })
    }
}
