//! Serves a lane in strict order: one attempt at a time, and the first delivery blocks the others
//! until it has an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Lane;
use super::round::{Round, attempt, update_of};
use crate::flow::{
    BUSY_CHECK_MS, EARLIER_WAIT_HERE_MS, EARLIER_WAIT_MAX_MS, EARLIER_WAIT_MIN_MS,
    NO_MEMORY_WAIT_MS,
};
use fanfare_store::{Head, Ms, Next, StoreError};

/// Serves the head of the queue again and again.
///
/// A delivery's due time is its arrival in the log, which may even lie in the future, and only
/// gives the order. A failed attempt does not change it, so the order never changes: the lane
/// waits, not the delivery.
pub(super) async fn serve(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let until = Instant::now() + round.context.options.slice;
    while !round.ends_for(lane) && Instant::now() < until {
        // One event is in memory at a time.
        let Some(mut held) = round.memory().await else {
            return Ok(Next::NotBefore(round.now_ms() + NO_MEMORY_WAIT_MS));
        };
        let item = match round.head(lane).await? {
            Head::None => return Ok(Next::NotBefore(round.now_ms())),
            Head::Ready(item) => item,
            Head::Early { due_ms } => match wait_for_earlier(round, due_ms).await {
                None => continue,
                Some(next) => return Ok(next),
            },
        };
        let _held = held.split(item.event.body.len());
        drop(held);
        let now = round.now_ms();
        let _permit = match lane.gate.enter(now).await {
            Ok(permit) => permit,
            Err(hold) => return Ok(Next::NotBefore(hold.until.unwrap_or(now + BUSY_CHECK_MS))),
        };
        let context = round.context;
        let end = attempt(lane, &item, context.clock, &*context.notices).await;
        let mut update = update_of(lane, &item, &end, round.now_ms());
        let wait = update.change.serve_ms();
        update.change = update.change.with_due(item.due_ms);
        round.record(vec![(item.event, update)]).await?;
        if let Some(at) = wait {
            return Ok(Next::NotBefore(at));
        }
    }
    Ok(Next::NotBefore(round.now_ms()))
}

/// An entry that arrived before the head was read, perhaps by another replica, and is not settled.
/// Usually that takes a moment, which the round waits for. Otherwise, or if others wait for the
/// round's place, the lane is served again later: the longer it takes, the less often.
async fn wait_for_earlier(round: &Round<'_>, due_ms: Ms) -> Option<Next> {
    let now = round.now_ms();
    let wait = ((now - due_ms) / 4).clamp(EARLIER_WAIT_MIN_MS, EARLIER_WAIT_MAX_MS);
    if wait > EARLIER_WAIT_HERE_MS || !round.has_room() {
        return Some(Next::NotBefore(now + wait.max(EARLIER_WAIT_HERE_MS)));
    }
    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
    None
}
