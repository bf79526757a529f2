//! What the router does beside the path: reports that it is alive, keeps the clock, compares the
//! store with itself, and removes old events.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::agenda::Clock;
use crate::flow::{
    CLEANUP_IDLE_MS, CLEANUP_REST, CLEANUP_STEP, HEARTBEAT_EVERY, RECONCILE_EVERY,
    RETENTION_CLOCK_STORED, RETENTION_JUMP_MS, RETENTION_JUMP_WAIT, STATS_FORGOTTEN_EVERY,
};
use crate::observe::Observe;
use crate::tenant::Registry;
use fanfare_store::{LaneKey, Ms, Result, Store};

/// Reports again and again that this process is alive, and exchanges limits with other replicas.
pub(super) async fn beat(store: Store, clock: Clock, registry: Arc<Registry>) {
    let gate = |key: &LaneKey| {
        let tenant = registry.in_memory(&key.tenant)?.usable()?;
        Some((tenant.lanes.get(&key.id)?.gate.clone(), tenant.revision))
    };
    let mut tick = tokio::time::interval(HEARTBEAT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let _ = store.upkeep.beat(clock.now_ms()).await;
        let _ = registry.channels().replicas().sync(clock.now_ms(), &gate).await;
    }
}

/// Keeps the clock close to the store's own clock or the machine's.
pub(super) async fn keep_time(store: Store, clock: Clock) {
    clock.keep(&*store.upkeep).await;
}

/// Compares again and again what must agree in the store, and logs and counts what was repaired.
pub(super) async fn reconcile(store: Store, clock: Clock, observe: Arc<Observe>) {
    let mut tick = tokio::time::interval(RECONCILE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Those of the start were logged then.
    let mut warned = store.upkeep.warnings().await;
    loop {
        tick.tick().await;
        // An error is an outage of the store, which is logged elsewhere.
        let Ok(found) = store.upkeep.reconcile(clock.now_ms()).await else { continue };
        observe.metrics.reconciled(&found);
        for problem in found.problems() {
            tracing::warn!("{problem}; repaired");
        }
        let warnings = store.upkeep.warnings().await;
        for warning in warnings.iter().filter(|new| !warned.contains(*new)) {
            tracing::warn!("{warning}");
        }
        warned = warnings;
    }
}

/// How long things are kept.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// Events, with their deliveries.
    pub(super) events: Duration,
    /// Hourly statistics.
    pub(super) stats: Duration,
}

/// Removes events past the retention, in short steps with rests between. When the cleanup is
/// behind, a rest is a share of the time of a step, so that events leave as fast as they come.
pub(super) async fn clean_up(store: Store, clock: Clock, kept: Kept) {
    let mut age = RetentionClock::new(kept.events);
    let [retention, stats_retention] =
        [kept.events, kept.stats].map(|kept| Ms::try_from(kept.as_millis()).unwrap_or(Ms::MAX / 4));
    let mut stats_forgotten = None::<Instant>;
    let (idle_min, idle_max) = CLEANUP_IDLE_MS;
    let idle = Duration::from_millis((retention / 4).clamp(idle_min, idle_max).unsigned_abs());
    loop {
        let began = Instant::now();
        let removed = match age.now(&store, clock.now_ms()).await {
            Ok(now) => {
                if stats_forgotten.is_none_or(|at| at.elapsed() >= STATS_FORGOTTEN_EVERY) {
                    stats_forgotten = Some(Instant::now());
                    // Repeated in time if the store is away now.
                    let _ = store.rollups.forget_rollups(now - stats_retention).await;
                }
                store.upkeep.tidy(now - retention, CLEANUP_STEP).await.unwrap_or(0)
            }
            Err(_) => 0,
        };
        let is_behind = removed >= CLEANUP_STEP as u64;
        let rest = if is_behind { CLEANUP_REST.min(began.elapsed() / 4) } else { idle };
        tokio::time::sleep(rest).await;
    }
}

