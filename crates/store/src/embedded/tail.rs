//! What is read next: recent events in memory, by tenant, and positions on disk for the rest.
//!
//! The router gets live events without reading them back from disk, and a backlog of any length
//! costs no memory. Tenants take turns. When memory is full, the tenant with the largest backlog is
//! parked: its later events stay on disk, and a position says where they begin. So is a tenant with
//! a long backlog on disk. The backlog of one tenant thus delays no other, in memory or on disk.
//!
//! Positions below `next` are distributed: their events are read, in memory, or belong to a parked
//! tenant from its position on. What follows on disk is distributed in steps (`Scan`).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_contract::Event;
use tokio::sync::Notify;

use super::writing::Effects;
use crate::turns::{Share, Turns};

/// Weight of the events that are kept in memory.
const KEPT: usize = 16 << 20;
/// Weight of an event besides its body, so that at most 16,384 events are kept.
const HEAD: usize = 1 << 10;
/// A tenant whose events weigh no more than this is not parked.
const LIGHT: usize = KEPT / 256;
/// A parked tenant with fewer events in memory gets more from disk.
const FEW: usize = 256;
/// A tenant with this number of events in memory gets no more from disk until most are read. It is
/// parked instead, so that its backlog is passed over in the search for other tenants.
const MANY: usize = 1_024;
/// Events that one scan finds at most, and the same while memory is full.
const FOUND: (usize, usize) = (1_024, 32);
/// Positions that one scan passes. Also bounds how long it takes to find few events among many.
const SCANNED: i64 = 16_384;

/// The position of the reader, and recently committed events.
pub(super) struct Tail {
    state: Mutex<State>,
    /// Something was appended.
    pub(super) appended: Notify,
    /// Something in the agenda changed.
    pub(super) agenda: Notify,
}

struct State {
    /// Unread events.
    unread: Turns<(i64, Arc<Event>)>,
    /// Tenants whose unread events are on disk from a position on.
    parked: HashMap<Arc<str>, i64>,
    /// The parked tenants in turn.
    parked_turns: VecDeque<Arc<str>>,
    /// Positions below are distributed.
    next: i64,
    /// Positions below are known to be on disk.
    end: i64,
    /// Read and not settled.
    in_flight: BTreeSet<i64>,
    /// Whose turn the next scan is: the log's or that of a parked tenant.
    is_parked_turn: bool,
    /// Counts erasures. What was scanned before an erasure may contain what was erased.
    erasures: u64,
}

/// Events to look for on disk: those from `from` on and before `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Of this tenant, or of all.
    pub(super) tenant: Option<Arc<str>>,
    pub(super) from: i64,
    pub(super) until: i64,
    /// Where the log ends. Without events in between, the next step begins there.
    pub(super) end: i64,
    /// Not of these tenants.
    pub(super) without: Vec<Arc<str>>,
    /// The first of them, up to this many.
    pub(super) max: usize,
    erasures: u64,
}

