//! [`Erasure`] in memory.

use async_trait::async_trait;

use super::Memory;
use super::state::State;
use crate::{DeliveryState, Entry, EntryId, Erased, Erasure, LaneKey, Ms, Page, Result};

#[async_trait]
impl Erasure for Memory {
    async fn erase_events(&self, tenant: &str, ids: &[String], _now: Ms) -> Result<Erased> {
        self.world.faults.meet("erasure.events").await?;
        let mut state = self.world.lock();
        let mut erased = Erased::default();
        for id in ids {
            let Some(&seq) = state.ids.get(&(tenant.into(), id.as_str().into())) else { continue };
            erased.events += 1;
            erased.deliveries += state.deliveries_of(seq).count() as u64;
            leave_queues(&mut state, tenant, seq);
            state.no_longer_unread(seq);
            state.reading.remove(&seq);
            state.remove_event(seq);
        }
        Ok(erased)
    }

    async fn unsettled(&self, _cursor: Option<&str>, _limit: usize) -> Result<Page<Entry>> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn erase_entries(&self, _: &str, _entries: &[EntryId], _now: Ms) -> Result<u64> {
        Ok(0)
    }

    async fn erase_rejected(&self, entries: &[String]) -> Result<u64> {
        let mut state = self.world.lock();
        let before = state.rejected.len();
        state.rejected.retain(|_, one| !entries.contains(&one.entry));
        Ok((before - state.rejected.len()) as u64)
    }

    async fn erase_memos(&self, keys: &[String]) -> Result<u64> {
        let mut state = self.world.lock();
        Ok(keys.iter().filter(|key| state.memo.remove(*key).is_some()).count() as u64)
    }

    async fn forget_tenant(&self, tenant: &str) -> Result<()> {
        let mut state = self.world.lock();
        if state.events.values().any(|row| &*row.event.tenant == tenant) {
            return Ok(());
        }
        state.rollups.forget_tenant(tenant);
        state.queues.retain(|lane, _| &*lane.tenant != tenant);
        state.agenda.retain(|lane, _| &*lane.tenant != tenant);
        state.failing.retain(|lane, _| &*lane.tenant != tenant);
        state.memo.retain(|key, _| key.split('/').nth(1) != Some(tenant));
        Ok(())
    }

    async fn scrub(&self) -> Result<bool> {
        Ok(true)
    }
}

/// Takes what waits of an event out of its queues; a lane that nobody serves and that has nothing
/// else loses its line.
fn leave_queues(state: &mut State, tenant: &str, seq: u64) {
    let waits = state.deliveries_of(seq).filter_map(|(lane, row)| match row.state {
        DeliveryState::Waiting { due_ms, .. } => {
            Some((LaneKey { tenant: tenant.into(), id: lane.clone() }, due_ms))
        }
        _ => None,
    });
    for (lane, due_ms) in waits.collect::<Vec<_>>() {
        if let Some(queue) = state.queues.get_mut(&lane) {
            queue.remove(&(due_ms, seq));
        }
        let is_free = state.agenda.get(&lane).is_some_and(|line| line.token.is_none());
        if is_free && state.first_due(&lane).is_none() {
            state.agenda.remove(&lane);
            state.queues.remove(&lane);
        }
    }
}