/// The collection and the id under which the clock of the retention is stored.
const STORED: (&str, &str) = ("clock", "retention");

/// What "now" is for the retention. A clock that jumps ahead must not erase the ledger, so it may
/// only advance as elapsed time does, also over a restart. A jump is waited out: if it lasts, it
/// was a correction, or the server did not run.
struct RetentionClock {
    wait: Duration,
    /// The last time that was believed, and when.
    last: Option<(Ms, Instant)>,
    /// Since when the clock is ahead of it.
    jumped: Option<Instant>,
    stored: Option<Instant>,
}

impl RetentionClock {
    fn new(retention: Duration) -> Self {
        let wait = RETENTION_JUMP_WAIT.min(retention);
        Self { wait, last: None, jumped: None, stored: None }
    }

    /// The time to measure ages by, if the clock says `now`.
    async fn now(&mut self, store: &Store, now: Ms) -> Result<Ms> {
        if self.last.is_none() {
            let stored = store.records.get(STORED.0, STORED.1).await?;
            let stored =
                stored.and_then(|record| std::str::from_utf8(&record.doc).ok()?.parse().ok());
            self.last = Some((stored.unwrap_or(now), Instant::now()));
        }
        let believed = self.believed(now);
        if believed == now && self.stored.is_none_or(|at| at.elapsed() >= RETENTION_CLOCK_STORED) {
            let doc = now.to_string().into_bytes().into();
            store.records.put(STORED.0, STORED.1, doc, None, None).await?;
            self.stored = Some(Instant::now());
        }
        Ok(believed)
    }

    fn believed(&mut self, now: Ms) -> Ms {
        let (last, at) = self.last.unwrap_or((now, Instant::now()));
        let elapsed = Ms::try_from(at.elapsed().as_millis()).unwrap_or(0);
        let ahead = now - (last + elapsed);
        if ahead <= RETENTION_JUMP_MS {
            if self.jumped.take().is_some() {
                tracing::info!("the clock is back; old events are removed as usual");
            }
            self.last = Some((now, Instant::now()));
            return now;
        }
        let since = *self.jumped.get_or_insert_with(|| {
            tracing::warn!(
                minutes = ahead / 60_000,
                wait_s = self.wait.as_secs(),
                "the clock is ahead of the time that has passed since it was last stored; no event \
                 is removed for its age until this has lasted for a while"
            );
            Instant::now()
        });
        if since.elapsed() >= self.wait {
            self.jumped = None;
            self.last = Some((now, Instant::now()));
            return now;
        }
        last + elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Ms = 24 * 3_600_000;
    const T0: Ms = 1_900_000_000_000;

    fn clock() -> RetentionClock {
        let mut clock = RetentionClock::new(Duration::from_hours(30 * 24));
        clock.last = Some((T0, Instant::now()));
        clock
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_a_year_for_eleven_seconds_makes_nothing_old() {
        let mut clock = clock();
        assert_eq!(clock.believed(T0), T0);
        for second in 0..11 {
            let now = T0 + 366 * DAY + second * 1_000;
            assert_eq!(clock.believed(now), T0 + second * 1_000);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(clock.believed(T0 + 11_000), T0 + 11_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_that_lasts_is_believed_after_an_hour() {
        let mut clock = clock();
        assert_eq!(clock.believed(T0 + DAY), T0);
        tokio::time::advance(Duration::from_mins(59)).await;
        assert_eq!(clock.believed(T0 + DAY), T0 + 59 * 60_000);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(clock.believed(T0 + DAY), T0 + DAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_stop_and_a_clock_that_was_set_back_are_nothing_special() {
        let mut clock = clock();
        assert_eq!(clock.believed(T0 + 30 * 60_000), T0 + 30 * 60_000);
        assert_eq!(clock.believed(T0 - DAY), T0 - DAY);
        assert_eq!(clock.believed(T0), T0 - DAY, "and the way back is a jump");
    }
}
