//! Strict order: one attempt at a time, and the first one blocks until it is delivered or dead.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Lane;
use super::gate::BUSY_LOOK_MS;
use super::serve::{Round, attempt, update_of};
use fanfare_store::{Head, Ms, Next, StoreError};

/// Serves the head of the queue again and again.
///
/// A delivery's due time is its arrival, and a failed attempt leaves it so: the order never
/// changes. The wait is the lane's, not the delivery's.
pub(super) async fn serve(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let until = Instant::now() + round.server.options.slice;
    while !round.ends(lane) && Instant::now() < until {
        let item = match round.head(lane).await? {
            Head::None => return Ok(Next::WhenDue),
            Head::Ready(item) => item,
            Head::Early { due_ms } => match wait_for_earlier(round, due_ms).await {
                None => continue,
                Some(next) => return Ok(next),
            },
        };
        let now = round.now_ms();
        let _permit = match lane.gate.enter(now) {
            Ok(permit) => permit,
            Err(hold) => return Ok(Next::NotBefore(hold.until.unwrap_or(now + BUSY_LOOK_MS))),
        };
        let server = round.server;
        let end = attempt(lane, &item, server.clock, &*server.notices).await;
        let mut update = update_of(lane, &item, &end, round.now_ms());
        let wait = update.change.serve_ms();
        update.change = update.change.with_due(item.due_ms);
        round.settle(vec![(item.event, update)]).await?;
        if let Some(at) = wait {
            return Ok(Next::NotBefore(at));
        }
    }
    Ok(Next::WhenDue)
}

/// Something that arrived before the head was read, by another replica perhaps, and is not settled.
/// Mostly that takes a moment, which is waited for here; what takes longer is looked at again later,
/// less often the longer it takes, and so is everything while others wait for the round's place.
async fn wait_for_earlier(round: &Round<'_>, due_ms: Ms) -> Option<Next> {
    const SHORTEST_MS: Ms = 2;
    const LONGEST_MS: Ms = 500;
    const LONGEST_HERE_MS: Ms = 50;
    let now = round.now_ms();
    let wait = ((now - due_ms) / 4).clamp(SHORTEST_MS, LONGEST_MS);
    if wait > LONGEST_HERE_MS || !round.server.has_room(&round.claim.lane.tenant) {
        return Some(Next::NotBefore(now + wait.max(LONGEST_HERE_MS)));
    }
    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
    None
}
