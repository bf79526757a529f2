//! Names to addresses, with the guard in between.
//!
//! reqwest connects to exactly what this returns, so there is no second look-up that could answer
//! otherwise. Look-ups of one name share one query: a name server that hangs holds one thread of the
//! runtime's blocking pool, however many deliveries wait for it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::{Blocked, Guard};

/// Every address of the name is refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name resolves to a refused address")]
pub(crate) struct Refused(#[from] pub(crate) Blocked);

/// Passes on only those addresses of a name that the guard lets pass.
pub(crate) struct Guarded {
    pub(crate) guard: Guard,
    pub(crate) inner: Arc<dyn Resolve>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let mut refused = None;
            let mut good = Vec::new();
            for addr in resolving.await? {
                match guard.check(addr.ip()) {
                    Ok(()) => good.push(addr),
                    Err(blocked) => refused = Some(blocked),
                }
            }
            match refused {
                Some(blocked) if good.is_empty() => Err(Refused(blocked).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

type Answer = Result<Arc<[IpAddr]>, Arc<io::Error>>;
type Lookup = Shared<BoxFuture<'static, Answer>>;

/// The operating system's resolver, one query a name at a time.
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
        // A task of its own: the one who asked first may be dropped, the others still wait.
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
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.lookup(name.as_str());
        Box::pin(async move {
            let ips = lookup.await?;
            let addrs: Vec<_> = ips.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(Box::new(addrs.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn look_ups_of_one_name_share_one_query_and_leave_nothing_behind() {
        let system = System::default();
        let (one, two) = (system.lookup("localhost"), system.lookup("localhost"));
        assert!(one.ptr_eq(&two));
        drop(one);
        assert!(two.await.unwrap().iter().any(IpAddr::is_loopback));
        assert!(system.running.lock().unwrap().is_empty());
        assert!(system.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }
}
