//! Serves a lane as digests: all deliveries that are due at one tick become one message.
//!
//! A delivery for a digest is due at the first tick after its event arrived. Deliveries with the
//! same due time are one digest, so the queue determines its content: after a crash or a failed
//! attempt the same events are sent again under the same id. Late deliveries (their events were
//! received before the tick and settled after it) become a digest of their own.

use std::sync::Arc;

use fanfare_contract::{Content, Delivery, DeliveryId, Digest, Resend};
use sha2::{Digest as _, Sha256};

use super::round::{Round, update_of};
use super::{Calendar, Lane, run_attempt};
use crate::flow::{
    BUSY_CHECK_MS, DIGEST_BYTES, DIGEST_READ_EXTRA, DIGEST_READ_EXTRA_BYTES, MEMORY_WAIT,
    NO_MEMORY_WAIT_MS,
};
use fanfare_store::{Look, Next, StoreError, WaitingItem};

/// Sends the digests that are due, oldest first.
pub(super) async fn serve(
    round: &Round<'_>,
    lane: &Arc<Lane>,
    calendar: &Calendar,
) -> Result<Next, StoreError> {
    while !round.ends_for(lane) {
        let max = round.context.options.digest_events;
        // Always for a whole digest: a repeat must hold the same events.
        let (tenant, memory) = (&lane.key.tenant, &round.context.memory);
        let bytes = DIGEST_BYTES + DIGEST_READ_EXTRA_BYTES;
        let Some(mut reserved) = memory.reserve(tenant, bytes, MEMORY_WAIT).await else {
            return Ok(Next::NotBefore(round.now_ms() + NO_MEMORY_WAIT_MS));
        };
        let look = Look { max: max.saturating_add(DIGEST_READ_EXTRA), bytes };
        let items = one_digest(round.due_within(lane, look).await?, max);
        let _held = reserved.split(bytes_of(&items));
        drop(reserved);
        if items.is_empty() {
            return Ok(Next::WhenDue);
        }
        let now = round.now_ms();
        let _permit = match lane.gate.enter(now).await {
            Ok(permit) => permit,
            Err(hold) => return Ok(Next::NotBefore(hold.until.unwrap_or(now + BUSY_CHECK_MS))),
        };
        if let Some(at) = send(round, lane, calendar, &items).await? {
            return Ok(Next::NotBefore(at));
        }
    }
    Ok(Next::WhenDue)
}

/// The deliveries of one message, at most `max` and within [`DIGEST_BYTES`]: those of the same tick,
/// and on a later attempt those that were part of the first one.
fn one_digest(mut items: Vec<WaitingItem>, max: usize) -> Vec<WaitingItem> {
    let Some(tick) = items.first().map(|item| item.due_ms) else { return items };
    items.retain(|item| item.due_ms == tick);
    if items.iter().any(|item| item.attempts > 0) {
        items.retain(|item| item.attempts > 0);
    }
    let mut bytes = 0;
    let mut fits = |item: &WaitingItem| {
        bytes += item.event.body.len();
        bytes <= DIGEST_BYTES
    };
    // One event is always sent, whatever its size.
    let count = items.iter().take_while(|item| fits(item)).count().max(1);
    items.truncate(max.min(count));
    items
}

fn bytes_of(items: &[WaitingItem]) -> usize {
    items.iter().map(|item| item.event.body.len()).sum()
}

/// Makes one attempt. Returns the time of the next one, if there is one.
async fn send(
    round: &Round<'_>,
    lane: &Lane,
    calendar: &Calendar,
    items: &[WaitingItem],
) -> Result<Option<i64>, StoreError> {
    let digest = gather(round, lane, calendar, items).await?;
    let digest_id = digest.id.to_string();
    let delivery = Delivery {
        id: DeliveryId::derive(&digest.id, &lane.key.id),
        destination: lane.destination.clone(),
        content: Content::Digest(Arc::new(digest)),
        attempt: items.iter().map(|item| item.attempts).max().unwrap_or(0) + 1,
        at_ms: round.context.clock.wall_ms(),
        resend: Resend::default(),
    };
    let mut end = run_attempt(lane, delivery, round.context.clock, &*round.context.notices).await;
    for attempt in end.resent.iter_mut().chain(&mut end.attempt) {
        attempt.digest = Some(digest_id.clone());
    }
    let again = end.change.serve_ms();
    let updates = items
        .iter()
        .map(|item| {
            let mut update = update_of(lane, item, &end, round.now_ms());
            update.change = update.change.with_due(item.due_ms);
            (item.event.clone(), update)
        })
        .collect();
    round.record(updates).await?;
    Ok(again)
}

async fn gather(
    round: &Round<'_>,
    lane: &Lane,
    calendar: &Calendar,
    items: &[WaitingItem],
) -> Result<Digest, StoreError> {
    let first = &items[0];
    let to_ms = first.due_ms;
    let from_ms = calendar.before(to_ms).unwrap_or(first.event.received_ms);
    let (suppressed, failed) = round.context.store.ledger.tally(&lane.key, from_ms, to_ms).await?;
    Ok(Digest {
        id: digest_id(lane, to_ms, &first.event.id).into(),
        from_ms,
        to_ms,
        timezone: calendar.zone().to_owned(),
        events: items.iter().map(|item| item.event.clone()).collect(),
        suppressed,
        failed,
    })
}

/// Derived from the lane, the tick and the first event: the same on every attempt.
fn digest_id(lane: &Lane, tick: i64, first: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&*lane.key.tenant, &*lane.key.id, &tick.to_string(), first] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("dig_{}", hex::encode(&hash.finalize()[..12]))
}
