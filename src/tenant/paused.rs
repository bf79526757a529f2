//! Lanes that are paused, as the store remembers them. A lane that was resumed while no server ran,
//! for example in the tenant's file, would otherwise wait until its next check.

use std::collections::BTreeSet;

use bytes::Bytes;
use fanfare_contract::LaneId;
use futures::future::try_join_all;
use tokio::sync::Mutex;

use super::Tenant;
use fanfare_store::{LaneKey, Records, Result};

/// The collection of their names.
const PAUSED: &str = "paused";
/// Names read or written at once.
const AT_ONCE: usize = 64;
/// Longest name: an id of a record has at most 256 bytes.
const LONGEST: usize = 256;

/// The lanes that are known as paused.
#[derive(Default)]
pub(super) struct Paused(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The collection's version when the names were read. `None` before that.
    version: Option<u64>,
    names: BTreeSet<String>,
}

impl Paused {
    /// The tenants that have paused lanes, as the store remembers them.
    pub(super) async fn tenants(&self, records: &dyn Records) -> Result<BTreeSet<String>> {
        let mut known = self.0.lock().await;
        known.refresh(records).await?;
        let tenants = known.names.iter().filter_map(|name| name.split_once('/'));
        Ok(tenants.map(|(tenant, _)| tenant.to_owned()).collect())
    }

    /// Whether the store remembers paused lanes of a tenant.
    pub(super) async fn concerns(&self, records: &dyn Records, tenant: &str) -> Result<bool> {
        let mut known = self.0.lock().await;
        // Another process may have noted a lane since.
        known.refresh(records).await?;
        Ok(known.of(tenant).next().is_some())
    }

    /// Compares what the store remembers with a tenant as it is now. Returns the lanes that were
    /// resumed.
    pub(super) async fn follow(
        &self,
        records: &dyn Records,
        id: &str,
        tenant: Option<&Tenant>,
    ) -> Result<Vec<LaneKey>> {
        let mut known = self.0.lock().await;
        if known.version.is_none() {
            known.refresh(records).await?;
        }
        let lanes = tenant.into_iter().flat_map(|tenant| tenant.lanes.values());
        let paused = lanes.filter(|lane| lane.paused).map(|lane| name_of(&lane.key));
        let now: BTreeSet<String> = paused.filter(|name| name.len() <= LONGEST).collect();
        let before: BTreeSet<String> = known.of(id).cloned().collect();
        let new: Vec<&String> = now.difference(&before).collect();
        for part in new.chunks(AT_ONCE) {
            let mut puts = Vec::with_capacity(part.len());
            for name in part {
                puts.push(records.put(PAUSED, name, Bytes::new(), None, None));
            }
            try_join_all(puts).await?;
            known.names.extend(part.iter().map(|name| (*name).clone()));
        }
        let mut resumed = Vec::new();
        for name in before.difference(&now) {
            records.remove(PAUSED, name, None).await?;
            known.names.remove(name);
            let Some((_, lane)) = name.split_once('/') else { continue };
            let lane = tenant.and_then(|tenant| tenant.lanes.get(&LaneId::from(lane)));
            resumed.extend(lane.map(|lane| lane.key.clone()));
        }
        Ok(resumed)
    }
}

impl Known {
    /// Reads the names again if they changed.
    async fn refresh(&mut self, records: &dyn Records) -> Result<()> {
        // The version first: what changes during the read is read again next time.
        let version = records.version(PAUSED).await?;
        if self.version != Some(version) {
            self.names = read(records).await?;
            self.version = Some(version);
        }
        Ok(())
    }

    /// The names of a tenant's lanes.
    fn of(&self, tenant: &str) -> impl Iterator<Item = &String> {
        let prefix = format!("{tenant}/");
        let from = self.names.range(prefix.clone()..);
        from.take_while(move |name| name.starts_with(&prefix))
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
