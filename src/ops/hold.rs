//! Pausing, resuming and enabling a destination, in its tenant's document.

use crate::tenant::{self, TenantSpec};
use fanfare_store::{LaneKey, Result, Store, StoreError};

/// What to do to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Send nothing, keep everything.
    Pause,
    /// Send again what was kept.
    Resume,
    /// It was mended: forget why it was disabled.
    Enable,
}

/// Changes it; false when it was so already, `None` when there is no such destination.
pub async fn change(
    store: &Store,
    tenant: &str,
    destination: &str,
    change: Switch,
) -> Result<Option<bool>> {
    loop {
        let Some((mut spec, revision)) = tenant::stored(store, tenant).await? else {
            return Ok(None);
        };
        let before = spec.clone();
        if !edit(&mut spec, destination, change) {
            return Ok(None);
        }
        if spec == before {
            return Ok(Some(false));
        }
        let doc = tenant::document(&spec);
        match store.directory.put(tenant, doc, Some(revision)).await {
            Ok(_) => {
                begin_anew(store, &before, &spec).await?;
                return Ok(Some(true));
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What was disabled and is not any more has a new start: failures between its end and when every
/// replica heard of it do not count.
pub async fn begin_anew(store: &Store, old: &TenantSpec, new: &TenantSpec) -> Result<()> {
    for lane in old.disabled.keys().filter(|lane| !new.disabled.contains_key(*lane)) {
        let key = LaneKey { tenant: old.id.as_str().into(), id: lane.clone() };
        store.agenda.well(&key).await?;
    }
    Ok(())
}

/// False when there is no such destination.
fn edit(spec: &mut TenantSpec, id: &str, change: Switch) -> bool {
    if !spec.destinations.iter().any(|destination| destination.id == id) {
        return false;
    }
    match change {
        Switch::Pause => _ = spec.held.insert(id.to_owned()),
        Switch::Resume => _ = spec.held.remove(id),
        // With all its recipients that were disabled alone.
        Switch::Enable => spec.disabled.retain(|lane, _| lane.destination() != id),
    }
    true
}
