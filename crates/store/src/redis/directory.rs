//! The tenants' documents with a version and a change feed, and the channels' memos.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::Memo;
use redis::Value;

use super::keys::Tag;
use super::{Core, reply, script};
use crate::{ChangedTenant, Changes, Directory, LISTED_BYTES, Result, StoreError, StoredTenant};

/// See the trait.
pub(super) struct RedisDirectory {
    core: Arc<Core>,
}

impl RedisDirectory {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl Directory for RedisDirectory {
    async fn version(&self) -> Result<u64> {
        let mut cmd = redis::cmd("GET");
        cmd.arg(self.core.keys.version());
        match self.core.link.ask(Tag::Directory, cmd).await? {
            Value::Nil => Ok(0),
            version => reply::count(&version),
        }
    }

    async fn count(&self) -> Result<u64> {
        let mut cmd = redis::cmd("HLEN");
        cmd.arg(self.core.keys.documents());
        reply::count(&self.core.link.ask(Tag::Directory, cmd).await?)
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        let keys = &self.core.keys;
        let mut cmd = script::call(&script::LIST, &[&keys.documents(), &keys.names()]);
        cmd.arg(after.map_or_else(|| "-".to_owned(), |after| format!("({after}")));
        cmd.arg(limit).arg(LISTED_BYTES);
        let mut pairs = reply::array(self.core.link.ask(Tag::Directory, cmd).await?)?.into_iter();
        let mut tenants = Vec::with_capacity(pairs.len() / 2);
        while let (Some(id), Some(packed)) = (pairs.next(), pairs.next()) {
            tenants.push(unpack(reply::text(id)?, reply::bytes(packed)?.unwrap_or_default())?);
        }
        Ok(tenants)
    }

    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        let keys = &self.core.keys;
        let keys = [keys.documents(), keys.version(), keys.changes()];
        let mut cmd = script::call(&script::CHANGED, &keys.each_ref().map(String::as_str));
        cmd.arg(version.to_string()).arg(limit);
        let mut parts = reply::array(self.core.link.ask(Tag::Directory, cmd).await?)?.into_iter();
        let mut head = || reply::count(&parts.next().unwrap_or(Value::Int(0)));
        let (version, has_more, is_incomplete) = (head()?, head()? == 1, head()? == 1);
        let mut tenants = Vec::with_capacity(parts.len() / 2);
        while let (Some(id), Some(revision)) = (parts.next(), parts.next()) {
            let revision = Some(reply::text(revision)?).filter(|revision| !revision.is_empty());
            let id = reply::text(id)?;
            let revision = revision.map(|revision| revision.parse()).transpose();
            let revision = revision.map_err(|_| no_revision(&id))?;
            tenants.push(ChangedTenant { id, revision });
        }
        Ok(Changes { version, tenants, has_more, is_incomplete })
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(self.core.keys.documents()).arg(id);
        let packed = reply::bytes(self.core.link.ask(Tag::Directory, cmd).await?)?;
        packed.map(|packed| unpack(id.to_owned(), packed)).transpose()
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        let keys = &self.core.keys;
        let (documents, revisions) = (keys.documents(), keys.revisions());
        let feed = [keys.version(), keys.changes(), keys.names()];
        let keys = [&documents, &revisions, &feed[0], &feed[1], &feed[2]];
        let mut cmd = script::call(&script::PUT, &keys.map(String::as_str));
        cmd.arg(id).arg(&doc[..]);
        cmd.arg(expected.map(|revision| revision.to_string()).unwrap_or_default());
        let answer = reply::array(self.core.link.ask(Tag::Directory, cmd).await?)?;
        let (Some(done), Some(revision)) = (answer.first(), answer.get(1)) else {
            let message = "a script gave an empty answer".to_owned();
            return Err(StoreError::Other { message, source: None });
        };
        let actual = reply::count(revision)?;
        match (done, expected) {
            (Value::Int(1), _) | (_, None) => Ok(actual),
            (_, Some(expected)) => Err(StoreError::Conflict { expected, actual }),
        }
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        let keys = &self.core.keys;
        let keys = [keys.documents(), keys.version(), keys.changes(), keys.names()];
        let mut cmd = script::call(&script::REMOVE, &keys.each_ref().map(String::as_str));
        cmd.arg(id);
        Ok(matches!(self.core.link.ask(Tag::Directory, cmd).await?, Value::Int(1)))
    }
}

/// A document is kept as `revision⏎document`.
fn unpack(id: String, packed: Vec<u8>) -> Result<StoredTenant> {
    let end = memchr::memchr(b'\n', &packed);
    let revision = end
        .and_then(|end| std::str::from_utf8(&packed[..end]).ok())
        .and_then(|revision| revision.parse().ok());
    match (end, revision) {
        (Some(end), Some(revision)) => {
            Ok(StoredTenant { id, revision, doc: Bytes::from(packed).slice(end + 1..) })
        }
        _ => Err(no_revision(&id)),
    }
}

fn no_revision(id: &str) -> StoreError {
    StoreError::Corrupt(format!("the document of tenant {id} has no revision"))
}

/// See the trait.
pub(super) struct RedisMemo {
    core: Arc<Core>,
}

impl RedisMemo {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl Memo for RedisMemo {
    async fn get(&self, key: &str) -> Option<String> {
        let mut cmd = redis::cmd("GET");
        cmd.arg(self.core.keys.memo(key));
        let value = self.core.link.ask(Tag::Alone, cmd).await.ok()?;
        reply::bytes(value).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok())
    }

    async fn put(&self, key: &str, value: &str, ttl: Duration) {
        let mut cmd = redis::cmd("SET");
        cmd.arg(self.core.keys.memo(key)).arg(value);
        cmd.arg("PX").arg(ttl.as_millis().clamp(1, 1 << 52).to_string());
        if let Err(error) = self.core.link.ask(Tag::Alone, cmd).await {
            tracing::debug!("a memo was not kept: {error}");
        }
    }
}
