//! Events that wait before the router starts: in a stream, or in an embedded store.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use fanfare_contract::Event;
use fanfare_harness::Redis;
use fanfare_store::{Store, embedded};

use super::{LONGEST, LOOK};
use crate::peers::message::{CREATED, KIND, TENANT, body, id, now_us};
use crate::peers::{STREAM, connect};

/// Writes events to the stream as a foreign producer does.
pub(crate) async fn preload_stream(
    redis: &Redis,
    count: usize,
    tenant: impl Fn(usize) -> String,
) -> anyhow::Result<()> {
    let mut connection = connect(&redis.url()).await?;
    for first in (0..count).step_by(1_000) {
        let mut pipe = redis::pipe();
        for n in first..count.min(first + 1_000) {
            let event = body(&id(0, n));
            pipe.cmd("XADD").arg(STREAM).arg("*").arg("tenant").arg(tenant(n));
            pipe.arg("event").arg(event).ignore();
        }
        let () = pipe.query_async(&mut connection).await?;
    }
    until_rested(&mut connection).await
}

/// Waits until Redis has rewritten its append-only file, which it does in a process of its own once
/// the file has grown. That work is no part of what is measured next.
async fn until_rested(connection: &mut redis::aio::MultiplexedConnection) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(connection).await?;
        let is_busy = |what: &str| info.contains(&format!("{what}:1"));
        if !is_busy("aof_rewrite_in_progress") && !is_busy("aof_rewrite_scheduled") {
            return Ok(());
        }
        ensure!(began.elapsed() < LONGEST, "Redis still rewrites its file");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until every entry of the stream is settled.
pub(super) async fn until_empty(redis: &Redis) -> anyhow::Result<()> {
    let mut connection = connect(&redis.url()).await?;
    let began = Instant::now();
    loop {
        let left: usize = redis::cmd("XLEN").arg(STREAM).query_async(&mut connection).await?;
        if left == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < LONGEST, "not settled in {} s", LONGEST.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes events to an embedded store, as the API does. The store stays open beside the router.
pub(super) async fn preload_store(dir: &Path, count: usize) -> anyhow::Result<Store> {
    let store = embedded::open(dir, embedded::Options { role: embedded::Role::Tool, readers: 1 })?;
    let (tenant, kind): (Arc<str>, Arc<str>) = (TENANT.into(), KIND.into());
    let received_ms = i64::try_from(now_us() / 1_000)?;
    let event = |n| {
        let id = id(0, n);
        let body = Bytes::from(body(&id));
        Event::new(tenant.clone(), id.into(), kind.clone(), CREATED, received_ms, body)
    };
    for first in (0..count).step_by(4_000) {
        let events = (first..count.min(first + 4_000)).map(|n| Arc::new(event(n))).collect();
        store.log.append(events).await?;
    }
    Ok(store)
}
