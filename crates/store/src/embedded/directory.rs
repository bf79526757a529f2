//! [`Directory`]: the tenants' documents, and a version that every change increments.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use super::Embedded;
use super::readers::Turn;
use super::writing::{self, Writing};
use crate::{Directory, Result, StoreError, StoredTenant};

#[async_trait]
impl Directory for Embedded {
    async fn version(&self) -> Result<u64> {
        self.readers.run(Turn::Router, version).await
    }

    async fn all(&self) -> Result<(u64, Vec<StoredTenant>)> {
        self.readers.run(Turn::Router, |conn| Ok((version(conn)?, all(conn)?))).await
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

fn all(conn: &Connection) -> Result<Vec<StoredTenant>> {
    let sql = "SELECT id, revision, doc FROM directory WHERE doc IS NOT NULL ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([], tenant)?;
    Ok(found.collect::<Result<_, _>>()?)
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
    let sql = "INSERT INTO directory (id, revision, doc) VALUES (?1, ?2, ?3) \
               ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc";
    conn.prepare_cached(sql)?.execute((id, revision.cast_signed(), doc))?;
    moved(writing)?;
    Ok(revision)
}

fn remove(writing: &mut Writing, id: &str) -> Result<bool> {
    let sql = "UPDATE directory SET doc = NULL, revision = revision + 1 \
               WHERE id = ?1 AND doc IS NOT NULL";
    let removed = writing.conn.prepare_cached(sql)?.execute([id])? == 1;
    if removed {
        moved(writing)?;
    }
    Ok(removed)
}

/// The last revision of an id (0 if it never existed), and whether it has a document now.
fn find(conn: &Connection, id: &str) -> Result<(u64, bool)> {
    let sql = "SELECT revision, doc IS NOT NULL FROM directory WHERE id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)));
    let (revision, exists): (i64, bool) = found.optional()?.unwrap_or_default();
    Ok((revision.unsigned_abs(), exists))
}

fn moved(writing: &Writing) -> Result<()> {
    writing.set_number("directory", writing.number("directory")? + 1)
}
