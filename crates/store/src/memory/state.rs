//! What is in the store, and the changes that more than one trait makes to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{DeliveryId, Event, LaneId};
use tokio::time::Instant;

use super::rollups::Rollups;
use crate::lifecycle::transition;
use crate::{
    Attempt, Counts, DeliveryRecord, DeliveryState, DeliveryUpdate, EventState, Failing, LaneKey,
    Ms, OpenCircuit, Record, Rejected, Usage,
};

#[derive(Default)]
pub(super) struct State {
    processes: u64,
    pub(super) alive: HashSet<u64>,
    last_seq: u64,
    pub(super) events: BTreeMap<u64, EventRow>,
    pub(super) ids: HashMap<(Arc<str>, Arc<str>), u64>,
    /// What is unread, by tenant, and what was read by whom and is not settled.
    pub(super) unread: BTreeMap<Arc<str>, BTreeSet<u64>>,
    pub(super) reading: BTreeMap<u64, u64>,
    pub(super) rollups: Rollups,
    pub(super) shares_limits: bool,
    pub(super) circuits: Vec<OpenCircuit>,
    /// By event, then by lane.
    pub(super) deliveries: BTreeMap<(u64, LaneId), DeliveryRow>,
    pub(super) queues: HashMap<LaneKey, BTreeSet<(Ms, u64)>>,
    pub(super) agenda: HashMap<LaneKey, Line>,
    pub(super) tokens: u64,
    /// With the latest failure.
    pub(super) failing: HashMap<LaneKey, (Failing, Ms)>,
    pub(super) rejected: BTreeMap<u64, Rejected>,
    pub(super) directory: BTreeMap<String, Kept>,
    pub(super) version: u64,
    pub(super) memo: HashMap<String, (String, Instant)>,
    pub(super) collections: HashMap<String, u64>,
    /// By collection, then by id; with the end of each.
    pub(super) records: BTreeMap<(String, String), (Record, Option<Instant>)>,
}

pub(super) struct EventRow {
    pub(super) event: Arc<Event>,
    pub(super) state: EventState,
}

pub(super) struct DeliveryRow {
    pub(super) channel: Arc<str>,
    pub(super) state: DeliveryState,
    pub(super) attempts: Vec<Attempt>,
    /// Attempts of the schedule that it is on.
    pub(super) tries: u32,
    pub(super) updated_ms: Ms,
}

/// What the directory keeps of a tenant. A removed one stays without a document, so that its
/// revisions continue.
pub(super) struct Kept {
    pub(super) revision: u64,
    pub(super) doc: Option<Bytes>,
    /// The directory's version at the last change.
    pub(super) changed: u64,
}

/// A lane's line in the agenda.
pub(super) struct Line {
    /// When it may be served; while it is claimed, when the lease ends.
    pub(super) at: Ms,
    pub(super) token: Option<String>,
    /// Nothing that comes brings it forward.
    pub(super) held: bool,
}

impl State {
    pub(super) fn begin(&mut self) -> u64 {
        self.processes += 1;
        self.alive.insert(self.processes);
        self.processes
    }

    pub(super) fn kill_all(&mut self) {
        self.alive.clear();
    }

    /// Adds an event to the log, unless its id is there.
    pub(super) fn append(&mut self, event: &Arc<Event>) -> bool {
        let id = (event.tenant.clone(), event.id.clone());
        if self.ids.contains_key(&id) {
            return false;
        }
        self.last_seq += 1;
        self.ids.insert(id, self.last_seq);
        let row = EventRow { event: event.clone(), state: EventState::Pending };
        self.events.insert(self.last_seq, row);
        self.unread.entry(event.tenant.clone()).or_default().insert(self.last_seq);
        true
    }

    /// It is read, settled or erased.
    pub(super) fn no_longer_unread(&mut self, seq: u64) {
        self.unread.retain(|_, unread| {
            unread.remove(&seq);
            !unread.is_empty()
        });
    }

    pub(super) fn remove_event(&mut self, seq: u64) {
        if let Some(row) = self.events.remove(&seq) {
            self.ids.remove(&(row.event.tenant.clone(), row.event.id.clone()));
        }
        self.deliveries.retain(|(of, _), _| *of != seq);
    }

