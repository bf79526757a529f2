//! [`Directory`], [`Memo`] and [`Upkeep`] in memory.

use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::Memo;
use tokio::time::Instant;

use super::Memory;
use super::state::Kept;
use crate::{
    Backlog, ChangedTenant, Changes, Directory, EventState, Findings, LISTED_BYTES, Ms, Result,
    StoreError, StoredTenant, Upkeep,
};

#[async_trait]
impl Directory for Memory {
    async fn version(&self) -> Result<u64> {
        self.world.faults.meet("directory.version").await?;
        Ok(self.world.lock().version)
    }

    async fn count(&self) -> Result<u64> {
        let state = self.world.lock();
        Ok(state.directory.values().filter(|kept| kept.doc.is_some()).count() as u64)
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        self.world.faults.meet("directory.list").await?;
        let state = self.world.lock();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0;
        let stored = state.directory.range::<str, _>((after, Bound::Unbounded));
        let stored = stored.filter_map(|(id, kept)| kept.stored(id)).take(limit);
        Ok(stored
            .take_while(|tenant| {
                let is_within = bytes < LISTED_BYTES;
                bytes += tenant.doc.len();
                is_within
            })
            .collect())
    }

    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        self.world.faults.meet("directory.changed_since").await?;
        let state = self.world.lock();
        let mut changed: Vec<_> =
            state.directory.iter().filter(|(_, kept)| kept.changed > version).collect();
        changed.sort_unstable_by_key(|(_, kept)| kept.changed);
        let has_more = changed.len() > limit;
        changed.truncate(limit);
        let last = changed.last().map(|(_, kept)| kept.changed);
        let reached = last.filter(|_| has_more).unwrap_or(state.version);
        let changed = changed.into_iter().map(|(id, kept)| ChangedTenant {
            id: id.clone(),
            revision: kept.doc.is_some().then_some(kept.revision),
        });
        let tenants = changed.collect();
        Ok(Changes { version: reached, tenants, has_more, is_incomplete: version > state.version })
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        self.world.faults.meet("directory.get").await?;
        Ok(self.world.lock().directory.get(id).and_then(|kept| kept.stored(id)))
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        let mut state = self.world.lock();
        let before = state.directory.get(id);
        let revision = before.map_or(0, |kept| kept.revision);
        let actual = before.filter(|kept| kept.doc.is_some()).map_or(0, |kept| kept.revision);
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(StoreError::Conflict { expected, actual });
        }
        state.version += 1;
        let kept = Kept { revision: revision + 1, doc: Some(doc), changed: state.version };
        state.directory.insert(id.to_owned(), kept);
        Ok(revision + 1)
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        let mut state = self.world.lock();
        let changed = state.version + 1;
        let there = state.directory.get_mut(id).filter(|kept| kept.doc.is_some());
        let Some(kept) = there else { return Ok(false) };
        *kept = Kept { revision: kept.revision + 1, doc: None, changed };
        state.version = changed;
        Ok(true)
    }
}

impl Kept {
    fn stored(&self, id: &str) -> Option<StoredTenant> {
        let doc = self.doc.clone()?;
        Some(StoredTenant { id: id.to_owned(), revision: self.revision, doc })
    }
}

#[async_trait]
impl Memo for Memory {
    async fn get(&self, key: &str) -> Option<String> {
        let state = self.world.lock();
        let (value, until) = state.memo.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    async fn put(&self, key: &str, value: &str, ttl: Duration) {
        let until = Instant::now() + ttl;
        self.world.lock().memo.insert(key.to_owned(), (value.to_owned(), until));
    }
}

#[async_trait]
impl Upkeep for Memory {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    async fn ping(&self) -> Result<()> {
        self.world.faults.meet("upkeep.ping").await
    }

    async fn beat(&self, _now: Ms) -> Result<()> {
        Ok(())
    }

    async fn leave(&self) -> Result<()> {
        self.world.lock().alive.remove(&self.process);
        Ok(())
    }

    async fn tidy(&self, before: Ms, max: usize) -> Result<u64> {
        let mut state = self.world.lock();
        let waits = |seq| state.deliveries_of(seq).any(|(_, row)| row.state.is_waiting());
        let old = state.events.iter().filter(|(seq, row)| {
            let settled = row.state != EventState::Pending;
            settled && row.event.received_ms < before && !waits(**seq)
        });
        let old: Vec<u64> = old.map(|(seq, _)| *seq).take(max).collect();
        for seq in &old {
            state.remove_event(*seq);
        }
        Ok(old.len() as u64)
    }

    async fn reconcile(&self, _now: Ms) -> Result<Findings> {
        // One lock covers everything, so nothing can disagree.
        Ok(Findings::default())
    }

    async fn inspect(&self, _now: Ms) -> Result<Findings> {
        Ok(Findings::default())
    }

    async fn time(&self) -> Result<Option<Ms>> {
        Ok(None)
    }

    async fn backlog(&self) -> Result<Backlog> {
        let state = self.world.lock();
        let waiting =
            state.events.keys().flat_map(|seq| state.deliveries_of(*seq).map(move |d| (seq, d)));
        let waiting = waiting.filter(|(_, (_, row))| row.state.is_waiting());
        let received: Vec<Ms> =
            waiting.map(|(seq, _)| state.events[seq].event.received_ms).collect();
        let oldest_ms = received.iter().min().copied();
        Ok(Backlog { waiting: received.len() as u64, oldest_ms })
    }

    async fn warnings(&self) -> Vec<String> {
        vec!["everything is in memory".to_owned()]
    }
}
