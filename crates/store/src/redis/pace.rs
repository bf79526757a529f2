//! The pace of what tenants add to the stream through this process.
//!
//! The stream is one queue, and the readers look ahead in it only so far. So while it is long, a
//! tenant that adds many events waits before each further batch, and adds them one batch after
//! another. Tenants with few events do not wait. Nothing is refused: the sender of a flood is slowed
//! to less than the pace at which events are settled. Quotas of tenants are another matter.
//!
//! A process that does not read the stream, such as a command, is not slowed: nothing says that a
//! reader is running.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Core;
use super::keys::Tag;
use super::reader::AHEAD;
use crate::Result;

/// A stream with more entries is long. Well below what is read ahead, so that readers of several
/// processes and producers of their own stay within it too.
const LONG: usize = AHEAD / 4;
/// Over how long events are counted.
const PERIOD: Duration = Duration::from_secs(1);
/// Events of one tenant in a period that are added without waiting, whatever the pace.
const FREE_MIN: usize = 64;
/// Longest wait of one batch for the stream. Even in a long one, a tenant adds a batch in this time.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two looks at the length of the stream.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Paces the tenants of this process.
#[derive(Default)]
pub(super) struct Pace {
    /// The length of the stream after the last append.
    length: AtomicUsize,
    /// Events that are being added.
    adding: AtomicUsize,
    period: Mutex<Period>,
}

#[derive(Default)]
struct Period {
    began: Option<Instant>,
    tenants: HashMap<Arc<str>, Tenant>,
    /// Entries that this process settled.
    settled: usize,
    /// Events of one tenant that are added without waiting.
    free: usize,
}

#[derive(Default)]
struct Tenant {
    events: usize,
    /// Held by the batch that waits or is added.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A batch that is being added. Dropping it ends the turn of its tenant.
pub(super) struct Adding<'a> {
    pace: &'a Pace,
    events: usize,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        self.pace.adding.fetch_sub(self.events, Ordering::Relaxed);
    }
}

impl Pace {
    /// Waits until `events` of `tenant` may be added.
    pub(super) async fn enter(
        &self,
        core: &Core,
        tenant: &Arc<str>,
        events: usize,
    ) -> Result<Adding<'_>> {
        let turn = self.count(tenant, events, Instant::now());
        let before = self.adding.fetch_add(events, Ordering::Relaxed);
        let mut adding = Adding { pace: self, events, turn: None };
        let is_long = self.length.load(Ordering::Relaxed) + before > LONG;
        if let Some(turn) = turn.filter(|_| is_long) {
            adding.turn = Some(turn.lock_owned().await);
            let until = Instant::now() + WAIT_MAX;
            while length(core).await? > LONG && Instant::now() < until {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(adding)
    }

    /// Notes the length of the stream.
    pub(super) fn note(&self, length: &Value) {
        if let Value::Int(length) = length {
            let length = usize::try_from(*length).unwrap_or(0);
            self.length.store(length, Ordering::Relaxed);
        }
    }

    /// Notes how many entries were settled.
    pub(super) fn settled(&self, entries: usize) {
        self.lock().settled += entries;
    }

    /// Counts events. Returns the turn of the tenant if it has many in this period: more than its
    /// part of half of what was settled in the period before.
    fn count(
        &self,
        tenant: &Arc<str>,
        events: usize,
        now: Instant,
    ) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut period = self.lock();
        if period.began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            let tenants = 2 * period.tenants.len().max(1);
            period.free = (period.settled / tenants).max(FREE_MIN);
            (period.began, period.settled) = (Some(now), 0);
            // A tenant whose batch waits keeps its turn.
            period.tenants.retain(|_, tenant| Arc::strong_count(&tenant.turn) > 1);
            for tenant in period.tenants.values_mut() {
                tenant.events = 0;
            }
        }
        let free = period.free;
        let tenant = period.tenants.entry(Arc::clone(tenant)).or_default();
        tenant.events += events;
        (tenant.events > free).then(|| Arc::clone(&tenant.turn))
    }

    fn lock(&self) -> MutexGuard<'_, Period> {
        self.period.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many entries the stream holds.
async fn length(core: &Core) -> Result<usize> {
    let mut cmd = redis::cmd("XLEN");
    cmd.arg(&*core.keys.stream);
    let length = core.link.ask(Tag::Stream, cmd).await?;
    Ok(match length {
        Value::Int(length) => usize::try_from(length).unwrap_or(0),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_few_events_never_waits_and_one_with_many_has_a_turn() {
        let (pace, now) = (Pace::default(), Instant::now());
        let is_free = |tenant: &str, events, at| pace.count(&tenant.into(), events, at).is_none();
        assert!(is_free("flood", FREE_MIN, now));
        assert!(!is_free("flood", 1, now));
        assert!(is_free("quiet", 20, now));
        // Two tenants were seen, so each may add a quarter of what was settled.
        pace.settled(4_000);
        let later = now + PERIOD;
        assert!(is_free("flood", 1_000, later));
        let held = pace.count(&"flood".into(), 1, later);
        assert!(held.is_some());
        assert!(is_free("quiet", 1, later + PERIOD));
        let period = pace.lock();
        assert_eq!(period.tenants.len(), 2, "a turn that is held is kept");
        assert_eq!(period.free, FREE_MIN, "nothing was settled since");
    }
}
