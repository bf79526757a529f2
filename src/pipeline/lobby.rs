//! The lobby: where the entries of each tenant wait to be routed.
//!
//! A batch that was admitted is split by tenant. Each part is routed and dispatched by itself, the
//! parts of one tenant one after another. So a tenant whose receivers have no room at the moment,
//! or whose events have many deliveries, delays its own entries and those of no other tenant. The
//! lobby also decides how many entries of each tenant may be read ([`Share`]), so that no tenant
//! fills it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::route::{Part, RouteStage};
use super::window::Window;
use fanfare_store::Share;

/// The lobby. Clones share it.
#[derive(Clone)]
pub(super) struct Lobby {
    inner: Arc<Inner>,
}

struct Inner {
    window: Window,
    state: Mutex<State>,
    /// A part was routed, so more entries of its tenant may be read.
    routed: Notify,
}

#[derive(Default)]
struct State {
    tenants: HashMap<Arc<str>, Waiting>,
    /// Entries of all tenants, by the places that they take.
    entries: usize,
}

/// The parts of one tenant.
#[derive(Default)]
struct Waiting {
    /// Entries that are not routed yet, by the places that they take.
    entries: usize,
    /// A part is being routed.
    is_routing: bool,
    parts: VecDeque<Part>,
    /// The last part waited for its receivers.
    was_delayed: bool,
}

impl Lobby {
    pub(super) fn new(window: Window) -> Self {
        let (state, routed) = (Mutex::default(), Notify::new());
        Self { inner: Arc::new(Inner { window, state, routed }) }
    }

    /// Routes a part, after the parts of the same tenant that came before it. Returns at once.
    pub(super) fn enter(&self, route: &Arc<RouteStage>, part: Part) {
        {
            let mut state = self.lock();
            state.entries += part.places();
            let waiting = state.tenants.entry(Arc::clone(&part.tenant)).or_default();
            waiting.entries += part.places();
            if waiting.is_routing {
                waiting.parts.push_back(part);
                return;
            }
            waiting.is_routing = true;
        }
        // Most parts are routed without waiting for anything, and need no task of their own.
        let mut routing = Box::pin(self.clone().route(Arc::clone(route), part));
        if routing.as_mut().now_or_never().is_none() {
            tokio::spawn(routing);
        }
    }

    async fn route(self, route: Arc<RouteStage>, first: Part) {
        let mut next = Some(first);
        while let Some(part) = next {
            let mut routing = Routing::new(&self, &part);
            routing.was_delayed = route.part(part).await;
            next = routing.end();
        }
    }

    /// Ends a part and returns the next one of its tenant.
    fn leave(&self, tenant: &str, entries: usize, was_delayed: bool) -> Option<Part> {
        let mut state = self.lock();
        state.entries -= entries;
        let waiting = state.tenants.get_mut(tenant)?;
        waiting.entries -= entries;
        waiting.was_delayed = was_delayed;
        let next = waiting.parts.pop_front();
        waiting.is_routing = next.is_some();
        if next.is_none() && !was_delayed {
            state.tenants.remove(tenant);
        }
        drop(state);
        self.inner.routed.notify_one();
        next
    }

    /// The places of entries that are not routed yet.
    pub(super) fn entries(&self) -> usize {
        self.lock().entries
    }

    /// Waits until more entries of a tenant may be read than before.
    pub(super) async fn routed(&self) {
        self.inner.routed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part that is being routed. Dropping it, also in a panic, makes room for the next one.
struct Routing<'a> {
    lobby: &'a Lobby,
    tenant: Arc<str>,
    entries: usize,
    was_delayed: bool,
    is_over: bool,
}

impl<'a> Routing<'a> {
    fn new(lobby: &'a Lobby, part: &Part) -> Self {
        let (tenant, entries) = (Arc::clone(&part.tenant), part.places());
        Self { lobby, tenant, entries, was_delayed: false, is_over: false }
    }

    /// Ends it and returns the next part of the tenant.
    fn end(mut self) -> Option<Part> {
        self.is_over = true;
        self.lobby.leave(&self.tenant, self.entries, self.was_delayed)
    }
}

impl Drop for Routing<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Places are released, and the entries come again at the next start.
        let mut next = self.lobby.leave(&self.tenant, self.entries, false);
        while let Some(part) = next {
            next = self.lobby.leave(&self.tenant, part.places(), false);
        }
    }
}

impl Share for Lobby {
    /// A tenant may have one part in the lobby that is being routed and one that waits, unless its
    /// receivers are busy. A quarter of the window is for entries that are not routed. When it is
    /// taken, each tenant has an equal share of another quarter.
    fn left(&self, tenant: &str) -> usize {
        let window = &self.inner.window;
        let state = self.lock();
        let none = Waiting::default();
        let waiting = state.tenants.get(tenant).unwrap_or(&none);
        let is_busy = waiting.was_delayed || !window.is_half_free();
        if !waiting.parts.is_empty() || (waiting.is_routing && is_busy) {
            return 0;
        }
        let quarter = window.size() / 4;
        let room = quarter.saturating_sub(state.entries);
        let share = (quarter / (state.tenants.len() + 1)).max(1).saturating_sub(waiting.entries);
        let batch = window.batch();
        let most = if waiting.was_delayed { batch.div_ceil(2) } else { batch };
        room.max(share).min(most)
    }

    fn places(&self, weight: usize) -> usize {
        self.inner.window.places_of(weight)
    }
}
