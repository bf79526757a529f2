//! What one tenant uses, as far as this process knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::{Bucket, RateLimit};
use fanfare_store::{Ledger, Usage};

/// How old the numbers of the store may be when they decide. A burst can pass a quota by what
/// arrives in this time.
pub(super) const USAGE_FRESH: Duration = Duration::from_millis(500);
/// How long a meter is kept that is not in use and owes nothing.
const IDLE_AFTER: Duration = Duration::from_mins(1);
/// Shortest time between two lines in the log about the same tenant.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The meter of one tenant.
pub(super) struct Meter {
    tenant: Arc<str>,
    pub(super) events: Bucket,
    pub(super) bytes: Bucket,
    known: Mutex<Known>,
    /// One read of the store at a time.
    reading: tokio::sync::Mutex<()>,
}

/// What a tenant holds, by the store's last answer and what was accepted since.
#[derive(Clone, Copy)]
pub(super) struct Estimate {
    /// How long ago the store answered. `None` if it was not asked yet.
    pub(super) age: Option<Duration>,
    /// The store's answer plus the bytes accepted since.
    pub(super) usage: Usage,
    /// Events accepted since.
    pub(super) events: u64,
}

struct Known {
    usage: Usage,
    /// When `usage` was read. `None` before the first time.
    read: Option<Instant>,
    /// Events and bytes accepted since then.
    accepted: [u64; 2],
    /// Events and bytes of the second that is running, and of the one before.
    second: (Instant, [u64; 2], [u64; 2]),
    /// Until when the meter is needed.
    busy_until: Instant,
    logged: Option<Instant>,
}

impl Meter {
    pub(super) fn new(tenant: Arc<str>) -> Self {
        let now = Instant::now();
        let known = Known {
            usage: Usage::default(),
            read: None,
            accepted: [0; 2],
            second: (now, [0; 2], [0; 2]),
            busy_until: now + IDLE_AFTER,
            logged: None,
        };
        let (events, bytes) = (Bucket::full(), Bucket::full());
        Self { tenant, events, bytes, known: Mutex::new(known), reading: <_>::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the tenant holds as far as this process knows.
    pub(super) fn estimate(&self) -> Estimate {
        let known = self.lock();
        let [events, bytes] = known.accepted;
        let stored_bytes = known.usage.stored_bytes.saturating_add(bytes);
        let usage = Usage { stored_bytes, ..known.usage };
        Estimate { age: known.read.map(|read| read.elapsed()), usage, events }
    }

    /// Reads the store in the background.
    pub(super) fn read_behind(self: &Arc<Self>, ledger: &Arc<dyn Ledger>) {
        let (meter, ledger) = (self.clone(), ledger.clone());
        tokio::spawn(async move { meter.read(&ledger).await });
    }

    /// Reads the store, unless the numbers are fresh.
    pub(super) async fn read(&self, ledger: &Arc<dyn Ledger>) {
        let _reading = self.reading.lock().await;
        let before = {
            let known = self.lock();
            if known.read.is_some_and(|read| read.elapsed() <= USAGE_FRESH) {
                return;
            }
            known.accepted
        };
        let read = ledger.usage(std::slice::from_ref(&self.tenant)).await;
        let mut known = self.lock();
        // While the store is away it accepts nothing, so no quota is passed.
        if let Some(usage) = read.ok().and_then(|read| read.first().copied()) {
            known.usage = usage;
            // What was accepted while the store was read may be missing in its answer.
            let [events, bytes] = known.accepted;
            known.accepted = [events - before[0], bytes - before[1]];
        }
        known.read = Some(Instant::now());
    }

    /// Notes that events became durable.
    pub(super) fn accepted(&self, events: u64, bytes: u64) {
        let mut known = self.lock();
        let [all, size] = known.accepted;
        known.accepted = [all.saturating_add(events), size.saturating_add(bytes)];
    }

    /// Counts events that were taken, for display, and keeps the meter for a while.
    pub(super) fn count(&self, events: u64, bytes: u64, owes: Duration) {
        let now = Instant::now();
        let mut known = self.lock();
        known.turn(now);
        let [all, size] = &mut known.second.1;
        *all += events;
        *size += bytes;
        known.busy_until = now + IDLE_AFTER + owes;
    }

    /// Events and bytes that were taken in the last full second.
    pub(super) fn rates(&self) -> [u64; 2] {
        let mut known = self.lock();
        known.turn(Instant::now());
        known.second.2
    }

    /// Whether the meter can be forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.lock().busy_until < now
    }

    /// Whether to write a line to the log: at most once a minute.
    pub(super) fn should_log(&self) -> bool {
        let now = Instant::now();
        let mut known = self.lock();
        let due = known.logged.is_none_or(|logged| logged + LOG_EVERY <= now);
        if due {
            known.logged = Some(now);
        }
        due
    }
}

impl Known {
    /// Begins a new second if the last one is over.
    fn turn(&mut self, now: Instant) {
        let (began, current, before) = &mut self.second;
        let passed = now.saturating_duration_since(*began).as_secs();
        if passed > 0 {
            *before = if passed == 1 { *current } else { [0; 2] };
            *current = [0; 2];
            *began += Duration::from_secs(passed);
        }
    }
}

/// The bucket's limit for a quota of `value` per second.
#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact beyond 2^53")]
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
#[expect(clippy::cast_sign_loss, reason = "both factors are positive")]
pub(super) fn rate_limit(value: u64, burst: Duration) -> RateLimit {
    let per_second = value as f64;
    let burst = (per_second * burst.as_secs_f64()) as u64;
    RateLimit { per_second, burst: burst.max(1) }
}
