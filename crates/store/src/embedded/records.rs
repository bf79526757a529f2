//! [`Records`]: small documents. The version of a collection is also its newest revision.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::Embedded;
use super::memo::wall_clock;
use super::readers::Turn;
use super::writing::Writing;
use crate::{LONGEST_LIST, Ms, Record, Records, Result, StoreError};

#[async_trait]
impl Records for Embedded {
    async fn version(&self, collection: &str) -> Result<u64> {
        let collection = collection.to_owned();
        self.readers.run(Turn::Router, move |conn| version(conn, &collection)).await
    }

    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        self.readers.run(Turn::Tenant(""), move |conn| get(conn, &collection, &id)).await
    }

    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let (collection, after) = (collection.to_owned(), after.map(str::to_owned));
        let work = move |conn: &Connection| list(conn, &collection, after.as_deref(), limit);
        self.readers.run(Turn::Tenant(""), work).await
    }

    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        let expires = ttl.map(|ttl| {
            wall_clock().saturating_add(Ms::try_from(ttl.as_millis()).unwrap_or(Ms::MAX))
        });
        let work = move |writing: &mut Writing| {
            check(&writing.conn, &collection, &id, expected)?;
            let revision = next_version(&writing.conn, &collection)?;
            let sql = "INSERT INTO records (collection, id, revision, expires_ms, doc) \
                       VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (collection, id) DO UPDATE SET \
                       revision = excluded.revision, expires_ms = excluded.expires_ms, \
                       doc = excluded.doc";
            let row = (&collection, &id, revision.cast_signed(), expires, &doc[..]);
            writing.conn.prepare_cached(sql)?.execute(row)?;
            Ok(revision)
        };
        self.writer.call(1, work).await
    }

    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        let work = move |writing: &mut Writing| {
            if !check(&writing.conn, &collection, &id, expected)? {
                return Ok(false);
            }
            let sql = "DELETE FROM records WHERE collection = ?1 AND id = ?2";
            writing.conn.prepare_cached(sql)?.execute((&collection, &id))?;
            next_version(&writing.conn, &collection)?;
            Ok(true)
        };
        self.writer.call(1, work).await
    }
}

fn version(conn: &Connection, collection: &str) -> Result<u64> {
    let sql = "SELECT version FROM collections WHERE name = ?1";
    let found = conn.prepare_cached(sql)?.query_row([collection], |row| row.get::<_, i64>(0));
    Ok(found.optional()?.unwrap_or(0).unsigned_abs())
}

fn next_version(conn: &Connection, collection: &str) -> Result<u64> {
    let sql = "INSERT INTO collections (name, version) VALUES (?1, 1) \
               ON CONFLICT (name) DO UPDATE SET version = version + 1 RETURNING version";
    let version: i64 = conn.prepare_cached(sql)?.query_row([collection], |row| row.get(0))?;
    Ok(version.unsigned_abs())
}

fn get(conn: &Connection, collection: &str, id: &str) -> Result<Option<Record>> {
    let sql = "SELECT id, revision, doc FROM records WHERE collection = ?1 AND id = ?2 \
               AND coalesce(expires_ms > ?3, 1)";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row((collection, id, wall_clock()), record).optional()?)
}

fn list(
    conn: &Connection,
    collection: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Record>> {
    // An id may be empty, so the start of a list must come before the empty id.
    let sql = "SELECT id, revision, doc FROM records WHERE collection = ?1 \
               AND (?2 IS NULL OR id > ?2) AND coalesce(expires_ms > ?3, 1) ORDER BY id LIMIT ?4";
    let mut statement = conn.prepare_cached(sql)?;
    let limit = i64::try_from(limit.min(LONGEST_LIST)).unwrap_or(i64::MAX);
    let found = statement.query_map((collection, after, wall_clock(), limit), record)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let (revision, doc): (i64, Vec<u8>) = (row.get(1)?, row.get(2)?);
    Ok(Record { id: row.get(0)?, revision: revision.unsigned_abs(), doc: doc.into() })
}

/// Whether the document exists, or a conflict with the expected revision.
fn check(conn: &Connection, collection: &str, id: &str, expected: Option<u64>) -> Result<bool> {
    let sql = "SELECT revision FROM records WHERE collection = ?1 AND id = ?2 \
               AND coalesce(expires_ms > ?3, 1)";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_row((collection, id, wall_clock()), |row| row.get::<_, i64>(0));
    let actual = found.optional()?.map(i64::unsigned_abs);
    match expected {
        Some(expected) if expected != actual.unwrap_or(0) => {
            Err(StoreError::Conflict { expected, actual: actual.unwrap_or(0) })
        }
        _ => Ok(actual.is_some()),
    }
}
