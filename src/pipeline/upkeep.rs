//! What the router does beside the path: reports that it is alive, and removes old events.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::agenda::Clock;
use crate::flow::{CLEANUP_IDLE_MS, CLEANUP_REST, CLEANUP_STEP, HEARTBEAT_EVERY};
use fanfare_store::{Ms, Store};

/// Reports again and again that this process is alive.
pub(super) async fn beat(store: Store, clock: Clock) {
    let mut tick = tokio::time::interval(HEARTBEAT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let _ = store.upkeep.beat(clock.now_ms()).await;
    }
}

/// Removes events past the retention, in short steps with rests between. When the cleanup is
/// behind, a rest is a share of the time of a step, so that events leave as fast as they come.
pub(super) async fn clean_up(store: Store, clock: Clock, retention: Duration) {
    let retention = Ms::try_from(retention.as_millis()).unwrap_or(Ms::MAX / 4);
    let (idle_min, idle_max) = CLEANUP_IDLE_MS;
    let idle = Duration::from_millis((retention / 4).clamp(idle_min, idle_max).unsigned_abs());
    loop {
        let before = clock.now_ms() - retention;
        let began = Instant::now();
        let removed = store.upkeep.tidy(before, CLEANUP_STEP).await.unwrap_or(0);
        let is_behind = removed >= CLEANUP_STEP as u64;
        let rest = if is_behind { CLEANUP_REST.min(began.elapsed() / 4) } else { idle };
        tokio::time::sleep(rest).await;
    }
}
