//! Erasures that have begun and not ended, so that another process finishes them after a crash or a
//! stop.
//!
//! The process that erases writes a record and changes it every two seconds. A record that does not
//! change for a while, by the observer's clock, was abandoned: an observer takes it over and
//! erases again from the beginning. What is gone is not found again, so repeating is harmless.
//!
//! While a person is erased, the record contains the value that identifies the person. It is
//! removed before the store's files are scrubbed.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::request::{Erasing, Extent};
use crate::agenda::Clock;
use crate::ops::subject::Subject;
use crate::tenant::AuditEntry;
use fanfare_store::{Record, Records, Result, Store, StoreError};

const COLLECTION: &str = "erasures";
/// How often the process that erases changes its record.
const BEAT: Duration = Duration::from_secs(2);
/// A record that stays the same for this long was abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(10);
/// How often abandoned erasures are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// Most erasures in progress that are looked at.
const AT_ONCE: usize = 500;

/// What a record contains.
#[derive(Clone, Serialize, Deserialize)]
struct Pending {
    tenant: String,
    /// Absent when only the scrubbing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    extent: Option<StoredExtent>,
    unclaimed: bool,
    entry: AuditEntry,
    /// Changes with every beat.
    beat: u64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredExtent {
    Everything,
    Subject { value: String, paths: Vec<String> },
}

impl StoredExtent {
    fn of(extent: &Extent) -> Self {
        match extent {
            Extent::Everything => Self::Everything,
            Extent::Subject(subject) => {
                let (value, paths) = subject.parts();
                Self::Subject { value: value.to_owned(), paths: paths.to_vec() }
            }
        }
    }

    fn read(self) -> Option<Extent> {
        match self {
            Self::Everything => Some(Extent::Everything),
            Self::Subject { value, paths } => {
                Subject::new(&value, &paths).ok().map(Extent::Subject)
            }
        }
    }
}

/// An erasure of this process.
pub(super) struct Ticket {
    store: Store,
    id: String,
    pending: Pending,
    beating: AbortOnDropHandle<()>,
}

impl Ticket {
    /// Records an erasure that begins. It replaces earlier ones of the same, which it completes.
    pub(super) async fn begin(
        store: &Store,
        erasing: &Erasing,
        entry: &AuditEntry,
    ) -> Result<Self> {
        let extent = Some(StoredExtent::of(&erasing.extent));
        for record in store.records.list(COLLECTION, None, AT_ONCE).await? {
            let same =
                |pending: &Pending| pending.tenant == erasing.tenant && pending.extent == extent;
            if read(&record).is_some_and(|pending| same(&pending)) {
                store.records.remove(COLLECTION, &record.id, None).await?;
            }
        }
        let tenant = erasing.tenant.clone();
        let (unclaimed, entry) = (erasing.unclaimed, entry.clone());
        let pending = Pending { tenant, extent, unclaimed, entry, beat: 0 };
        let id = pending.entry.id.clone();
        let revision = put(&*store.records, &id, &pending, Some(0)).await?;
        Ok(Self::new(store, id, pending, revision))
    }

    fn new(store: &Store, id: String, pending: Pending, revision: u64) -> Self {
        let beating = beat(store.clone(), id.clone(), pending.clone(), revision);
        let beating = AbortOnDropHandle::new(tokio::spawn(beating));
        Self { store: store.clone(), id, pending, beating }
    }

    /// The data is erased, and only the scrubbing is left: what identifies a person is removed.
    pub(super) async fn erased(&mut self) -> Result<()> {
        self.beating.abort();
        self.pending.extent = None;
        let revision = put(&*self.store.records, &self.id, &self.pending, None).await?;
        let (store, id) = (self.store.clone(), self.id.clone());
        let beating = beat(store, id, self.pending.clone(), revision);
        self.beating = AbortOnDropHandle::new(tokio::spawn(beating));
        Ok(())
    }

    /// The erasure has ended, well or not.
    pub(super) async fn end(self) {
        self.beating.abort();
        if let Err(error) = self.store.records.remove(COLLECTION, &self.id, None).await {
            tracing::warn!(%error, id = self.id, "an erasure that has ended will be repeated");
        }
    }
}

/// Changes the record until another process has taken it over.
async fn beat(store: Store, id: String, mut pending: Pending, mut revision: u64) {
    loop {
        tokio::time::sleep(BEAT).await;
        pending.beat += 1;
        match put(&*store.records, &id, &pending, Some(revision)).await {
            Ok(next) => revision = next,
            Err(StoreError::Conflict { .. }) => return,
            Err(_) => {}
        }
    }
}

/// Finishes abandoned erasures until `stop`.
pub async fn finish_abandoned(store: Store, clock: Clock, stop: CancellationToken) {
    let mut seen: HashMap<String, (u64, Instant)> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let Ok(records) = store.records.list(COLLECTION, None, AT_ONCE).await else { continue };
        seen.retain(|id, _| records.iter().any(|record| record.id == *id));
        for record in records {
            let now = Instant::now();
            let known = seen.entry(record.id.clone()).or_insert((record.revision, now));
            if known.0 != record.revision {
                *known = (record.revision, now);
            }
            if now.duration_since(known.1) < ABANDONED_AFTER {
                continue;
            }
            if let Err(error) = take_over(&store, &record, clock).await {
                tracing::warn!(%error, id = record.id, "an abandoned erasure was not finished");
            }
            seen.remove(&record.id);
        }
    }
}

async fn take_over(store: &Store, record: &Record, clock: Clock) -> Result<()> {
    let Some(pending) = read(record) else {
        store.records.remove(COLLECTION, &record.id, None).await?;
        return Ok(());
    };
    let revision = match put(&*store.records, &record.id, &pending, Some(record.revision)).await {
        Ok(revision) => revision,
        // Another process was faster.
        Err(StoreError::Conflict { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let (tenant, entry) = (pending.tenant.clone(), pending.entry.clone());
    tracing::info!(tenant, audit = entry.id, "an erasure that was interrupted goes on");
    let extent = pending.extent.clone().map(StoredExtent::read);
    let unclaimed = pending.unclaimed;
    let ticket = Ticket::new(store, record.id.clone(), pending, revision);
    let erasing = match extent {
        Some(Some(extent)) => Some(Erasing { tenant: tenant.clone(), extent, unclaimed }),
        // It cannot be read: there is nothing that another try could do.
        Some(None) => {
            ticket.end().await;
            return Ok(());
        }
        None => None,
    };
    super::finish(store, &tenant, erasing.as_ref(), entry, ticket, clock, &|_| ()).await.map(drop)
}

fn read(record: &Record) -> Option<Pending> {
    serde_json::from_slice(&record.doc).ok()
}

async fn put(
    records: &dyn Records,
    id: &str,
    pending: &Pending,
    expected: Option<u64>,
) -> Result<u64> {
    let doc = serde_json::to_vec(pending).expect("texts and numbers are always JSON");
    records.put(COLLECTION, id, doc.into(), expected, None).await
}
