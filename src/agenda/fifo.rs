//! Strict order: one attempt at a time, and the first one blocks until it is delivered or dead.

use std::sync::Arc;

use tokio::time::Instant;

use super::Lane;
use super::gate::BUSY_LOOK_MS;
use super::serve::{Round, attempt, update_of};
use crate::store::{DeliveryState, Next, StoreError};

/// Serves the head of the queue again and again.
///
/// A delivery's due time is its arrival, and a failed attempt leaves it so: the order never
/// changes. The wait is the lane's, not the delivery's.
pub(super) async fn serve(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let until = Instant::now() + round.server.options.slice;
    while !round.ends(lane) && Instant::now() < until {
        let now = round.now_ms();
        let Some(item) = round.due(lane, 1).await?.pop() else { return Ok(Next::WhenDue) };
        let _permit = match lane.gate.enter(now) {
            Ok(permit) => permit,
            Err(hold) => return Ok(Next::NotBefore(hold.until.unwrap_or(now + BUSY_LOOK_MS))),
        };
        let server = round.server;
        let end = attempt(lane, &item, server.clock, &*server.notices).await;
        let mut update = update_of(lane, &item, &end, round.now_ms());
        let mut wait = None;
        if let DeliveryState::Waiting { due_ms, serve_ms, .. } = &mut update.state {
            wait = Some(*serve_ms);
            *due_ms = item.due_ms;
        }
        round.settle(vec![(item.event, update)]).await?;
        if let Some(at) = wait {
            return Ok(Next::NotBefore(at));
        }
    }
    Ok(Next::WhenDue)
}
