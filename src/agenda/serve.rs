//! Serves one claimed lane: chooses how. `direct`, `fifo` and `digest` do it.

use super::round::{Round, items};
use super::{FAR_MS, FoundLane, Mode, digest, direct, fifo};
use crate::flow::{NO_MEMORY_WAIT_MS, PAUSED_CHECK_MS, UNKNOWN_CHECK_MS, UNUSABLE_CHECK_MS};
use fanfare_store::{Next, Reason, StoreError};

/// Serves until there is nothing due, nothing may go, or the time slice is over. Returns when the
/// lane is to be served next.
pub(super) async fn serve(round: &Round<'_>) -> Result<Next, StoreError> {
    let (key, context) = (&round.claim.lane, round.context);
    let lane = match context.lanes.find(key).await? {
        FoundLane::There(lane) => lane,
        FoundLane::Unusable => {
            context.unknown_lanes.known(key);
            return Ok(Next::NotBefore(round.now_ms() + UNUSABLE_CHECK_MS));
        }
        FoundLane::Unknown => return serve_unknown(round).await,
    };
    context.unknown_lanes.known(key);
    let lane = if lane.suppressed().is_some() {
        // It may have been enabled a moment ago, and its suppressed deliveries replayed.
        context.lanes.refresh().await;
        context.lanes.current(key).unwrap_or(lane)
    } else {
        lane
    };
    if let Some(why) = lane.suppressed() {
        return suppress_all(round, &why, &lane.destination.channel).await;
    }
    if lane.paused {
        return Ok(Next::NotBefore(round.now_ms() + PAUSED_CHECK_MS));
    }
    match &lane.mode {
        Mode::Direct => direct::serve(round, &lane).await,
        Mode::Fifo => fifo::serve(round, &lane).await,
        Mode::Digest(calendar) => digest::serve(round, &lane, calendar).await,
    }
}

/// A lane that is not in this process's table.
async fn serve_unknown(round: &Round<'_>) -> Result<Next, StoreError> {
    let (key, context, now) = (&round.claim.lane, round.context, round.now_ms());
    if !context.unknown_lanes.is_removed(key, now) {
        return Ok(Next::NotBefore(now + UNKNOWN_CHECK_MS));
    }
    suppress_all(round, &Reason::DestinationRemoved, "").await
}

/// Suppresses everything that waits in the lane.
async fn suppress_all(
    round: &Round<'_>,
    reason: &Reason,
    channel: &str,
) -> Result<Next, StoreError> {
    loop {
        let Some(due) = round.look(FAR_MS, round.context.options.batch, &[]).await? else {
            return Ok(Next::NotBefore(round.now_ms() + NO_MEMORY_WAIT_MS));
        };
        if due.is_empty() || round.is_over() {
            return Ok(Next::WhenDue);
        }
        round.suppress(items(due), reason, channel).await?;
    }
}
