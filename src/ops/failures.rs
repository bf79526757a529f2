//! Resets the failures of destinations that are enabled again.

use crate::tenant::TenantSpec;
use fanfare_store::{LaneKey, Result, Store};

/// Resets the failures of all lanes that are disabled in `old` and enabled in `new`. Failures that
/// happen until every replica knows that they are enabled then do not count.
pub async fn reset_failures(store: &Store, old: &TenantSpec, new: &TenantSpec) -> Result<()> {
    for lane in old.disabled.keys().filter(|lane| !new.disabled.contains_key(*lane)) {
        let key = LaneKey { tenant: old.id.as_str().into(), id: lane.clone() };
        store.agenda.well(&key).await?;
    }
    Ok(())
}
