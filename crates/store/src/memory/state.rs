//! What is in the store, and the changes that more than one trait makes to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{DeliveryId, Event};
use tokio::time::Instant;

use crate::{
    Attempt, Counts, DeliveryRecord, DeliveryState, DeliveryUpdate, EventState, Failing, LaneKey,
    Ms, Record, Rejected,
};

/// The reason of a delivery that was put back by hand.
const REPLAY: &str = "replay";

#[derive(Default)]
pub(super) struct State {
    processes: u64,
    pub(super) alive: HashSet<u64>,
    last_seq: u64,
    pub(super) events: BTreeMap<u64, EventRow>,
    pub(super) ids: HashMap<(Arc<str>, Arc<str>), u64>,
    /// What nobody has read, and what was read by whom and is not settled.
    pub(super) unread: BTreeSet<u64>,
    pub(super) reading: BTreeMap<u64, u64>,
    /// By event, then by lane.
    pub(super) deliveries: BTreeMap<(u64, Arc<str>), DeliveryRow>,
    pub(super) queues: HashMap<LaneKey, BTreeSet<(Ms, u64)>>,
    pub(super) agenda: HashMap<LaneKey, Line>,
    pub(super) tokens: u64,
    /// With the latest failure.
    pub(super) failing: HashMap<LaneKey, (Failing, Ms)>,
    pub(super) rejected: BTreeMap<u64, Rejected>,
    pub(super) directory: BTreeMap<String, (u64, Option<Bytes>)>,
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
        self.unread.insert(self.last_seq);
        true
    }

    pub(super) fn remove_event(&mut self, seq: u64) {
        if let Some(row) = self.events.remove(&seq) {
            self.ids.remove(&(row.event.tenant.clone(), row.event.id.clone()));
        }
        self.deliveries.retain(|(of, _), _| *of != seq);
    }

    pub(super) fn deliveries_of(
        &self,
        seq: u64,
    ) -> impl Iterator<Item = (&Arc<str>, &DeliveryRow)> {
        let rows = self.deliveries.range((seq, Arc::from(""))..);
        rows.take_while(move |((of, _), _)| *of == seq).map(|((_, lane), row)| (lane, row))
    }

    /// A new delivery. True when it adds the lane's line or brings it forward.
    pub(super) fn add(&mut self, seq: u64, lane: &LaneKey, update: &DeliveryUpdate) -> bool {
        let row = DeliveryRow {
            channel: update.channel.clone(),
            state: update.state.clone(),
            attempts: update.attempts.clone(),
            tries: tries(update),
            updated_ms: update.at_ms,
        };
        self.deliveries.insert((seq, lane.destination.clone()), row);
        let DeliveryState::Waiting { due_ms, serve_ms, .. } = update.state else { return false };
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

    /// A change of a delivery that is there. What was delivered stays so.
    pub(super) fn change(&mut self, seq: u64, lane: &LaneKey, update: &DeliveryUpdate) -> bool {
        let Some(row) = self.deliveries.get_mut(&(seq, lane.destination.clone())) else {
            return self.add(seq, lane, update);
        };
        row.attempts.extend(update.attempts.iter().cloned());
        row.tries += tries(update);
        let replay = update.state.reason() == Some(REPLAY) && update.state.word() == "waiting";
        let too_late = row.state == DeliveryState::Delivered && update.state.word() != "delivered";
        if too_late && !replay {
            return false;
        }
        let before = std::mem::replace(&mut row.state, update.state.clone());
        row.channel = update.channel.clone();
        row.updated_ms = update.at_ms;
        if replay {
            row.tries = 0;
        }
        let queue = self.queues.entry(lane.clone()).or_default();
        if let DeliveryState::Waiting { due_ms, .. } = before {
            queue.remove(&(due_ms, seq));
        }
        let DeliveryState::Waiting { due_ms, serve_ms, .. } = update.state else { return false };
        queue.insert((due_ms, seq));
        self.bring_forward(lane, serve_ms)
    }

    pub(super) fn first_due(&self, lane: &LaneKey) -> Option<Ms> {
        self.queues.get(lane)?.first().map(|(due, _)| *due)
    }

    /// One delivery as it is shown.
    pub(super) fn record(&self, seq: u64, lane: &str, row: &DeliveryRow) -> DeliveryRecord {
        let event = &self.events[&seq].event;
        DeliveryRecord {
            id: DeliveryId::derive(&event.id, lane),
            event: event.id.to_string(),
            kind: event.kind.to_string(),
            destination: lane.to_owned(),
            channel: row.channel.to_string(),
            environment: event.environment,
            state: row.state.clone(),
            attempts: row.attempts.clone(),
            received_ms: event.received_ms,
            updated_ms: row.updated_ms,
        }
    }

    /// Adds an event's deliveries to an account.
    pub(super) fn count(&self, seq: u64, counts: &mut Counts) {
        for (_, row) in self.deliveries_of(seq) {
            *match row.state {
                DeliveryState::Delivered => &mut counts.delivered,
                DeliveryState::Waiting { .. } => &mut counts.waiting,
                DeliveryState::Suppressed { .. } => &mut counts.suppressed,
                DeliveryState::Dead { .. } => &mut counts.dead,
            } += 1;
        }
    }
}

fn tries(update: &DeliveryUpdate) -> u32 {
    u32::try_from(update.attempts.len()).unwrap_or(u32::MAX)
}
