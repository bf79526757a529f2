//! Route: selects an event's destinations by its tenant's table, and dispatches a delivery to each
//! of their lanes. The entries of one tenant in a batch are routed together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_contract::Event;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::backpressure::Backpressure;
use super::dispatch::DispatchStage;
use super::settle::{Origin, Outbox};
use super::tracking::Tracking;
use super::window::Window;
use crate::agenda::{Job, Lane, Mode};
use crate::flow::PLACES_WAIT;
use crate::observe::{Observe, Source};
use crate::tenant::Tenant;
use fanfare_routing::Tested;
use fanfare_store::{Log, Outcome};

/// The least time between two warnings about filters.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The entries of one tenant in one batch, in order.
pub(super) struct Part {
    pub(super) tenant: Arc<str>,
    /// Its routing table. `None` if there is no such tenant any more.
    pub(super) table: Option<Arc<Tenant>>,
    pub(super) entries: Vec<(Origin, Arc<Event>)>,
}

impl Part {
    /// The places in the window that the entries take, before their deliveries take more.
    pub(super) fn places(&self) -> usize {
        self.entries.iter().map(|(origin, _)| origin.place.num_permits()).sum()
    }
}

/// Routes events.
pub(super) struct RouteStage {
    pub(super) log: Arc<dyn Log>,
    pub(super) window: Window,
    pub(super) outbox: Outbox,
    pub(super) observe: Arc<Observe>,
    pub(super) dispatch: DispatchStage,
    /// When the next warning about filters may be logged.
    pub(super) next_warning: Mutex<Option<Instant>>,
}

impl RouteStage {
    /// Routes a part of a batch. True if receivers without room delayed it.
    pub(super) async fn part(&self, part: Part) -> bool {
        let entries = part.entries.len();
        let mut backpressure = Backpressure::new(&self.dispatch, &self.window);
        for (origin, event) in part.entries {
            self.event(part.table.as_deref(), origin, event, &mut backpressure).await;
        }
        backpressure.flush().await;
        backpressure.delayed_batch(entries)
    }

    /// Routes one event. An event without a matching route is recorded as unrouted.
    async fn event(
        &self,
        table: Option<&Tenant>,
        mut origin: Origin,
        event: Arc<Event>,
        backpressure: &mut Backpressure<'_>,
    ) {
        if let (Some(spans), Source::Stream) = (&self.observe.spans, origin.source) {
            spans.read(&event);
        }
        let began = self.observe.span_time();
        let Some(table) = table else {
            return self.outbox.finish(origin, Outcome::Unrouted(event));
        };
        let (targets, tested) = table.targets_of(&event);
        if tested == Tested::Some {
            self.filters_stopped(&event);
        }
        let lanes: Vec<&Arc<Lane>> = targets.flat_map(|target| &target.lanes).collect();
        if let (Some(spans), Some(began)) = (&self.observe.spans, began) {
            spans.routed(&event, began);
        }
        if lanes.is_empty() {
            return self.outbox.finish(origin, Outcome::Unrouted(event));
        }
        let has_places = self.take_places(&mut origin.place, lanes.len(), backpressure).await;
        let arrived_ms = self.log.arrived_ms(origin.entry, &event);
        let held_until = origin.held_until;
        let outbox = self.outbox.clone();
        let ticket = Tracking::new(origin, arrived_ms, event.clone(), lanes.len(), outbox);
        // The order in a FIFO lane must not depend on how fast another receiver answers, so an
        // event that also goes to a FIFO lane is queued for all its lanes.
        let has_fifo = || lanes.iter().any(|lane| matches!(lane.mode, Mode::Fifo));
        let is_queued = !has_places || (lanes.len() > 1 && has_fifo());
        for lane in lanes {
            if let Some(until) = held_until {
                self.dispatch.hold(lane, &event, &*ticket, until);
                continue;
            }
            if is_queued {
                self.dispatch.queue(lane, &event, &*ticket);
                continue;
            }
            backpressure.send(lane, Job { event: event.clone(), ticket: ticket.clone() });
            backpressure.give_others_a_turn().await;
        }
    }

    /// Counts an event whose filters were not all tested, and logs it, but not each one of many.
    fn filters_stopped(&self, event: &Event) {
        self.observe.metrics.filters_stopped();
        let now = Instant::now();
        let mut next = self.next_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_some_and(|next| now < next) {
            return;
        }
        *next = Some(now + WARNING_INTERVAL);
        tracing::warn!(
            tenant = &*event.tenant,
            event = &*event.id,
            "the event has too many values for the tenant's filters; routes that were not tested do \
             not match, and `fanfare events ID --json` shows which"
        );
    }

    /// Takes a place for each of an event's deliveries. The rest of the tenant's entries wait
    /// meanwhile in the log, where waiting costs nothing. False if there are no places for long.
    async fn take_places(
        &self,
        place: &mut OwnedSemaphorePermit,
        deliveries: usize,
        backpressure: &mut Backpressure<'_>,
    ) -> bool {
        if self.window.try_grow(place, deliveries) {
            return true;
        }
        // Deferred deliveries hold places too.
        backpressure.flush().await;
        self.window.grow(place, deliveries, PLACES_WAIT).await
    }
}
