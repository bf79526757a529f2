//! What waits for a destination that no longer exists must not reach a new one with the same id: it
//! may have another owner. So it is suppressed before the new one takes effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_contract::{Event, LaneId};

use super::TenantSpec;
use fanfare_store::{
    Change, DeliveryQuery, DeliveryUpdate, LaneKey, Ms, Reason, Result, StateKind, Store,
};

/// Deliveries suppressed at once.
const BATCH: usize = 200;

/// Suppresses what still waits under the ids of destinations that `new` has and `old` has not, and,
/// if there was no tenant, under every id. To be called before `new` is written.
pub async fn suppress_former(
    store: &Store,
    old: Option<&TenantSpec>,
    new: &TenantSpec,
    now: Ms,
) -> Result<()> {
    let Some(old) = old else { return suppress(store, &new.id, None, now).await };
    let added = new
        .destinations
        .iter()
        .filter(|one| !old.destinations.iter().any(|before| before.id == one.id));
    for destination in added {
        suppress(store, &new.id, Some(LaneId::from(destination.id.as_str())), now).await?;
    }
    Ok(())
}

/// Suppresses what waits in the lanes of one destination, or in all lanes of a tenant.
async fn suppress(store: &Store, tenant: &str, lane: Option<LaneId>, now: Ms) -> Result<()> {
    let mut query = DeliveryQuery {
        tenant: tenant.to_owned(),
        state: Some(StateKind::Waiting),
        lane,
        limit: BATCH,
        ..DeliveryQuery::default()
    };
    let mut count = 0;
    loop {
        let page = store.ledger.deliveries(&query).await?;
        let mut lanes = BTreeMap::<LaneId, Vec<(Arc<Event>, DeliveryUpdate)>>::new();
        for delivery in page.items {
            // An event that was removed meanwhile has nothing left to suppress.
            let Some(record) = store.ledger.event(tenant, &delivery.event).await? else { continue };
            let update = DeliveryUpdate {
                id: delivery.id,
                lane: delivery.lane.clone(),
                channel: delivery.channel.as_str().into(),
                change: Change::Suppressed(Reason::DestinationRemoved),
                attempts: Vec::new(),
                at_ms: now,
            };
            lanes.entry(delivery.lane).or_default().push((record.event, update));
        }
        for (id, updates) in lanes {
            count += updates.len();
            let lane = LaneKey { tenant: tenant.into(), id };
            store.agenda.settle(&lane, updates).await?;
            // Without a queue, the lane loses its line when it is served next.
            store.agenda.reschedule(&lane, now).await?;
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    if count > 0 {
        tracing::info!(
            tenant,
            deliveries = count,
            "suppressed what waited for destinations that had these ids before"
        );
    }
    Ok(())
}
