//! Writing outcomes of a lane's deliveries until they are written, or the store has said for good
//! that it will not have them.

use std::sync::Arc;

use fanfare_contract::Event;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use fanfare_store::{Agenda, Change, DeliveryUpdate, LaneKey, Result, StoreError};

/// How often what is refused for good is tried before it is given up.
const TRIES: u32 = 5;

/// Outcomes with their events.
type Updates = Vec<(Arc<Event>, DeliveryUpdate)>;

/// Writes outcomes. Waits for a store that is away, full or read-only for as long as it takes: what
/// was sent must not be forgotten. What it refuses for good holds up nothing: each update is then
/// tried alone, and one that is still refused is set aside as dead, with one line in the log.
///
/// Answers what was written, set aside or not; an error is the store's last word on one that
/// could not even be set aside, and so stays in its queue.
pub async fn settle_lane(agenda: &dyn Agenda, lane: &LaneKey, updates: Updates) -> Result<Updates> {
    if updates.is_empty() {
        return Ok(updates);
    }
    if write(agenda, lane, &updates).await.is_ok() {
        return Ok(updates);
    }
    let (mut written, mut last) = (Vec::with_capacity(updates.len()), Ok(()));
    for one in updates {
        match write_alone(agenda, lane, one).await {
            Ok(one) => written.push(one),
            Err(error) => last = Err(error),
        }
    }
    last.map(|()| written)
}

/// Tries for as long as the store is away. An error is its last word on this batch.
async fn write(agenda: &dyn Agenda, lane: &LaneKey, updates: &Updates) -> Result<()> {
    let mut trouble = Trouble::default();
    // Waits even while stopping: the grace time ends it.
    let never = CancellationToken::new();
    loop {
        match agenda.settle(lane, updates.clone()).await {
            Err(error) if error.is_temporary() => {
                trouble.wait("the ledger", &error, &never).await;
            }
            result => return result,
        }
    }
}

async fn write_alone(
    agenda: &dyn Agenda,
    lane: &LaneKey,
    (event, update): (Arc<Event>, DeliveryUpdate),
) -> Result<(Arc<Event>, DeliveryUpdate)> {
    let mut one = vec![(event, update)];
    let (mut pause, never) = (Trouble::default(), CancellationToken::new());
    let mut refusal = None::<StoreError>;
    for _ in 0..TRIES {
        let Err(error) = write(agenda, lane, &one).await else { return Ok(one.remove(0)) };
        pause.rest(&never).await;
        refusal = Some(error);
    }
    let (event, update) = one.remove(0);
    // Without what may be in the way: the attempt and what the receiver said.
    let aside = DeliveryUpdate { change: Change::SetAside, attempts: Vec::new(), ..update };
    let aside = vec![(event, aside)];
    let done = write(agenda, lane, &aside).await;
    let (tenant, destination) = (&*lane.tenant, &*lane.id);
    let id = aside[0].1.id.as_str();
    let error = refusal.map(|error| error.to_string()).unwrap_or_default();
    match done {
        Ok(()) => {
            tracing::error!(
                tenant,
                destination,
                delivery = id,
                error,
                "the store refuses an outcome for good; the delivery is set aside as dead"
            );
            Ok(aside.into_iter().next().expect("one was put in"))
        }
        Err(last) => {
            tracing::error!(
                tenant,
                destination,
                delivery = id,
                error,
                "the store refuses an outcome for good; its delivery stays in the queue"
            );
            Err(last)
        }
    }
}
