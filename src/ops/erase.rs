//! Erases a whole tenant, or all events about a person, for good.
//!
//! Data is read and removed page by page, so that a bounded number of events is in memory, other
//! work continues between any two steps, and an interrupted erasure can simply be repeated: what is
//! gone is not found again. The order matters: first the entries of the log, then the ledger, so
//! that an event that moves from one to the other meanwhile is found.

mod pending;
mod request;
mod round;

use std::time::Duration;

use serde_json::{Value, json};

use pending::Ticket;
pub use pending::finish_abandoned;
pub use request::{Erasing, Extent, Found};
use round::Round;

use crate::access::{Principal, keys};
use crate::agenda::Clock;
use crate::audit;
use crate::tenant::AuditEntry;
use fanfare_store::{Result, Store, StoreError};

/// Documents read at once.
const RECORDS: usize = 500;
/// Most passes over a tenant while new data keeps arriving.
const MAX_ROUNDS: usize = 20;
/// Pause between two passes. Afterwards every server knows that the tenant no longer exists.
const PAUSE: Duration = Duration::from_millis(1_200);
/// Attempts to scrub the store's files.
const MAX_SCRUBS: usize = 3;

/// The result of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureReport {
    /// The id of the entry in the audit trail.
    pub id: String,
    /// What was erased.
    pub found: Found,
    /// Whether the store's files no longer contain the erased data, as far as the store can tell.
    /// If false, a reader prevented it, and the erasure should be repeated.
    pub scrubbed: bool,
    /// Other files beside the store that may contain it, such as what a restore has set aside.
    pub elsewhere: Vec<String>,
}

/// Counts what would be erased.
pub async fn find(store: &Store, erasing: &Erasing) -> Result<Found> {
    let mut round = Round::new(store, erasing, None).await?;
    round.all(&|_| ()).await?;
    if erasing.extent == Extent::Everything {
        let keys = keys::list(&*store.records, Some(&erasing.tenant)).await?;
        round.found.keys = keys.len() as u64;
    }
    Ok(round.found)
}

/// Erases, and adds an entry to the tenant's audit trail: who erased what, when, and how much.
/// Calls `done` with the progress. Safe to repeat.
pub async fn erase(
    store: &Store,
    erasing: &Erasing,
    by: &Principal,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<ErasureReport> {
    let Erasing { tenant, extent, unclaimed } = erasing;
    let (resource, asked) = match extent {
        Extent::Everything => ("tenant", json!({"everything": true})),
        Extent::Subject(subject) => ("events", json!({"subject": subject.hashed()})),
    };
    let mut entry = audit::entry(by, clock.now_ms(), "erase", resource, asked, Value::Null);
    audit::begin(store, tenant, &mut entry).await?;
    tracing::info!(tenant, resource, unclaimed, audit = entry.id, "erasure started");
    let ticket = Ticket::begin(store, erasing, &entry).await?;
    finish(store, tenant, Some(erasing), entry, ticket, clock, done).await
}

/// Erases, scrubs the store's files, and adds the result to the entry of the audit trail. Without
/// `erasing`, only the scrubbing is left.
async fn finish(
    store: &Store,
    tenant: &str,
    erasing: Option<&Erasing>,
    mut entry: AuditEntry,
    mut ticket: Ticket,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<ErasureReport> {
    let work = async {
        let mut found = Found::default();
        if let Some(erasing) = erasing {
            found = run(store, erasing, &entry.id, clock, done).await?;
            ticket.erased().await?;
        }
        Ok::<_, StoreError>((found, scrub(store).await?))
    };
    let erased = work.await;
    if let Ok((found, scrubbed)) = &erased {
        entry.after = json!({"erased": found, "scrubbed": scrubbed});
    }
    let id = entry.id.clone();
    audit::end(store, tenant, entry, erased.is_ok()).await;
    ticket.end().await;
    let (found, scrubbed) = erased?;
    let elsewhere = store.erasure.elsewhere().await;
    Ok(ErasureReport { id, found, scrubbed, elsewhere })
}

/// Removes what is left in the store's files. False if something prevents it.
async fn scrub(store: &Store) -> Result<bool> {
    for _ in 0..MAX_SCRUBS {
        if store.erasure.scrub().await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn run(
    store: &Store,
    erasing: &Erasing,
    entry: &str,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<Found> {
    let found = match erasing.extent {
        Extent::Everything => {
            let found = everything(store, erasing, clock, done).await?;
            audit::redact(store, &erasing.tenant, entry, clock.now_ms()).await?;
            found
        }
        Extent::Subject(_) => {
            let mut round = Round::new(store, erasing, Some(clock)).await?;
            round.all(done).await?;
            round.found
        }
    };
    Ok(found)
}

/// Erases a whole tenant: first its keys and document, so that nothing new arrives, then its data
/// until none is found.
async fn everything(
    store: &Store,
    erasing: &Erasing,
    clock: Clock,
    done: &(dyn Fn(&Found) + Sync),
) -> Result<Found> {
    let tenant = &erasing.tenant;
    // Load the document before it is removed, because it says where memos are.
    let mut round = Round::new(store, erasing, Some(clock)).await?;
    if let Some(spec) = &round.spec {
        audit::flush(store, spec).await?;
    }
    round.found.keys = keys::revoke_all_of(&*store.records, tenant).await? as u64;
    let was_there = store.directory.remove(tenant).await?;
    for turn in 0..MAX_ROUNDS {
        let before = round.found;
        round.all(done).await?;
        let idle = round.found == before;
        if idle && (turn > 0 || !was_there) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    remove_positions(store, tenant).await?;
    store.erasure.forget_tenant(tenant).await?;
    Ok(round.found)
}

/// Removes the positions of consumers in the tenant's mailboxes.
async fn remove_positions(store: &Store, tenant: &str) -> Result<()> {
    const MAILBOXES: &str = "mailboxes";
    let prefix = format!("{tenant}/");
    loop {
        let page = store.records.list(MAILBOXES, Some(&prefix), RECORDS).await?;
        let own: Vec<_> = page.iter().take_while(|one| one.id.starts_with(&prefix)).collect();
        for one in &own {
            store.records.remove(MAILBOXES, &one.id, None).await?;
        }
        if own.len() < RECORDS {
            return Ok(());
        }
    }
}
