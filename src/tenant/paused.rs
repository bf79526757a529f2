//! Lanes that are paused, as the store remembers them. A lane that was resumed while no server ran,
//! for example in the tenant's file, would otherwise wait until its next check.

use std::collections::BTreeSet;

use bytes::Bytes;
use fanfare_contract::LaneId;
use futures::future::try_join_all;
use tokio::sync::Mutex;

use super::registry::Snapshot;
use fanfare_store::{LaneKey, Records, Result};

/// The collection of their names.
const PAUSED: &str = "paused";
/// Names read or written at once.
const AT_ONCE: usize = 64;
/// Longest name: an id of a record has at most 256 bytes.
const LONGEST: usize = 256;

/// The lanes that are known as paused. `None` until they were read.
#[derive(Default)]
pub(super) struct Paused(Mutex<Option<BTreeSet<String>>>);

impl Paused {
    /// Compares what the store remembers with the tenants now. Returns the lanes that were resumed.
    pub(super) async fn follow(
        &self,
        records: &dyn Records,
        tenants: &Snapshot,
    ) -> Result<Vec<LaneKey>> {
        let mut known = self.0.lock().await;
        let before = match known.take() {
            Some(before) => before,
            None => read(records).await?,
        };
        let paused = tenants.values().flat_map(|tenant| tenant.lanes.values());
        let paused = paused.filter(|lane| lane.paused).map(|lane| name_of(&lane.key));
        let now: BTreeSet<String> = paused.filter(|name| name.len() <= LONGEST).collect();
        let new: Vec<&String> = now.difference(&before).collect();
        for part in new.chunks(AT_ONCE) {
            let mut puts = Vec::with_capacity(part.len());
            for name in part {
                puts.push(records.put(PAUSED, name, Bytes::new(), None, None));
            }
            try_join_all(puts).await?;
        }
        let mut resumed = Vec::new();
        for name in before.difference(&now) {
            records.remove(PAUSED, name, None).await?;
            let Some((tenant, lane)) = name.split_once('/') else { continue };
            let lane = tenants.get(tenant).and_then(|tenant| tenant.lanes.get(&LaneId::from(lane)));
            resumed.extend(lane.map(|lane| lane.key.clone()));
        }
        *known = Some(now);
        Ok(resumed)
    }
}

fn name_of(key: &LaneKey) -> String {
    format!("{}/{}", key.tenant, key.id)
}

async fn read(records: &dyn Records) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    loop {
        let page = records.list(PAUSED, names.last().map(String::as_str), 1_000).await?;
        let full = page.len() == 1_000;
        names.extend(page.into_iter().map(|record| record.id));
        if !full {
            return Ok(names);
        }
    }
}
