//! Choosing deliveries, and putting them back into their queues or ending them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::{
    DeliveryQuery, DeliveryRecord, DeliveryState, DeliveryUpdate, LaneKey, Ms, REPLAY, Result,
    Store,
};

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The tenant.
    pub tenant: String,
    /// One delivery by its id; the rest is not looked at then.
    pub id: Option<String>,
    /// States; none is dead and suppressed for a replay, waiting for a cancel.
    pub states: Vec<String>,
    /// A destination, with or without a lane.
    pub destination: Option<String>,
    /// Exact event type.
    pub kind: Option<String>,
    /// Code of the last failure, or reason of the state.
    pub error: Option<String>,
    /// Event received at or after.
    pub from_ms: Option<Ms>,
    /// Event received before.
    pub to_ms: Option<Ms>,
}

/// Chosen deliveries, oldest first.
#[derive(Debug, Default)]
pub struct Picked {
    /// Them.
    pub deliveries: Vec<DeliveryRecord>,
}

impl Picked {
    /// How many by destination, state and reason: what a dry run shows.
    pub fn counts(&self) -> BTreeMap<(String, &'static str, String), usize> {
        let mut counts = BTreeMap::new();
        for delivery in &self.deliveries {
            let destination = delivery.destination.split('~').next().unwrap_or_default();
            let reason = delivery.state.reason().unwrap_or_default().to_owned();
            let key = (destination.to_owned(), delivery.state.word(), reason);
            *counts.entry(key).or_insert(0) += 1;
        }
        counts
    }
}

