//! The audit trail: who changed what, when, and from what to what.
//!
//! A change of a tenant's document is written together with its audit entry in one step
//! ([`TenantSpec::journal`]). The entry then moves to the trail, at the latest with the next change
//! or when the trail is read. So for these changes, an entry exists if and only if the change does.
//!
//! Other changes (a deleted tenant, an event type, a replay) first write their entry with the
//! outcome `begun`, and mark it `done` or `failed` afterwards. After a crash in between, the entry
//! says that the change may have happened.

mod mask;

use std::time::Duration;

use serde_json::Value;

use crate::access::Principal;
use crate::tenant::{AuditEntry, TenantSpec};
use fanfare_store::{Ms, Result, Store, StoreError};

pub use mask::{Masking, mask_all, masked};

const COLLECTION: &str = "audit";
/// How long an entry is kept.
const TTL: Duration = Duration::from_hours(24 * 400);
/// The field of an entry whose content was erased with its tenant. Its value is the id of the
/// erasure's entry.
const ERASED: &str = "erased_with";
/// The owner of changes that belong to no tenant. No tenant can have this id.
pub const SERVER: &str = "*";

/// Creates an entry. Ids descend with time, so that lists begin with the newest entry.
pub fn entry(
    by: &Principal,
    at_ms: Ms,
    action: &str,
    resource: impl Into<String>,
    before: Value,
    after: Value,
) -> AuditEntry {
    let descending = u64::MAX - at_ms.cast_unsigned();
    AuditEntry {
        id: format!("aud_{descending:016x}{:08x}", rand::random::<u32>()),
        at_ms,
        by: by.key_id.to_string(),
        environment: by.environment,
        action: action.to_owned(),
        resource: resource.into(),
        before,
        after,
        outcome: "done".to_owned(),
    }
}

fn record_id(owner: &str, id: &str) -> String {
    format!("{owner}/{id}")
}

async fn put(store: &Store, owner: &str, entry: &AuditEntry, is_new: bool) -> Result<()> {
    put_for(store, owner, entry, is_new, TTL).await
}

async fn put_for(
    store: &Store,
    owner: &str,
    entry: &AuditEntry,
    is_new: bool,
    ttl: Duration,
) -> Result<()> {
    let doc = serde_json::to_vec(entry).expect("an entry is strings and JSON").into();
    let expected = is_new.then_some(0);
    let id = record_id(owner, &entry.id);
    match store.records.put(COLLECTION, &id, doc, expected, Some(ttl)).await {
        // A conflict means that the entry already exists.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How long an existing entry is still kept.
fn ttl_left(entry: &AuditEntry, now: Ms) -> Duration {
    let age = u64::try_from(now.saturating_sub(entry.at_ms)).unwrap_or(0);
    TTL.saturating_sub(Duration::from_millis(age)).max(Duration::from_secs(1))
}

/// Moves entries from a tenant's document to the trail.
pub async fn flush(store: &Store, spec: &TenantSpec) -> Result<()> {
    for entry in &spec.journal {
        put(store, &spec.id, entry, true).await?;
    }
    Ok(())
}

/// Runs `work`, which changes something other than a tenant's document, and records it in the
/// trail.
pub async fn around<T, E: From<StoreError>>(
    store: &Store,
    owner: &str,
    mut entry: AuditEntry,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    begin(store, owner, &mut entry).await?;
    let result = work.await;
    end(store, owner, entry, result.is_ok()).await;
    result
}

/// Writes the entry of a change that is about to happen.
pub async fn begin(store: &Store, owner: &str, entry: &mut AuditEntry) -> Result<()> {
    "begun".clone_into(&mut entry.outcome);
    put(store, owner, entry, true).await
}

/// Writes the outcome of a change.
pub async fn end(store: &Store, owner: &str, mut entry: AuditEntry, is_done: bool) {
    (if is_done { "done" } else { "failed" }).clone_into(&mut entry.outcome);
    if let Err(error) = put(store, owner, &entry, false).await {
        tracing::warn!(%error, id = entry.id, "the audit trail lacks the outcome of a change");
    }
}

/// Removes the content of all entries of an erased tenant. Each entry keeps who did what and when,
/// and refers to the entry of the erasure. Safe to repeat.
///
/// Any content may identify a person: addresses in settings, ids of destinations, subjects, labels
/// of keys.
pub async fn redact(store: &Store, tenant: &str, erasure: &str, now: Ms) -> Result<()> {
    const AT_ONCE: usize = 500;
    let prefix = record_id(tenant, "");
    let mut after = prefix.clone();
    loop {
        let found = store.records.list(COLLECTION, Some(&after), AT_ONCE).await?;
        for record in found.iter().take_while(|record| record.id.starts_with(&prefix)) {
            let Ok(mut entry) = serde_json::from_slice::<AuditEntry>(&record.doc) else {
                // An unreadable entry could contain anything.
                store.records.remove(COLLECTION, &record.id, None).await?;
                continue;
            };
            let is_erasure = entry.action == "erase" && entry.resource == "tenant";
            if is_erasure || entry.after.get(ERASED).is_some() {
                continue;
            }
            entry.before = Value::Null;
            entry.after = serde_json::json!({ERASED: erasure});
            entry.resource.truncate(entry.resource.find('/').unwrap_or(entry.resource.len()));
            put_for(store, tenant, &entry, false, ttl_left(&entry, now)).await?;
        }
        match found.last() {
            Some(last) if found.len() == AT_ONCE && last.id.starts_with(&prefix) => {
                after.clone_from(&last.id);
            }
            _ => return Ok(()),
        }
    }
}

/// The entries of an owner, newest first, and the cursor of the next page.
pub async fn list(
    store: &Store,
    owner: &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<AuditEntry>, Option<String>)> {
    let prefix = record_id(owner, "");
    let after = record_id(owner, cursor.unwrap_or_default());
    let found = store.records.list(COLLECTION, Some(&after), limit).await?;
    let full = found.len() >= limit;
    let own = found.iter().take_while(|record| record.id.starts_with(&prefix));
    let entries: Vec<AuditEntry> =
        own.filter_map(|record| serde_json::from_slice(&record.doc).ok()).collect();
    let more = full && found.last().is_some_and(|record| record.id.starts_with(&prefix));
    let next = more.then(|| found.last().map(|last| last.id[prefix.len()..].to_owned()));
    Ok((entries, next.flatten()))
}
