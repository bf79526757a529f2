//! Decode: from the entries of a batch to events, each entry by itself. An entry that cannot be
//! decoded becomes a dead letter alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use fanfare_contract::Event;
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::entry::{event_of, named_tenant, rejected_entry, rejected_event};
use super::settle::{Origin, Outbox};
use super::window::Window;
use crate::agenda::Clock;
use crate::catalogue::Catalogue;
use crate::event::{Limits, Refusal};
use crate::observe::{Observe, Source};
use crate::persist::Backoff;
use crate::quota::Quotas;
use crate::tenant::{Registry, TenantStatus};
use fanfare_store::{Entry, EntryId, Ms, Outcome, Payload, Rejected};

/// The events of one batch. Both lists have the same length and order.
pub(super) struct Decoded {
    /// Each event with its entry.
    pub(super) events: Vec<(EntryId, Arc<Event>)>,
    /// Where each came from.
    pub(super) origins: Vec<Origin>,
    /// The tenants of the events.
    pub(super) tenants: Tenants,
}

/// What is known about each tenant of a batch.
pub(super) type Tenants = HashMap<Arc<str>, TenantStatus>;

/// Decodes entries.
pub(super) struct Decoder {
    pub(super) registry: Arc<Registry>,
    /// Entries of the stream are checked against the schemas of their types, if there are any.
    pub(super) catalogue: Option<Arc<Catalogue>>,
    /// The tenants' quotas, which limit what producers write to the stream.
    pub(super) quotas: Option<Arc<Quotas>>,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) window: Window,
    pub(super) outbox: Outbox,
    pub(super) observe: Arc<Observe>,
    /// When an entry of the future was last logged.
    pub(super) warned_ms: AtomicI64,
    pub(super) stop: CancellationToken,
}

/// Tenants that are loaded at once.
const LOADED_AT_ONCE: usize = 32;

/// The size of an entry.
fn bytes_of(payload: &Payload) -> usize {
    match payload {
        Payload::Event(event) => event.body.len(),
        Payload::Raw(fields) => fields.iter().map(|(_, value)| value.len()).sum(),
    }
}

/// An entry that is further ahead is remarkable. Also the pause between two remarks.
const FUTURE_MS: Ms = 60_000;

impl Decoder {
    /// Decodes a batch. `places` has at least one place in the window for each entry.
    ///
    /// Tenants that are not in memory are loaded first. Waits for a store that is away. When stopped
    /// meanwhile, returns nothing, and the entries stay in the log for the next process.
    pub(super) async fn batch(
        &self,
        entries: Vec<Entry>,
        mut places: OwnedSemaphorePermit,
    ) -> Option<Decoded> {
        self.observe.metrics.read(entries.len());
        let tenants = self.tenants(&entries).await?;
        let mut events = Vec::with_capacity(entries.len());
        let mut origins = Vec::with_capacity(entries.len());
        let mut left = entries.len();
        for entry in entries {
            left -= 1;
            // One place is left to each of those that follow: they may have come another way, in
            // which sizes do not count.
            let most = places.num_permits().saturating_sub(left).max(1);
            let needed = self.window.places_of(bytes_of(&entry.payload)).min(most);
            let place = places.split(needed);
            let place = place.expect("no more entries are read than there are places");
            let source = match &entry.payload {
                Payload::Event(_) => Source::Store,
                Payload::Raw(_) => Source::Stream,
            };
            let mut origin = Origin { entry: entry.id, source, place, held_until: None };
            match self.event(&tenants, entry) {
                Ok((event, held_until)) => {
                    origin.held_until = held_until;
                    events.push((origin.entry, event));
                    origins.push(origin);
                }
                Err(rejected) => self.outbox.finish(origin, Outcome::Rejected(rejected)),
            }
        }
        Some(Decoded { events, origins, tenants })
    }

    /// The tenants of a batch.
    async fn tenants(&self, entries: &[Entry]) -> Option<Tenants> {
        let mut found = Tenants::new();
        let mut absent = BTreeSet::new();
        for entry in entries {
            let tenant = match &entry.payload {
                Payload::Event(event) => &*event.tenant,
                Payload::Raw(fields) => match named_tenant(fields) {
                    Some(tenant) => tenant,
                    None => continue,
                },
            };
            if found.contains_key(tenant) {
                continue;
            }
            match self.registry.in_memory(tenant) {
                Some(status) => _ = found.insert(tenant.into(), status),
                None => _ = absent.insert(tenant),
            }
        }
        let load: Vec<_> = absent.into_iter().map(|id| self.load(id).boxed()).collect();
        let mut loaded = stream::iter(load).buffer_unordered(LOADED_AT_ONCE);
        while let Some(tenant) = loaded.next().await {
            let (id, status) = tenant?;
            found.insert(id, status);
        }
        Some(found)
    }

