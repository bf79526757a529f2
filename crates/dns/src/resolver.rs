//! One lookup: the cache, then a place, then a query that all askers of the name share.
//!
//! A query runs in a task of its own with a time limit: the first asker can be dropped while others
//! wait for it. Only a query that has started is shared. An asker that waits for a place of its own
//! never makes another one wait with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::{Asker, Resolve};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use crate::Options;
use crate::cache::{Cache, Found};
use crate::places::{Place, Places};
use crate::upstream::{NameServers, Upstream};

/// Resolves names with limits per tenant and a cache. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    upstream: Arc<dyn Upstream>,
    places: Places,
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    running: HashMap<Arc<str>, Query>,
}

type Query = Shared<BoxFuture<'static, Found>>;

/// How a lookup goes on.
enum Step {
    Known(Found),
    Join(Query),
    Ask,
}

impl Resolver {
    /// A resolver. It sends nothing before the first lookup.
    pub fn new(options: &Options) -> Self {
        Self::over(options, Arc::new(NameServers::new(options)))
    }

    fn over(options: &Options, upstream: Arc<dyn Upstream>) -> Self {
        let cache = Cache::new(options.cached_names, options.cached_for);
        let state = Mutex::new(State { cache, running: HashMap::new() });
        let places = Places::new(options.lookups, options.lookups_per_tenant);
        let timeout = options.timeout;
        Self { inner: Arc::new(Inner { upstream, places, timeout, state }) }
    }

    async fn find(&self, asker: &Asker, name: &str) -> Found {
        match self.inner.step(name) {
            Step::Known(found) => return found,
            Step::Join(query) => return query.await,
            Step::Ask => {}
        }
        let waiting = tokio::time::timeout(self.inner.timeout, self.inner.places.take(asker));
        let Ok(place) = waiting.await else {
            let why = "too many lookups were running; their name servers may not answer";
            return Found::Failed(io::ErrorKind::TimedOut, why.into());
        };
        // Another asker may have been faster. Then the place is not needed.
        match self.inner.step(name) {
            Step::Known(found) => found,
            Step::Join(query) => query.await,
            Step::Ask => self.ask(name.into(), place).await,
        }
    }

    fn ask(&self, name: Arc<str>, place: Place) -> Query {
        let mut state = self.inner.lock();
        // Checked again under the lock, so that a name has one query.
        let vacant = match state.running.entry(Arc::clone(&name)) {
            Entry::Occupied(running) => return running.get().clone(),
            Entry::Vacant(vacant) => vacant,
        };
        let running = Running { inner: Arc::clone(&self.inner), name };
        let task = tokio::spawn(async move {
            let Running { inner, name } = &running;
            let asking = inner.upstream.lookup(name);
            let found = tokio::time::timeout(inner.timeout, asking).await.unwrap_or_else(|_| {
                Found::Failed(io::ErrorKind::TimedOut, "the name server did not answer".into())
            });
            inner.lock().cache.put(name, found.clone(), Instant::now());
            drop(place);
            found
        });
        let query = async move {
            let broken = |_| Found::Failed(io::ErrorKind::Other, "the lookup was aborted".into());
            task.await.unwrap_or_else(broken)
        };
        vacant.insert(query.boxed().shared()).clone()
    }
}

/// A query that runs. Dropping it ends the sharing, also after a panic.
struct Running {
    inner: Arc<Inner>,
    name: Arc<str>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inner.lock().running.remove(&self.name);
    }
}

impl Inner {
    fn step(&self, name: &str) -> Step {
        let state = self.lock();
        if let Some(found) = state.cache.get(name, Instant::now()) {
            return Step::Known(found.clone());
        }
        state.running.get(name).map_or(Step::Ask, |query| Step::Join(query.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Resolve for Resolver {
    async fn resolve(&self, asker: Asker, name: &str) -> io::Result<Arc<[IpAddr]>> {
        // Case makes no difference in a name.
        let name = name.to_ascii_lowercase();
        self.find(&asker, &name).await.answer()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

#[cfg(test)]
mod tests;
