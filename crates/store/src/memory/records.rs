//! [`Records`] in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::Memory;
use super::state::State;
use crate::{LONGEST_LIST, Record, Records, Result, StoreError};

#[async_trait]
impl Records for Memory {
    async fn version(&self, collection: &str) -> Result<u64> {
        self.world.faults.meet("records.version").await?;
        Ok(self.world.lock().collections.get(collection).copied().unwrap_or(0))
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>> {
        Ok(find(&self.world.lock(), collection, id).cloned())
    }

    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let state = self.world.lock();
        let from = (collection.to_owned(), after.unwrap_or_default().to_owned());
        let rows = state.records.range(from..);
        let rows = rows.take_while(|((of, _), _)| of == collection);
        let rows = rows.filter(|((_, id), _)| after != Some(id.as_str()));
        let alive = rows.filter(|(_, (_, ends))| ends.is_none_or(|ends| ends > Instant::now()));
        Ok(alive.map(|(_, (record, _))| record.clone()).take(limit.min(LONGEST_LIST)).collect())
    }

    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64> {
        let mut state = self.world.lock();
        check(&state, collection, id, expected)?;
        let revision = next_version(&mut state, collection);
        let record = Record { id: id.to_owned(), revision, doc };
        let ends = ttl.map(|ttl| Instant::now() + ttl);
        state.records.insert((collection.to_owned(), id.to_owned()), (record, ends));
        Ok(revision)
    }

    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
        let mut state = self.world.lock();
        if !check(&state, collection, id, expected)? {
            return Ok(false);
        }
        state.records.remove(&(collection.to_owned(), id.to_owned()));
        next_version(&mut state, collection);
        Ok(true)
    }
}

fn find<'a>(state: &'a State, collection: &str, id: &str) -> Option<&'a Record> {
    let (record, ends) = state.records.get(&(collection.to_owned(), id.to_owned()))?;
    ends.is_none_or(|ends| ends > Instant::now()).then_some(record)
}

fn next_version(state: &mut State, collection: &str) -> u64 {
    let version = state.collections.entry(collection.to_owned()).or_default();
    *version += 1;
    *version
}

fn check(state: &State, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
    let actual = find(state, collection, id).map(|record| record.revision);
    match expected {
        Some(expected) if expected != actual.unwrap_or(0) => {
            Err(StoreError::Conflict { expected, actual: actual.unwrap_or(0) })
        }
        _ => Ok(actual.is_some()),
    }
}
