//! [`Directory`]: the tenants' documents, a version that every change increments, and the version
//! at which each tenant last changed.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use super::Embedded;
use super::readers::Turn;
use super::writing::{self, Writing};
use crate::{ChangedTenant, Changes, Directory, LISTED_BYTES, Result, StoreError, StoredTenant};

/// The number of tenants.
const TENANTS: &str = "tenants";

#[async_trait]
impl Directory for Embedded {
    async fn version(&self) -> Result<u64> {
        self.readers.run(Turn::Router, version).await
    }

    async fn count(&self) -> Result<u64> {
        let count = |conn: &Connection| Ok(writing::number(conn, TENANTS)?.unsigned_abs());
        self.readers.run(Turn::Router, count).await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        let after = after.map(str::to_owned);
        let work = move |conn: &Connection| list(conn, after.as_deref(), limit);
        self.readers.run(Turn::Tenant(""), work).await
    }

    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        let work = move |conn: &Connection| changed_since(conn, version, limit);
        self.readers.run(Turn::Router, work).await
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        let id = id.to_owned();
        self.readers.run(Turn::Router, move |conn| one(conn, &id)).await
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        let id = id.to_owned();
        self.writer.call(1, move |writing| put(writing, &id, &doc, expected)).await
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.writer.call(1, move |writing| remove(writing, &id)).await
    }
}

fn version(conn: &Connection) -> Result<u64> {
    Ok(writing::number(conn, "directory")?.unsigned_abs())
}

fn list(conn: &Connection, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
    // No id is empty.
    let sql = "SELECT id, revision, doc FROM directory WHERE id > ?1 AND doc IS NOT NULL \
               ORDER BY id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((after.unwrap_or(""), at_most(limit)))?;
    let (mut listed, mut bytes) = (Vec::new(), 0);
    while bytes < LISTED_BYTES
        && let Some(row) = rows.next()?
    {
        let tenant = tenant(row)?;
        bytes += tenant.doc.len();
        listed.push(tenant);
    }
    Ok(listed)
}

fn changed_since(conn: &Connection, since: u64, limit: usize) -> Result<Changes> {
    // Each call is one transaction, so the version and the changes belong together.
    let version = version(conn)?;
    let sql = "SELECT id, revision, doc IS NOT NULL, changed FROM directory WHERE changed > ?1 \
               ORDER BY changed LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let changed = statement.query_map((since.cast_signed(), at_most(limit)), |row| {
        let (revision, exists): (i64, bool) = (row.get(1)?, row.get(2)?);
        let revision = exists.then_some(revision.unsigned_abs());
        Ok((ChangedTenant { id: row.get(0)?, revision }, row.get::<_, i64>(3)?))
    })?;
    let changed: Vec<_> = changed.collect::<Result<_, _>>()?;
    let has_more = changed.len() == limit;
    let last = changed.last().map(|(_, version)| version.unsigned_abs());
    let version = last.filter(|_| has_more).unwrap_or(version);
    let tenants = changed.into_iter().map(|(tenant, _)| tenant).collect();
    // A folder that was restored from a backup has an earlier version.
    Ok(Changes { version, tenants, has_more, is_incomplete: since > version })
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn one(conn: &Connection, id: &str) -> Result<Option<StoredTenant>> {
    let sql = "SELECT id, revision, doc FROM directory WHERE id = ?1 AND doc IS NOT NULL";
    Ok(conn.prepare_cached(sql)?.query_row([id], tenant).optional()?)
}

fn tenant(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredTenant> {
    let revision: i64 = row.get(1)?;
    let doc: Vec<u8> = row.get(2)?;
    Ok(StoredTenant { id: row.get(0)?, revision: revision.unsigned_abs(), doc: doc.into() })
}

fn put(writing: &mut Writing, id: &str, doc: &[u8], expected: Option<u64>) -> Result<u64> {
    let conn = &writing.conn;
    let (revision, exists) = find(conn, id)?;
    let actual = if exists { revision } else { 0 };
    if let Some(expected) = expected
        && expected != actual
    {
        return Err(StoreError::Conflict { expected, actual });
    }
    let revision = revision + 1;
    let version = moved(writing)?;
    let sql = "INSERT INTO directory (id, revision, doc, changed) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc, \
               changed = excluded.changed";
    conn.prepare_cached(sql)?.execute((id, revision.cast_signed(), doc, version))?;
    if !exists {
        writing.set_number(TENANTS, writing.number(TENANTS)? + 1)?;
    }
    Ok(revision)
}

fn remove(writing: &mut Writing, id: &str) -> Result<bool> {
    if !find(&writing.conn, id)?.1 {
        return Ok(false);
    }
    let version = moved(writing)?;
    let sql =
        "UPDATE directory SET doc = NULL, revision = revision + 1, changed = ?2 WHERE id = ?1";
    writing.conn.prepare_cached(sql)?.execute((id, version))?;
    writing.set_number(TENANTS, writing.number(TENANTS)? - 1)?;
    Ok(true)
}

/// The last revision of an id (0 if it never existed), and whether it has a document now.
fn find(conn: &Connection, id: &str) -> Result<(u64, bool)> {
    let sql = "SELECT revision, doc IS NOT NULL FROM directory WHERE id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)));
    let (revision, exists): (i64, bool) = found.optional()?.unwrap_or_default();
    Ok((revision.unsigned_abs(), exists))
}

/// The directory's version after a change.
fn moved(writing: &Writing) -> Result<i64> {
    let version = writing.number("directory")? + 1;
    writing.set_number("directory", version)?;
    Ok(version)
}