/// Finds them in the ledger, page by page.
pub async fn pick(store: &Store, selection: &Selection) -> Result<Picked> {
    if let Some(id) = &selection.id {
        return one(store, selection, id).await;
    }
    let mut deliveries = Vec::new();
    for state in &selection.states {
        let mut query = DeliveryQuery {
            tenant: selection.tenant.clone(),
            state: Some(state.clone()),
            destination: selection.destination.clone(),
            environment: None,
            kind: selection.kind.clone(),
            from_ms: selection.from_ms,
            to_ms: selection.to_ms,
            cursor: None,
            limit: 1_000,
        };
        loop {
            let page = store.ledger.deliveries(&query).await?;
            deliveries.extend(page.items.into_iter().filter(|d| selection.is_error(d)));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
    }
    // The ledger lists the newest first; what was missed is sent in its order.
    deliveries.sort_by_key(|delivery| delivery.received_ms);
    Ok(Picked { deliveries })
}

async fn one(store: &Store, selection: &Selection, id: &str) -> Result<Picked> {
    let id = fanfare_contract::DeliveryId::from(id);
    let Some((event, destination)) = id.parts() else { return Ok(Picked::default()) };
    let record = store.ledger.event(&selection.tenant, event).await?;
    let found = record.into_iter().flat_map(|record| record.deliveries);
    Ok(Picked { deliveries: found.filter(|d| d.destination == destination).collect() })
}

impl Selection {
    fn is_error(&self, delivery: &DeliveryRecord) -> bool {
        let Some(wanted) = &self.error else { return true };
        let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
        last == Some(wanted) || delivery.state.reason() == Some(wanted)
    }
}

/// Puts chosen deliveries back into their queues, due now, their schedules from the beginning.
/// `pace` is the rest between batches of 100; `done` is told how many so far.
pub async fn replay(
    store: &Store,
    tenant: &str,
    picked: Picked,
    now: Ms,
    pace: Duration,
    done: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let again = |_: &DeliveryRecord| DeliveryState::Waiting {
        due_ms: now,
        serve_ms: now,
        reason: REPLAY.to_owned(),
    };
    let ended = |d: &DeliveryRecord| !matches!(d.state, DeliveryState::Waiting { .. });
    write(store, tenant, picked, now, pace, &ended, &again, done).await
}

/// Ends chosen deliveries that wait; they are kept as suppressed and can be replayed.
pub async fn cancel(
    store: &Store,
    tenant: &str,
    picked: Picked,
    now: Ms,
    done: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let state = |_: &DeliveryRecord| DeliveryState::Suppressed { reason: "cancelled".to_owned() };
    let waits = |d: &DeliveryRecord| matches!(d.state, DeliveryState::Waiting { .. });
    write(store, tenant, picked, now, Duration::ZERO, &waits, &state, done).await
}

/// Deliveries changed at once.
const BATCH: usize = 100;

#[expect(clippy::too_many_arguments, reason = "the shared body of two short functions above")]
async fn write(
    store: &Store,
    tenant: &str,
    picked: Picked,
    now: Ms,
    pace: Duration,
    wanted: &(dyn Fn(&DeliveryRecord) -> bool + Sync),
    state: &(dyn Fn(&DeliveryRecord) -> DeliveryState + Sync),
    done: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let mut lanes: BTreeMap<String, Vec<DeliveryRecord>> = BTreeMap::new();
    for delivery in picked.deliveries.into_iter().filter(|delivery| wanted(delivery)) {
        lanes.entry(delivery.destination.clone()).or_default().push(delivery);
    }
    let mut changed = 0;
    for (destination, deliveries) in lanes {
        let lane = LaneKey { tenant: tenant.into(), destination: destination.into() };
        for batch in deliveries.chunks(BATCH) {
            let updates = updates(store, &lane, batch, now, state).await?;
            changed += updates.len() as u64;
            store.agenda.settle(&lane, updates).await?;
            store.agenda.reschedule(&lane, now).await?;
            done(changed);
            tokio::time::sleep(pace).await;
        }
    }
    Ok(changed)
}

/// The same change to each delivery of a batch that is still there.
async fn updates(
    store: &Store,
    lane: &LaneKey,
    batch: &[DeliveryRecord],
    now: Ms,
    state: &(dyn Fn(&DeliveryRecord) -> DeliveryState + Sync),
) -> Result<Vec<(std::sync::Arc<fanfare_contract::Event>, DeliveryUpdate)>> {
    let mut updates = Vec::with_capacity(batch.len());
    for delivery in batch {
        // Past its time: nothing to send any more.
        let Some(record) = store.ledger.event(&lane.tenant, &delivery.event).await? else {
            continue;
        };
        let update = DeliveryUpdate {
            id: delivery.id.clone(),
            destination: lane.destination.clone(),
            channel: delivery.channel.as_str().into(),
            state: state(delivery),
            attempts: Vec::new(),
            at_ms: now,
        };
        updates.push((record.event, update));
    }
    Ok(updates)
}

/// Makes everything that waits for a destination due at one and the same moment, so that a digest
/// goes out now as one message; how many.
pub async fn send_now(store: &Store, tenant: &str, destination: &str, now: Ms) -> Result<u64> {
    let selection = Selection {
        tenant: tenant.to_owned(),
        states: vec!["waiting".to_owned()],
        destination: Some(destination.to_owned()),
        ..Selection::default()
    };
    let picked = pick(store, &selection).await?;
    let mut lanes: BTreeMap<String, Vec<DeliveryRecord>> = BTreeMap::new();
    for delivery in picked.deliveries {
        lanes.entry(delivery.destination.clone()).or_default().push(delivery);
    }
    let mut moved = 0;
    for (destination, deliveries) in lanes {
        let lane = LaneKey { tenant: tenant.into(), destination: destination.into() };
        for batch in deliveries.chunks(BATCH) {
            let state = |d: &DeliveryRecord| DeliveryState::Waiting {
                due_ms: now,
                // Not served before all of them are due.
                serve_ms: now + 60_000,
                reason: d.state.reason().unwrap_or("digest").to_owned(),
            };
            let updates = updates(store, &lane, batch, now, &state).await?;
            moved += updates.len() as u64;
            store.agenda.settle(&lane, updates).await?;
        }
        store.agenda.reschedule(&lane, now).await?;
    }
    Ok(moved)
}