    pub(super) fn deliveries_of(&self, seq: u64) -> impl Iterator<Item = (&LaneId, &DeliveryRow)> {
        let rows = self.deliveries.range((seq, LaneId::from(""))..);
        rows.take_while(move |((of, _), _)| *of == seq).map(|((_, lane), row)| (lane, row))
    }

    /// A new delivery. True when it adds the lane's line or brings it forward.
    pub(super) fn add(&mut self, seq: u64, lane: &LaneKey, update: &DeliveryUpdate) -> bool {
        let row = DeliveryRow {
            channel: update.channel.clone(),
            state: transition(None, &update.change),
            attempts: update.attempts.clone(),
            tries: update.tries(),
            updated_ms: update.at_ms,
        };
        let times = row.state.times();
        self.deliveries.insert((seq, lane.id.clone()), row);
        self.rollups.delivery(&self.events[&seq].event, update, true);
        self.queue(seq, lane, times)
    }

    /// Puts it in its queue, if it waits.
    fn queue(&mut self, seq: u64, lane: &LaneKey, times: Option<(Ms, Ms)>) -> bool {
        let Some((due_ms, serve_ms)) = times else { return false };
        self.queues.entry(lane.clone()).or_default().insert((due_ms, seq));
        self.bring_forward(lane, serve_ms)
    }

    /// The lane is served at `at` at the latest, unless it is claimed or held. True when that adds
    /// its line or moves it.
    fn bring_forward(&mut self, lane: &LaneKey, at: Ms) -> bool {
        let Some(there) = self.agenda.get_mut(lane) else {
            self.agenda.insert(lane.clone(), Line { at, token: None, held: false });
            return true;
        };
        let moves = there.token.is_none() && !there.held && at < there.at;
        if moves {
            there.at = at;
        }
        moves
    }

    /// A change of a delivery that is there.
    pub(super) fn change(&mut self, seq: u64, lane: &LaneKey, update: &DeliveryUpdate) -> bool {
        let Some(row) = self.deliveries.get_mut(&(seq, lane.id.clone())) else {
            return self.add(seq, lane, update);
        };
        row.attempts.extend(update.attempts.iter().cloned());
        row.tries += update.tries();
        if !row.state.accepts(&update.change) {
            self.rollups.delivery(&self.events[&seq].event, update, false);
            return false;
        }
        let state = transition(Some(&row.state), &update.change);
        let (before, times) = (row.state.times(), state.times());
        row.state = state;
        row.channel = update.channel.clone();
        row.updated_ms = update.at_ms;
        if update.change.is_replay() {
            row.tries = update.tries();
        }
        self.rollups.delivery(&self.events[&seq].event, update, true);
        if let Some((due_ms, _)) = before {
            self.queues.entry(lane.clone()).or_default().remove(&(due_ms, seq));
        }
        self.queue(seq, lane, times)
    }

    pub(super) fn first_due(&self, lane: &LaneKey) -> Option<Ms> {
        self.queues.get(lane)?.first().map(|(due, _)| *due)
    }

    /// One delivery as it is shown.
    pub(super) fn record(&self, seq: u64, lane: &LaneId, row: &DeliveryRow) -> DeliveryRecord {
        let event = &self.events[&seq].event;
        DeliveryRecord {
            id: DeliveryId::derive(&event.id, lane),
            event: event.id.to_string(),
            kind: event.kind.to_string(),
            lane: lane.clone(),
            channel: row.channel.to_string(),
            environment: event.environment,
            state: row.state.clone(),
            attempts: row.attempts.clone(),
            received_ms: event.received_ms,
            updated_ms: row.updated_ms,
        }
    }

    /// What a tenant holds. The shipped stores keep these numbers, and this one counts.
    pub(super) fn usage(&self, tenant: &str) -> Usage {
        let mut usage = Usage::default();
        for (seq, row) in self.events.iter().filter(|(_, row)| &*row.event.tenant == tenant) {
            usage.stored_bytes += row.event.body.len() as u64;
            let waiting = self.deliveries_of(*seq).filter(|(_, row)| row.state.is_waiting());
            usage.waiting += waiting.count() as u64;
        }
        usage
    }

    /// Adds an event's deliveries to an account.
    pub(super) fn count(&self, seq: u64, counts: &mut Counts) {
        for (_, row) in self.deliveries_of(seq) {
            *counts.of(row.state.kind()) += 1;
        }
    }
}
