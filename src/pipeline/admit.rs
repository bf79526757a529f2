//! Admit: makes the events of a batch known to the ledger under (tenant, id), then sends the new
//! ones on to be routed, the events of each tenant together.
//!
//! An event that was admitted before is finished as a duplicate. An event that the store refuses
//! for good becomes a dead letter and delays no other.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_contract::Event;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::decode::{Decoded, Tenants};
use super::entry::rejected_event;
use super::lobby::Lobby;
use super::route::{Part, RouteStage};
use super::settle::{Origin, Outbox};
use crate::agenda::Clock;
use crate::event::Refusal;
use crate::persist::{BatchWrite, Written, write_batch_until};
use crate::tenant::{Registry, TenantStatus};
use fanfare_store::{Admission, EntryId, Log, Outcome, Result, StoreError};

/// Admits batches.
pub(super) struct AdmitStage {
    pub(super) log: Arc<dyn Log>,
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Clock,
    pub(super) outbox: Outbox,
    pub(super) lobby: Lobby,
    pub(super) route: Arc<RouteStage>,
}

impl AdmitStage {
    /// Admits a batch and sends its new events to be routed.
    ///
    /// Waits for a store that is away: no other process takes these entries while this one lives.
    /// When stopped meanwhile, the entries stay in the log for the next process.
    pub(super) async fn batch(&self, batch: Decoded, stop: &CancellationToken) {
        let Decoded { mut events, origins, tenants } = batch;
        let Some(answers) = self.admit(&mut events, stop).await else { return };
        let mut fresh = Vec::with_capacity(events.len());
        for (((_, event), answer), origin) in events.into_iter().zip(answers).zip(origins) {
            match answer {
                Ok(Admission::Fresh) => {
                    fresh.push((origin, event));
                }
                Ok(Admission::Settled | Admission::Duplicate) => {
                    self.outbox.finish(origin, Outcome::Duplicate);
                }
                Err(error) => {
                    let refusal = Refusal::new("store_refused", error.to_string());
                    let now = self.clock.now_ms();
                    let rejected = rejected_event(origin.entry, &event, refusal, now);
                    self.outbox.finish(origin, Outcome::Rejected(rejected));
                }
            }
        }
        self.route(fresh, &tenants);
    }

    /// Sends events to be routed, by tenant. A tenant may have changed since its events were decoded.
    fn route(&self, events: Vec<(Origin, Arc<Event>)>, tenants: &Tenants) {
        let table = |id: &Arc<str>| {
            let now = self.registry.in_memory(id).or_else(|| tenants.get(id).cloned());
            now.and_then(TenantStatus::usable)
        };
        let mut parts: Vec<Part> = Vec::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for (origin, event) in events {
            // Entries of one tenant often follow each other.
            let is_same = |part: &Part| part.tenant == event.tenant;
            let place = match parts.last() {
                Some(last) if is_same(last) => parts.len() - 1,
                _ => *places.entry(Arc::clone(&event.tenant)).or_insert(parts.len()),
            };
            if place == parts.len() {
                let (tenant, table) = (Arc::clone(&event.tenant), table(&event.tenant));
                parts.push(Part { tenant, table, entries: Vec::new() });
            }
            parts[place].entries.push((origin, event));
        }
        for part in parts {
            self.lobby.enter(&self.route, part);
        }
    }

    /// The store's answer to each event, or none if there are no events or `stop` came first.
    async fn admit(
        &self,
        events: &mut [(EntryId, Arc<Event>)],
        stop: &CancellationToken,
    ) -> Option<Vec<Result<Admission>>> {
        if events.is_empty() {
            return None;
        }
        let written = write_batch_until(&Admissions(&*self.log), events, stop).await?;
        Some(match written {
            Written::Whole(answers) => answers.into_iter().map(Ok).collect(),
            Written::Each(each) => each.into_iter().map(only).collect(),
        })
    }
}

/// The store's answer to a batch of one.
fn only(answer: Result<Vec<Admission>>) -> Result<Admission> {
    let missing = || StoreError::Corrupt("no answer to an event that was admitted".to_owned());
    answer?.pop().ok_or_else(missing)
}

struct Admissions<'a>(&'a dyn Log);

impl BatchWrite for Admissions<'_> {
    type Item = (EntryId, Arc<Event>);
    type Answer = Vec<Admission>;

    fn write<'a>(&'a self, events: &'a [Self::Item]) -> BoxFuture<'a, Result<Vec<Admission>>> {
        self.0.admit(events)
    }

    /// The event becomes a dead letter, which is written when it is settled.
    fn set_aside(&self, _: &mut Self::Item) -> bool {
        false
    }

    fn log_refused(&self, (entry, event): &Self::Item, error: &StoreError, _: bool) {
        let tenant = &*event.tenant;
        tracing::error!(
            %entry, tenant, %error,
            "the store refuses an event for good; it becomes a dead letter"
        );
    }
}
