//! Making what was read known to the ledger, whatever the store says to it.

use std::sync::Arc;

use fanfare_contract::Event;
use tokio_util::sync::CancellationToken;

use crate::agenda::Trouble;
use fanfare_store::{Admission, EntryId, Log, Result};

/// How often what is refused for good is tried before it is given up.
const TRIES: u32 = 5;

/// What the store said to one entry.
pub(super) enum Admitted {
    As(Admission),
    /// It will not have it, for this reason; told in the log.
    Refused(String),
}

/// Waits for the store if need be: these entries are ours, and nobody else will take them while
/// we live. `None` when there are none, or when stopped meanwhile; they are handed back then.
///
/// What is refused for good must not hold up what is not, so then each is tried alone.
pub(super) async fn admit(
    log: &dyn Log,
    taken: &[(EntryId, Arc<Event>)],
    stop: &CancellationToken,
) -> Option<Vec<Admitted>> {
    if taken.is_empty() {
        return None;
    }
    if let Ok(admitted) = write(log, taken, stop).await? {
        return Some(admitted.into_iter().map(Admitted::As).collect());
    }
    let mut all = Vec::with_capacity(taken.len());
    for one in taken {
        all.push(admit_alone(log, one, stop).await?);
    }
    Some(all)
}

/// Tries for as long as the store is away. An error is its last word on this batch.
async fn write(
    log: &dyn Log,
    taken: &[(EntryId, Arc<Event>)],
    stop: &CancellationToken,
) -> Option<Result<Vec<Admission>>> {
    let mut trouble = Trouble::default();
    while !stop.is_cancelled() {
        match log.admit(taken).await {
            Err(error) if error.is_temporary() => trouble.wait("the ledger", &error, stop).await,
            result => return Some(result),
        }
    }
    None
}

async fn admit_alone(
    log: &dyn Log,
    one: &(EntryId, Arc<Event>),
    stop: &CancellationToken,
) -> Option<Admitted> {
    let mut pause = Trouble::default();
    let mut reason = String::new();
    for _ in 0..TRIES {
        match write(log, std::slice::from_ref(one), stop).await? {
            Ok(admitted) => return admitted.first().copied().map(Admitted::As),
            Err(error) => reason = error.to_string(),
        }
        pause.rest(stop).await;
    }
    let (entry, tenant) = (one.0, &*one.1.tenant);
    tracing::error!(%entry, tenant, reason, "an event cannot be known; set aside as a dead letter");
    Some(Admitted::Refused(reason))
}
