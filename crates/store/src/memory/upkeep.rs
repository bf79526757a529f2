//! [`Directory`], [`Memo`] and [`Upkeep`] in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::Memo;
use tokio::time::Instant;

use super::Memory;
use crate::{
    Backlog, Directory, EventState, Findings, Ms, Result, StoreError, StoredTenant, Upkeep,
};

#[async_trait]
impl Directory for Memory {
    async fn version(&self) -> Result<u64> {
        self.world.faults.meet("directory.version").await?;
        Ok(self.world.lock().version)
    }

    async fn all(&self) -> Result<(u64, Vec<StoredTenant>)> {
        let state = self.world.lock();
        let stored = |(id, (revision, doc)): (&String, &(u64, Option<Bytes>))| {
            let (id, revision) = (id.clone(), *revision);
            doc.clone().map(|doc| StoredTenant { id, revision, doc })
        };
        Ok((state.version, state.directory.iter().filter_map(stored).collect()))
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        let stored = self.world.lock().directory.get(id).cloned();
        let found = stored.and_then(|(revision, doc)| Some((revision, doc?)));
        Ok(found.map(|(revision, doc)| StoredTenant { id: id.to_owned(), revision, doc }))
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        let mut state = self.world.lock();
        let (revision, before) = state.directory.get(id).cloned().unwrap_or_default();
        let actual = if before.is_some() { revision } else { 0 };
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(StoreError::Conflict { expected, actual });
        }
        state.directory.insert(id.to_owned(), (revision + 1, Some(doc)));
        state.version += 1;
        Ok(revision + 1)
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        let mut state = self.world.lock();
        let there = state.directory.get_mut(id).filter(|(_, doc)| doc.is_some());
        let Some((revision, doc)) = there else { return Ok(false) };
        (*revision, *doc) = (*revision + 1, None);
        state.version += 1;
        Ok(true)
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
