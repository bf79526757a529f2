//! Records outcomes of a lane's deliveries in the store.

use std::sync::Arc;

use fanfare_contract::Event;
use futures::future::BoxFuture;

use crate::persist::{BatchWrite, Written, kill_refused, write_batch};
use fanfare_store::{Agenda, DeliveryUpdate, LaneKey, Result, StoreError};

/// Outcomes with their events.
pub type Outcomes = Vec<(Arc<Event>, DeliveryUpdate)>;

/// Records outcomes. Waits for a store that is away for as long as it takes, even while stopping
/// (the grace time ends it): what was sent must not be forgotten. A delivery whose outcome the
/// store refuses for good is set aside as dead.
///
/// Returns what was recorded, set aside or not. An error means that a delivery could not even be
/// set aside: it stays in its queue.
pub async fn record_outcomes(
    agenda: &dyn Agenda,
    lane: &LaneKey,
    mut outcomes: Outcomes,
) -> Result<Outcomes> {
    if outcomes.is_empty() {
        return Ok(outcomes);
    }
    match write_batch(&LaneOutcomes { agenda, lane }, &mut outcomes).await {
        Written::Whole(()) => Ok(outcomes),
        Written::Each(results) => {
            results.into_iter().collect::<Result<Vec<()>>>().map(|_| outcomes)
        }
    }
}

struct LaneOutcomes<'a> {
    agenda: &'a dyn Agenda,
    lane: &'a LaneKey,
}

impl BatchWrite for LaneOutcomes<'_> {
    type Item = (Arc<Event>, DeliveryUpdate);
    type Answer = ();

    fn write<'a>(&'a self, outcomes: &'a [Self::Item]) -> BoxFuture<'a, Result<()>> {
        self.agenda.settle(self.lane, outcomes.to_vec())
    }

    fn set_aside(&self, (_, update): &mut Self::Item) -> bool {
        kill_refused(update);
        true
    }

    fn log_refused(&self, (_, update): &Self::Item, error: &StoreError, is_set_aside: bool) {
        let (tenant, destination) = (&*self.lane.tenant, &*self.lane.id);
        let delivery = update.id.as_str();
        if is_set_aside {
            tracing::error!(
                tenant, destination, delivery, %error,
                "the store refuses an outcome for good; the delivery is set aside as dead"
            );
        } else {
            tracing::error!(
                tenant, destination, delivery, %error,
                "the store refuses an outcome for good; its delivery stays in the queue"
            );
        }
    }
}
