//! [`Memo`]: best effort by contract, so failures are only logged.

use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::Memo;
use rusqlite::{Connection, OptionalExtension};

use super::readers::Turn;
use super::{Embedded, names};
use crate::{Ms, Result, steady};

#[async_trait]
impl Memo for Embedded {
    async fn get(&self, key: &str) -> Option<String> {
        let (key, now) = (key.to_owned(), wall_clock());
        let found = self.readers.run(Turn::Router, move |conn| {
            let sql = "SELECT value FROM memo WHERE key = ?1 AND expires_ms > ?2";
            let mut statement = conn.prepare_cached(sql)?;
            Ok(statement.query_row((key, now), |row| row.get(0)).optional()?)
        });
        noted(found.await).flatten()
    }

    async fn put(&self, key: &str, value: &str, ttl: Duration) {
        let (key, value) = (key.to_owned(), value.to_owned());
        let ttl = Ms::try_from(ttl.as_millis()).unwrap_or(Ms::MAX);
        let expires = wall_clock().saturating_add(ttl);
        let kept = self.writer.call(1, move |writing| {
            if is_of_erased(&writing.conn, &key)? {
                return Ok(());
            }
            let sql = "INSERT INTO memo (key, value, expires_ms) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (key) DO UPDATE SET \
                       value = excluded.value, expires_ms = excluded.expires_ms";
            writing.conn.prepare_cached(sql)?.execute((&key, &value, expires))?;
            Ok(())
        });
        noted(kept.await);
    }
}

/// Whether a memo `channel/tenant/…` is of a tenant of which nothing is left. An attempt may have
/// been in flight when the tenant was erased.
fn is_of_erased(conn: &Connection, key: &str) -> Result<bool> {
    let mut parts = key.splitn(3, '/');
    let (Some(_), Some(tenant), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(false);
    };
    Ok(names::find_tenant(conn, tenant)?.is_none())
}

fn noted<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::debug!(%error, "a memo was not kept or found")).ok()
}

/// The only place that reads the clock, because the trait of a memo passes no time.
pub(super) fn wall_clock() -> Ms {
    steady::now_ms()
}