    /// Loads a tenant. `None` if stopped.
    async fn load(&self, id: &str) -> Option<(Arc<str>, TenantStatus)> {
        let mut backoff = Backoff::default();
        loop {
            match self.registry.find(id).await {
                Ok(status) => return Some((id.into(), status)),
                Err(error) => backoff.wait("the directory of tenants", &error, &self.stop).await,
            }
            if self.stop.is_cancelled() {
                return None;
            }
        }
    }

    /// The event, and until when its deliveries wait because of its tenant's quota.
    fn event(&self, tenants: &Tenants, entry: Entry) -> Result<(Arc<Event>, Option<Ms>), Rejected> {
        match entry.payload {
            Payload::Event(event) => Ok((self.usable(tenants, entry.id, event)?, None)),
            Payload::Raw(fields) => self.raw(tenants, entry.id, &fields),
        }
    }

    /// An event that was decoded when it was ingested.
    fn usable(
        &self,
        tenants: &Tenants,
        entry: EntryId,
        event: Arc<Event>,
    ) -> Result<Arc<Event>, Rejected> {
        match tenants.get(&event.tenant) {
            // Without a table, it is not known where the event should go.
            Some(TenantStatus::Unusable) => {
                let refusal = Refusal::unusable_tenant(&event.tenant);
                Err(rejected_event(entry, &event, refusal, self.clock.now_ms()))
            }
            // The events of a tenant that was removed meanwhile match no route.
            _ => Ok(event),
        }
    }

    /// An entry that a producer added to the stream.
    fn raw(
        &self,
        tenants: &Tenants,
        entry: EntryId,
        fields: &[(Bytes, Bytes)],
    ) -> Result<(Arc<Event>, Option<Ms>), Rejected> {
        let status = |tenant: &str| tenants.get(tenant).cloned().unwrap_or(TenantStatus::Unknown);
        let now = self.clock.now_ms();
        let event = event_of(entry, fields, self.limits, &status).and_then(|mut event| {
            // A producer may have chosen an id that lies in the future.
            if event.received_ms > now {
                self.warn_of_future(entry, now);
                event.received_ms = now;
            }
            match self.catalogue.as_ref().map(|catalogue| catalogue.check(&event)) {
                Some(Err(refusal)) => Err(refusal),
                // A type that is only flagged is accepted. The stream has no answer in which the
                // producer could be informed.
                _ => {
                    let held_until = self.take(tenants, &event)?;
                    Ok((Arc::new(event), held_until))
                }
            }
        });
        event.map_err(|refusal| rejected_entry(entry, fields, refusal, now))
    }

    /// Logs, once a minute at most, that the ids of the stream are far ahead of the clock.
    fn warn_of_future(&self, entry: EntryId, now: Ms) {
        let ahead = Ms::try_from(entry.major).unwrap_or(Ms::MAX).saturating_sub(now);
        let warned = self.warned_ms.load(Ordering::Relaxed);
        if ahead > FUTURE_MS && now - warned >= FUTURE_MS {
            self.warned_ms.store(now, Ordering::Relaxed);
            tracing::warn!(
                %entry, seconds = ahead / 1_000,
                "a producer added an entry whose id lies in the future; add entries with the id `*`"
            );
        }
    }

    /// Takes an event from its tenant's quotas. Returns until when it waits.
    fn take(&self, tenants: &Tenants, event: &Event) -> Result<Option<Ms>, Refusal> {
        let Some(quotas) = &self.quotas else { return Ok(None) };
        let own = match tenants.get(&event.tenant) {
            Some(TenantStatus::Usable(tenant)) => tenant.quotas.as_ref(),
            _ => None,
        };
        let taken = quotas.take_entry(&event.tenant, &quotas.limits(own), event.body.len());
        let wait = taken.map_err(|exceeded| {
            self.observe.metrics.quota_exceeded(exceeded.quota);
            Refusal::new("quota_exceeded", exceeded.to_string())
        })?;
        let wait = Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 4);
        Ok((wait > 0).then(|| self.clock.now_ms() + wait))
    }
}
