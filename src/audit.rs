//! The audit trail: who changed what, when, and from what to what.
//!
//! A change of a tenant's document is written with its line of the trail in one step
//! ([`TenantSpec::journal`]); the line then moves to the trail, at the latest with the next change or
//! when the trail is read. So for these a line is there if and only if the change is. Other changes
//! (a tenant deleted, an event type, a replay) have their line first, as `begun`, and are marked
//! `done` or `failed` afterwards: after a crash between, the line says that it may have happened.

use std::time::Duration;

use serde_json::Value;

use crate::access::Principal;
use crate::tenant::{Change, TenantSpec};
use fanfare_store::{Ms, Result, Store, StoreError};

const COLLECTION: &str = "audit";
/// How long a line is kept.
const KEPT: Duration = Duration::from_hours(24 * 400);
/// Stands in a line whose content was erased with its tenant.
const ERASED: &str = "erased_with";
/// The owner of changes that are no tenant's. No tenant can be called so.
pub const SERVER: &str = "*";

/// A line about to be written. Ids descend with time, so that lists begin with the newest.
pub fn line(
    by: &Principal,
    at_ms: Ms,
    action: &str,
    resource: impl Into<String>,
    before: Value,
    after: Value,
) -> Change {
    let until_the_end = u64::MAX - at_ms.cast_unsigned();
    Change {
        id: format!("aud_{until_the_end:016x}{:08x}", rand::random::<u32>()),
        at_ms,
        by: by.key_id.to_string(),
        action: action.to_owned(),
        resource: resource.into(),
        before,
        after,
        outcome: "done".to_owned(),
    }
}

fn place(owner: &str, id: &str) -> String {
    format!("{owner}/{id}")
}

async fn put(store: &Store, owner: &str, line: &Change, is_new: bool) -> Result<()> {
    keep(store, owner, line, is_new, KEPT).await
}

async fn keep(
    store: &Store,
    owner: &str,
    line: &Change,
    is_new: bool,
    kept: Duration,
) -> Result<()> {
    let doc = serde_json::to_vec(line).expect("a line is texts and JSON").into();
    let expected = is_new.then_some(0);
    match store.records.put(COLLECTION, &place(owner, &line.id), doc, expected, Some(kept)).await {
        // It is there already.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Moves what a document holds of the trail to the trail.
pub async fn flush(store: &Store, spec: &TenantSpec) -> Result<()> {
    for line in &spec.journal {
        put(store, &spec.id, line, true).await?;
    }
    Ok(())
}

/// Does something that is no change of a tenant's document, with its line of the trail around it.
pub async fn around<T, E: From<StoreError>>(
    store: &Store,
    owner: &str,
    mut line: Change,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    begin(store, owner, &mut line).await?;
    let done = work.await;
    end(store, owner, line, done.is_ok()).await;
    done
}

/// Writes a line of something that is about to be done.
pub async fn begin(store: &Store, owner: &str, line: &mut Change) -> Result<()> {
    "begun".clone_into(&mut line.outcome);
    put(store, owner, line, true).await
}

/// Writes how it ended.
pub async fn end(store: &Store, owner: &str, mut line: Change, is_done: bool) {
    (if is_done { "done" } else { "failed" }).clone_into(&mut line.outcome);
    if let Err(error) = put(store, owner, &line, false).await {
        tracing::warn!(%error, id = line.id, "the audit trail does not say how it ended");
    }
}

/// Takes what was changed from what to what out of the lines of a tenant that is erased; who did what
/// when stays, each with the line that tells of the erasure. Safe to repeat.
///
/// A line may name persons in all that it shows: addresses in settings, ids of destinations and
/// subjects, labels of keys.
pub async fn redact(store: &Store, tenant: &str, erasure: &str, now: Ms) -> Result<()> {
    const AT_ONCE: usize = 500;
    let prefix = place(tenant, "");
    let mut after = prefix.clone();
    loop {
        let found = store.records.list(COLLECTION, Some(&after), AT_ONCE).await?;
        for record in found.iter().take_while(|record| record.id.starts_with(&prefix)) {
            let Ok(mut line) = serde_json::from_slice::<Change>(&record.doc) else {
                // What nobody can read may hold anything.
                store.records.remove(COLLECTION, &record.id, None).await?;
                continue;
            };
            let told = line.action == "erase" && line.resource == "tenant";
            if told || line.after.get(ERASED).is_some() {
                continue;
            }
            line.before = Value::Null;
            line.after = serde_json::json!({ERASED: erasure});
            line.resource.truncate(line.resource.find('/').unwrap_or(line.resource.len()));
            let age = u64::try_from(now.saturating_sub(line.at_ms)).unwrap_or(0);
            let left = KEPT.saturating_sub(Duration::from_millis(age));
            keep(store, tenant, &line, false, left.max(Duration::from_secs(1))).await?;
        }
        match found.last() {
            Some(last) if found.len() == AT_ONCE && last.id.starts_with(&prefix) => {
                after.clone_from(&last.id);
            }
            _ => return Ok(()),
        }
    }
}

/// Lines of an owner, newest first, and the cursor of the page after.
pub async fn list(
    store: &Store,
    owner: &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<Change>, Option<String>)> {
    let prefix = place(owner, "");
    let after = place(owner, cursor.unwrap_or_default());
    let found = store.records.list(COLLECTION, Some(&after), limit).await?;
    let full = found.len() >= limit;
    let own = found.iter().take_while(|record| record.id.starts_with(&prefix));
    let lines: Vec<Change> =
        own.filter_map(|record| serde_json::from_slice(&record.doc).ok()).collect();
    let more = full && found.last().is_some_and(|record| record.id.starts_with(&prefix));
    let next = more.then(|| found.last().map(|last| last.id[prefix.len()..].to_owned()));
    Ok((lines, next.flatten()))
}
