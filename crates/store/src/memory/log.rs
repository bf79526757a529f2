//! [`Log`] in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::{Event, LaneId};
use tokio::time::Instant;

use super::state::State;
use super::{Memory, World};
use crate::{
    Admission, Appended, Entry, EntryId, EventState, LaneKey, Log, Ms, Outcome, Payload, Result,
    Settlement, Share, Turns,
};

#[async_trait]
impl Log for Memory {
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<Vec<Appended>> {
        self.world.faults.meet("log.append").await?;
        let mut state = self.world.lock();
        let answer = |new| if new { Appended::Accepted } else { Appended::Duplicate };
        let answers = events.iter().map(|event| answer(state.append(event))).collect();
        drop(state);
        self.world.appended.notify_waiters();
        Ok(answers)
    }

    async fn read_shared(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>> {
        self.world.faults.meet("log.read").await?;
        let until = Instant::now() + wait;
        loop {
            let appended = self.world.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            let entries = self.take(max, share);
            if !entries.is_empty() || tokio::time::timeout_at(until, appended).await.is_err() {
                return Ok(entries);
            }
        }
    }

    async fn take_over(&self, max: usize) -> Result<Vec<Entry>> {
        self.world.faults.meet("log.take_over").await?;
        let mut state = self.world.lock();
        let State { reading, alive, .. } = &*state;
        let left = reading.iter().filter(|(_, reader)| !alive.contains(reader));
        let left: Vec<u64> = left.map(|(seq, _)| *seq).take(max).collect();
        Ok(left.into_iter().map(|seq| self.hand_over(&mut state, seq)).collect())
    }

    fn arrived_ms(&self, _: EntryId, event: &Event) -> Ms {
        self.world.newest_ms.fetch_max(event.received_ms, Ordering::AcqRel).max(event.received_ms)
    }

    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>> {
        self.world.faults.meet("log.admit").await?;
        self.world.faults.look_at("log.admit", entries.iter().map(|(_, event)| &*event.id))?;
        let state = self.world.lock();
        let pending =
            |seq| state.events.get(&seq).is_some_and(|row| row.state == EventState::Pending);
        let admission = |seq| if pending(seq) { Admission::Fresh } else { Admission::Settled };
        Ok(entries.iter().map(|(entry, _)| admission(entry.major)).collect())
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<()> {
        self.world.faults.meet("log.settle").await?;
        let tried = batch.iter().filter_map(|one| match &one.outcome {
            Outcome::Routed(event, updates) => {
                updates.iter().any(|update| !update.attempts.is_empty()).then_some(&*event.id)
            }
            _ => None,
        });
        self.world.faults.look_at("log.settle", tried)?;
        let mut state = self.world.lock();
        let mut woke = false;
        for Settlement { entry, outcome } in batch {
            woke |= settle(&mut state, entry.major, outcome);
            state.no_longer_unread(entry.major);
            state.reading.remove(&entry.major);
        }
        drop(state);
        self.world.told(woke);
        Ok(())
    }
}

impl Memory {
    fn take(&self, max: usize, share: &dyn Share) -> Vec<Entry> {
        let mut state = self.world.lock();
        let mut unread = Turns::default();
        for (tenant, seqs) in &state.unread {
            for seq in seqs.iter().take(max) {
                unread.push(tenant, 1, *seq);
            }
        }
        let next: Vec<u64> = unread.take(max, share);
        next.into_iter().map(|seq| self.hand_over(&mut state, seq)).collect()
    }

    fn hand_over(&self, state: &mut State, seq: u64) -> Entry {
        state.no_longer_unread(seq);
        state.reading.insert(seq, self.process);
        let payload = Payload::Event(state.events[&seq].event.clone());
        Entry { id: EntryId { major: seq, minor: 0 }, payload }
    }
}

impl World {
    pub(super) fn told(&self, woke: bool) {
        if woke {
            self.agenda.notify_one();
        }
    }
}

/// True when the agenda changed.
fn settle(state: &mut State, seq: u64, outcome: Outcome) -> bool {
    let pending = state.events.get_mut(&seq).filter(|row| row.state == EventState::Pending);
    match (outcome, pending) {
        (Outcome::Rejected(rejected), pending) => {
            if pending.is_some() {
                state.remove_event(seq);
            }
            state.rejected.entry(seq).or_insert(rejected);
            false
        }
        (Outcome::Unrouted(event), Some(row)) => {
            row.state = EventState::Unrouted;
            state.rollups.event(&event, false);
            false
        }
        (Outcome::Routed(event, updates), Some(row)) => {
            row.state = EventState::Routed;
            state.rollups.event(&event, true);
            let tenant = &event.tenant;
            let lane = |lane: &LaneId| LaneKey { tenant: tenant.clone(), id: lane.clone() };
            let add = |woke, update: &crate::DeliveryUpdate| {
                state.add(seq, &lane(&update.lane), update) | woke
            };
            updates.iter().fold(false, add)
        }
        (Outcome::Duplicate | Outcome::Unrouted(_) | Outcome::Routed(..), _) => false,
    }
}
