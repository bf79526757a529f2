//! Replays or cancels selected deliveries, batch by batch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::select::{Kinds, Selected, Selection, kind};
use crate::tenant::{Target, Tenant};
use fanfare_contract::{DeliveryId, LaneId};
use fanfare_store::{
    Change, DeliveryRecord, DeliveryUpdate, EventRecord, LaneKey, Ms, Reason, Result, StateKind,
    Store,
};

/// Deliveries changed at once.
const BATCH: usize = 100;

/// The lanes that a tenant's destinations have now, by destination. Recipients can have changed
/// since a delivery failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentLanes(BTreeMap<String, Vec<LaneId>>);

impl PresentLanes {
    /// The lanes of a compiled document.
    pub fn of(tenant: &Tenant) -> Self {
        let lanes = |target: &Target| target.lanes.iter().map(|lane| lane.key.id.clone()).collect();
        Self(tenant.targets.iter().map(|target| (target.id.to_string(), lanes(target))).collect())
    }

    /// Where a delivery of this event goes now: to its own lane or, if that no longer exists, to
    /// the destination's present recipients that do not have the event yet.
    fn of_delivery(&self, delivery: &DeliveryRecord, event: &EventRecord) -> Vec<LaneId> {
        let lanes = self.0.get(delivery.lane.destination());
        let lanes = lanes.map(Vec::as_slice).unwrap_or_default();
        if lanes.contains(&delivery.lane) {
            return vec![delivery.lane.clone()];
        }
        let has = |lane: &&LaneId| event.deliveries.iter().any(|other| other.lane == **lane);
        lanes.iter().filter(|lane| !has(lane)).cloned().collect()
    }
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The number of changed deliveries.
    pub count: u64,
    /// The number of selected deliveries with nowhere to go: their destination was removed, or its
    /// present recipients have the event.
    pub skipped: u64,
    /// By destination, and by the state and reason before the change.
    pub by: Kinds,
    /// The number of selected deliveries that exceeded `most`, counted up to 10,000.
    pub left: u64,
    /// Their lanes.
    pub lanes: BTreeSet<LaneId>,
}

/// Puts the selected deliveries back into their queues, due now, with their retry schedules from
/// the beginning, at most `rate` per second. Calls `done` with the number so far. A delivery whose
/// recipient was removed goes to the `present` ones.
///
/// A delivery that is put back and fails again meanwhile is not selected a second time.
pub async fn replay(
    store: &Store,
    selection: &Selection,
    present: &PresentLanes,
    now: Ms,
    rate: u32,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let change = Change::Replayed { due_ms: now };
    let ended = |d: &DeliveryRecord| !d.state.is_waiting();
    let (rate, present) = (Some(rate), Some(present));
    let work = Work { now, serve_ms: now, rate, wanted: &ended, change, present };
    write(store, selection, &work, done).await
}

/// Cancels the selected deliveries that wait. They become suppressed and can be replayed.
pub async fn cancel(
    store: &Store,
    selection: &Selection,
    now: Ms,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let waits = |d: &DeliveryRecord| d.state.is_waiting();
    let change = Change::Cancelled;
    let work = Work { now, serve_ms: now, rate: None, wanted: &waits, change, present: None };
    write(store, selection, &work, done).await
}

/// Makes all waiting deliveries of a destination due at the same moment, so that a digest is sent
/// now as one message. Returns their number.
pub async fn send_now(store: &Store, tenant: &str, destination: &str, now: Ms) -> Result<u64> {
    let selection = Selection {
        tenant: tenant.to_owned(),
        states: vec![StateKind::Waiting],
        lane: Some(destination.into()),
        ..Selection::default()
    };
    // Serve the lane only after all of its deliveries are due.
    let serve_ms = now + 60_000;
    let change = Change::Queued { due_ms: now, serve_ms, reason: Reason::Digest };
    let work = Work { now, serve_ms, rate: None, wanted: &|_| true, change, present: None };
    let written = write(store, &selection, &work, &|_| ()).await?;
    for id in written.lanes {
        let lane = LaneKey { tenant: tenant.into(), id };
        store.agenda.reschedule(&lane, now).await?;
    }
    Ok(written.count)
}

/// The work to do with the selected deliveries.
struct Work<'a> {
    now: Ms,
    /// When their lanes may be served.
    serve_ms: Ms,
    /// Most deliveries per second.
    rate: Option<u32>,
    /// Which of the selected deliveries to change.
    wanted: &'a (dyn Fn(&DeliveryRecord) -> bool + Sync),
    change: Change,
    /// Where they go. `None`: each stays in its lane.
    present: Option<&'a PresentLanes>,
}

/// Changes the selected deliveries, batch by batch.
async fn write(
    store: &Store,
    selection: &Selection,
    work: &Work<'_>,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let mut selected = Selected::new(store, selection);
    let mut changed = Changed::default();
    loop {
        let before = changed.count;
        let left = selection.most.unwrap_or(u64::MAX).saturating_sub(before);
        let size = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size
            && let Some(delivery) = selected.next().await?
        {
            if (work.wanted)(&delivery) {
                batch.push(delivery);
            }
        }
        let (last, full) = (batch.len() < BATCH, batch.len() == size);
        write_batch(store, &selection.tenant, batch, work, &mut changed).await?;
        let written = changed.count - before;
        done(changed.count);
        if last {
            changed.left = if full { selected.count_rest(work.wanted).await? } else { 0 };
            return Ok(changed);
        }
        if let Some(rate) = work.rate {
            let written = u32::try_from(written).unwrap_or(u32::MAX);
            tokio::time::sleep(Duration::from_secs(1) * written / rate.max(1)).await;
        }
    }
}

/// Changes a batch lane by lane. Within a lane, the order is kept.
async fn write_batch(
    store: &Store,
    tenant: &str,
    batch: Vec<DeliveryRecord>,
    work: &Work<'_>,
    changed: &mut Changed,
) -> Result<()> {
    let mut lanes: BTreeMap<LaneId, Vec<_>> = BTreeMap::new();
    for delivery in batch {
        // The event's retention period has ended, so there is nothing left to send.
        let Some(record) = store.ledger.event(tenant, &delivery.event).await? else { continue };
        let to = match work.present {
            Some(present) => present.of_delivery(&delivery, &record),
            None => vec![delivery.lane.clone()],
        };
        if to.is_empty() {
            changed.skipped += 1;
            continue;
        }
        *changed.by.entry(kind(&delivery)).or_insert(0) += 1;
        changed.count += 1;
        for lane in to {
            let update = DeliveryUpdate {
                id: DeliveryId::derive(&delivery.event, &lane),
                lane: lane.clone(),
                channel: delivery.channel.as_str().into(),
                change: work.change.clone(),
                attempts: Vec::new(),
                at_ms: work.now,
            };
            lanes.entry(lane).or_default().push((record.event.clone(), update));
        }
    }
    for (id, updates) in lanes {
        let lane = LaneKey { tenant: tenant.into(), id: id.clone() };
        changed.lanes.insert(id);
        store.agenda.settle(&lane, updates).await?;
        store.agenda.reschedule(&lane, work.serve_ms).await?;
    }
    Ok(())
}
