//! Resolves names and passes only the addresses that the guard allows.
//!
//! hyper connects to exactly these addresses. There is no second lookup with another answer.
//! Concurrent lookups of one name share one query, so a name server that hangs blocks one thread of
//! the runtime's blocking pool, no matter how many deliveries wait for it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use crate::guard::{Blocked, Guard};

/// Resolves names.
pub trait Resolve: Send + Sync + 'static {
    /// The current addresses of `name`.
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

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
        let guard = self.guard.clone();
        let resolving = self.inner.resolve(name.as_str());
        Box::pin(async move {
            let mut blocked = None;
            let mut allowed = Vec::new();
            for ip in resolving.await.map_err(Unresolved::Failed)? {
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

type Answer = Result<Arc<[IpAddr]>, Arc<io::Error>>;
type Lookup = Shared<BoxFuture<'static, Answer>>;

/// The operating system's resolver, with at most one running query per name.
#[derive(Default)]
pub(crate) struct System {
    running: Arc<Mutex<HashMap<String, Lookup>>>,
}

impl System {
    fn lookup(&self, host: &str) -> Lookup {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = running.get(host) {
            return lookup.clone();
        }
        let (name, table) = (host.to_owned(), Arc::clone(&self.running));
        // A separate task, because the first caller can be dropped while others still wait.
        let task = tokio::spawn(async move {
            let answer = tokio::net::lookup_host((name.as_str(), 0)).await;
            table.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            match answer {
                Ok(addrs) => Ok(addrs.map(|addr| addr.ip()).collect()),
                Err(error) => Err(Arc::new(error)),
            }
        });
        let lookup = async move {
            task.await.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error))))
        };
        let lookup = lookup.boxed().shared();
        running.insert(host.to_owned(), lookup.clone());
        lookup
    }
}

impl Resolve for System {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = self.lookup(name);
        async move { lookup.await.map(|ips| ips.to_vec()).map_err(io::Error::other) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lookups_of_one_name_share_one_query_and_clean_up() {
        let system = System::default();
        let (one, two) = (system.lookup("localhost"), system.lookup("localhost"));
        assert!(one.ptr_eq(&two));
        drop(one);
        assert!(two.await.unwrap().iter().any(IpAddr::is_loopback));
        assert!(system.running.lock().unwrap().is_empty());
        assert!(!system.resolve("localhost").await.unwrap().is_empty());
    }
}