impl Tail {
    /// The reader starts at `next` and the writer at `first`.
    pub(super) fn new(next: i64, first: i64) -> Self {
        let state = State {
            unread: Turns::default(),
            parked: HashMap::new(),
            parked_turns: VecDeque::new(),
            next,
            end: first,
            in_flight: BTreeSet::new(),
            is_parked_turn: false,
            erasures: 0,
        };
        Self { state: Mutex::new(state), appended: Notify::new(), agenda: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What should be looked for on disk before events are taken. None if all that is known to be
    /// there is in memory, or memory has enough.
    pub(super) fn scan(&self) -> Option<Scan> {
        let mut state = self.lock();
        state.is_parked_turn = !state.is_parked_turn;
        if state.is_parked_turn {
            state.scan_parked().or_else(|| state.scan_log())
        } else {
            state.scan_log().or_else(|| state.scan_parked())
        }
    }

    /// Looks for events that another process appended.
    pub(super) fn look(&self) -> Scan {
        let state = self.lock();
        let (from, erasures) = (state.next, state.erasures);
        let (until, without, max) = (i64::MAX, Vec::new(), FOUND.0);
        Scan { tenant: None, from, until, end: until, without, max, erasures }
    }

    /// Distributes what a scan found. All positions before `reached` were checked. The result is
    /// ignored if another call was faster.
    pub(super) fn found(&self, scan: &Scan, reached: i64, events: Vec<(i64, Arc<Event>)>) {
        let mut state = self.lock();
        if state.erasures != scan.erasures {
            return;
        }
        match &scan.tenant {
            Some(tenant) => state.found_parked(tenant, scan.from, reached, events),
            None => state.found_in_log(scan, reached, events),
        }
    }

    /// Takes up to `max` of the next events, in turn. Returned events count as read.
    pub(super) fn take(&self, max: usize, share: &dyn Share) -> Vec<(i64, Arc<Event>)> {
        let mut state = self.lock();
        let events = state.unread.take(max, share);
        state.in_flight.extend(events.iter().map(|(seq, _)| *seq));
        events
    }

    /// Whether it is read and not settled.
    pub(super) fn is_in_flight(&self, seq: i64) -> bool {
        self.lock().in_flight.contains(&seq)
    }

    /// Everything below this position is settled.
    pub(super) fn settled_below(&self) -> i64 {
        let state = self.lock();
        let read = state.in_flight.first().copied();
        let unread = state.unread.firsts().map(|(seq, _)| *seq).min();
        let parked = state.parked.values().copied().min();
        [read, unread, parked].into_iter().flatten().fold(state.next, i64::min)
    }

    /// Publishes what has become durable.
    pub(super) fn committed(&self, effects: Effects) {
        let Effects { appended, settled, agenda_changed, erased } = effects;
        let any = !appended.is_empty();
        if any || !settled.is_empty() || !erased.is_empty() {
            let mut state = self.lock();
            for seq in settled {
                state.in_flight.remove(&seq);
            }
            for (seq, event) in appended {
                state.appended(seq, event);
            }
            if !erased.is_empty() {
                let erased: BTreeSet<i64> = erased.into_iter().collect();
                state.unread.retain(|(seq, _)| !erased.contains(seq));
                state.erasures += 1;
            }
        }
        if any {
            self.appended.notify_one();
        }
        if agenda_changed {
            self.agenda.notify_one();
        }
    }
}

impl State {
    fn appended(&mut self, seq: i64, event: Arc<Event>) {
        // Unless another process appended in between, or older events are still on disk.
        if seq == self.next && self.has_room() {
            self.next += 1;
            self.keep(seq, event);
        }
        self.end = self.end.max(seq + 1);
    }

    /// Keeps an event in memory, unless its tenant's are on disk.
    fn keep(&mut self, seq: i64, event: Arc<Event>) {
        if self.parked.contains_key(&event.tenant) {
            return;
        }
        let tenant = Arc::clone(&event.tenant);
        self.unread.push(&tenant, event.body.len() + HEAD, (seq, event));
    }

    /// Makes room by parking, if necessary. False if only light tenants are in memory.
    fn has_room(&mut self) -> bool {
        while self.unread.weight() >= KEPT {
            let Some((tenant, later)) = self.unread.halve_heaviest(LIGHT) else { return false };
            if let Some((seq, _)) = later.first() {
                self.park(tenant, *seq);
            }
        }
        true
    }

    fn park(&mut self, tenant: Arc<str>, from: i64) {
        if self.parked.insert(Arc::clone(&tenant), from).is_none() {
            self.parked_turns.push_back(tenant);
        }
    }

    /// The next step through the log.
    fn scan_log(&mut self) -> Option<Scan> {
        if self.next >= self.end || !self.has_room() {
            return None;
        }
        let until = self.end.min(self.next + SCANNED);
        let without = self.parked.keys().cloned().collect();
        let (from, end, max, erasures) = (self.next, self.end, FOUND.0, self.erasures);
        Some(Scan { tenant: None, from, until, end, without, max, erasures })
    }

    /// The next step through the events of a parked tenant that has few in memory.
    fn scan_parked(&mut self) -> Option<Scan> {
        let is_full = self.unread.weight() >= KEPT;
        let (few, max) = if is_full { (1, FOUND.1) } else { (FEW, FOUND.0) };
        for _ in 0..self.parked_turns.len() {
            let tenant = self.parked_turns.pop_front()?;
            self.parked_turns.push_back(Arc::clone(&tenant));
            let from = *self.parked.get(&tenant)?;
            if self.unread.count_of(&tenant) < few {
                let until = self.next.min(from + SCANNED);
                let (end, without, erasures) = (self.next, Vec::new(), self.erasures);
                let tenant = Some(tenant);
                return Some(Scan { tenant, from, until, end, without, max, erasures });
            }
        }
        None
    }

    fn found_in_log(&mut self, scan: &Scan, reached: i64, events: Vec<(i64, Arc<Event>)>) {
        // The events of a tenant that was left out and is no longer parked would be skipped.
        let is_parked = |tenant| self.parked.contains_key(tenant);
        if self.next != scan.from || !scan.without.iter().all(is_parked) {
            return;
        }
        self.next = self.next.max(reached);
        self.end = self.end.max(self.next);
        for (seq, event) in events {
            if self.unread.count_of(&event.tenant) < MANY {
                self.keep(seq, event);
            } else if !self.parked.contains_key(&event.tenant) {
                self.park(Arc::clone(&event.tenant), seq);
            }
        }
    }

    fn found_parked(
        &mut self,
        tenant: &Arc<str>,
        from: i64,
        reached: i64,
        events: Vec<(i64, Arc<Event>)>,
    ) {
        if self.parked.get(tenant) != Some(&from) {
            return;
        }
        for (seq, event) in events {
            self.unread.push(tenant, event.body.len() + HEAD, (seq, event));
        }
        if reached < self.next {
            self.parked.insert(Arc::clone(tenant), reached);
        } else {
            // From here on its events are distributed with the others.
            self.parked.remove(tenant);
            self.parked_turns.retain(|parked| parked != tenant);
        }
    }
}

#[cfg(test)]
mod tests;
