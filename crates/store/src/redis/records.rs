//! [`Records`]: per collection a hash, its ids in order, and the expiry times. All of it is under
//! the directory's hash tag.
//!
//! Expired records are skipped by the server's clock, and later puts remove them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::keys::Tag;
use super::{Core, reply, script};
use crate::{LONGEST_LIST, Record, Records, Result, StoreError};

/// See the trait.
pub(super) struct RedisRecords {
    core: Arc<Core>,
}

impl RedisRecords {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl Records for RedisRecords {
    async fn version(&self, collection: &str) -> Result<u64> {
        let [.., version] = self.core.keys.records(collection);
        let mut cmd = redis::cmd("GET");
        cmd.arg(version);
        match self.core.link.ask(Tag::Directory, cmd).await? {
            Value::Nil => Ok(0),
            version => reply::count(&version),
        }
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>> {
        let [records, ..] = self.core.keys.records(collection);
        let mut cmd = script::call(&script::RECORD_GET, &[&records]);
        cmd.arg(id);
        let packed = reply::bytes(self.core.link.ask(Tag::Directory, cmd).await?)?;
        packed.map(|packed| unpack(id.to_owned(), packed)).transpose()
    }

    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let [records, ids, ..] = self.core.keys.records(collection);
        let mut cmd = script::call(&script::RECORD_LIST, &[&records, &ids]);
        cmd.arg(after.map_or_else(|| "-".to_owned(), |after| format!("({after}")));
        cmd.arg(limit.min(LONGEST_LIST));
        let found = reply::array(self.core.link.ask(Tag::Directory, cmd).await?)?;
        let mut pairs = found.into_iter();
        let mut list = Vec::with_capacity(pairs.len() / 2);
        while let (Some(id), Some(packed)) = (pairs.next(), pairs.next()) {
            list.push(unpack(reply::text(id)?, reply::bytes(packed)?.unwrap_or_default())?);
        }
        Ok(list)
    }

    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64> {
        let keys = self.core.keys.records(collection);
        let mut cmd = script::call(&script::RECORD_PUT, &keys.each_ref().map(String::as_str));
        cmd.arg(id).arg(&doc[..]).arg(or_empty(expected));
        // Bounded as memos are: Lua counts in floating point.
        cmd.arg(or_empty(ttl.map(|ttl| ttl.as_millis().clamp(1, 1 << 50))));
        let (_, revision) = self.changed(cmd, expected).await?;
        Ok(revision)
    }

    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
        let keys = self.core.keys.records(collection);
        let mut cmd = script::call(&script::RECORD_REMOVE, &keys.each_ref().map(String::as_str));
        cmd.arg(id).arg(or_empty(expected));
        let (done, _) = self.changed(cmd, expected).await?;
        Ok(done == 1)
    }
}

impl RedisRecords {
    /// Runs a script that returns the result and a revision. 0 means a conflict.
    async fn changed(&self, cmd: redis::Cmd, expected: Option<u64>) -> Result<(u64, u64)> {
        let answer = reply::array(self.core.link.ask(Tag::Directory, cmd).await?)?;
        let (Some(done), Some(revision)) = (answer.first(), answer.get(1)) else {
            let message = "a script gave an empty answer".to_owned();
            return Err(StoreError::Other { message, source: None });
        };
        let (done, actual) = (reply::count(done)?, reply::count(revision)?);
        match expected {
            Some(expected) if done == 0 => Err(StoreError::Conflict { expected, actual }),
            _ => Ok((done, actual)),
        }
    }
}

fn or_empty(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A record is kept as `revision end⏎document`.
fn unpack(id: String, packed: Vec<u8>) -> Result<Record> {
    let head = memchr::memchr(b'\n', &packed).and_then(|end| {
        let (revision, _) = std::str::from_utf8(&packed[..end]).ok()?.split_once(' ')?;
        Some((end, revision.parse().ok()?))
    });
    match head {
        Some((end, revision)) => {
            Ok(Record { id, revision, doc: Bytes::from(packed).slice(end + 1..) })
        }
        None => Err(StoreError::Corrupt(format!("the record {id} has no revision"))),
    }
}
