//! What the store does not have on record yet, read past the router from the store itself.
//!
//! At a kill, a delivery that its receiver has taken and that is in here may come once more: the
//! router dies before it can write it down. Any other duplicate has no excuse.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OpenFlags};

use crate::plan::{SITES, TENANT, number};
use crate::receivers::Key;

/// What is open in the store.
#[derive(Default)]
pub(crate) struct Unsettled {
    /// Events of which nothing is on record.
    pub(crate) events: HashSet<u32>,
    /// Deliveries that wait in a queue.
    pub(crate) waiting: HashSet<Key>,
}

impl Unsettled {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.waiting.is_empty()
    }
}

/// Where to look.
#[derive(Clone)]
pub(crate) enum Source {
    /// `fanfare.db`; `schema.sql` of the embedded store tells its tables.
    Embedded(PathBuf),
    /// The server; `store/redis/mod.rs` tells its keys.
    Redis(Box<redis::Client>),
}

impl Source {
    pub(crate) async fn look(&self) -> Result<Unsettled> {
        match self {
            Self::Embedded(path) => {
                let path = path.clone();
                let look = move || embedded(&path).context("the database cannot be read");
                tokio::task::spawn_blocking(look).await?
            }
            Self::Redis(client) => over_redis(client).await.context("Redis cannot be read"),
        }
    }
}

fn embedded(path: &std::path::Path) -> Result<Unsettled> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    let mut events = conn.prepare("SELECT id FROM events WHERE state = 0")?;
    let events = events.query_map([], |row| row.get::<_, String>(0))?;
    let events = events.filter_map(|id| number(&id.ok()?)).collect();
    let mut waiting = conn.prepare(
        "SELECT e.id, l.destination FROM deliveries d JOIN events e ON e.seq = d.seq \
         JOIN lanes l ON l.lane_id = d.lane_id WHERE d.state = 1",
    )?;
    let waiting =
        waiting.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let waiting = waiting.filter_map(|row| {
        let (event, destination) = row.ok()?;
        Some((number(&event)?, site(&destination)?))
    });
    Ok(Unsettled { events, waiting: waiting.collect() })
}

async fn over_redis(client: &redis::Client) -> Result<Unsettled> {
    let config = redis::AsyncConnectionConfig::new()
        .set_response_timeout(Some(std::time::Duration::from_secs(30)));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut found = Unsettled::default();
    // What is settled is deleted from the stream: all that is there is open.
    let entries: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
        .arg("fanfare:events")
        .arg("-")
        .arg("+")
        .query_async(&mut connection)
        .await?;
    for entry in entries.ids {
        let body: Option<String> = entry.get("event");
        found.events.extend(body.and_then(|body| event_number(&body)));
    }
    let queues: Vec<String> = redis::cmd("KEYS")
        .arg(format!("fanfare:{{*}}:q:{TENANT}:*"))
        .query_async(&mut connection)
        .await?;
    for queue in queues {
        let Some(place) = queue.rsplit(':').next().and_then(site) else { continue };
        let members: Vec<String> =
            redis::cmd("ZRANGE").arg(&queue).arg(0).arg(-1).query_async(&mut connection).await?;
        let events = members.iter().filter_map(|member| number(member.split_once(':')?.1));
        found.waiting.extend(events.map(|n| (n, place)));
    }
    Ok(found)
}

fn event_number(body: &str) -> Option<u32> {
    let event: serde_json::Value = serde_json::from_str(body).ok()?;
    number(event.get("id")?.as_str()?)
}

fn site(id: &str) -> Option<usize> {
    SITES.iter().position(|site| site.id == id)
}
