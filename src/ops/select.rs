//! Choosing deliveries, and putting them back into their queues or ending them.
//!
//! However many are chosen, a bounded number is held: they are gone through page by page, oldest
//! first, once to count and once to act.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::store::{
    DeliveryQuery, DeliveryRecord, DeliveryState, DeliveryUpdate, LaneKey, Ms, REPLAY, Result,
    Store,
};

/// Deliveries changed at once.
const BATCH: usize = 100;
/// Deliveries read at once.
const PAGE: usize = 500;

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The tenant.
    pub tenant: String,
    /// One delivery by its id; the rest is not looked at then.
    pub id: Option<String>,
    /// States.
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

/// How many are chosen: what a dry run shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub total: u64,
    /// By destination, state and reason.
    pub by: BTreeMap<(String, &'static str, String), u64>,
}

/// Counts what is chosen.
pub async fn count(store: &Store, selection: &Selection) -> Result<Counted> {
    let mut chosen = Chosen::new(store, selection);
    let mut counted = Counted::default();
    while let Some(delivery) = chosen.next().await? {
        let destination = delivery.destination.split('~').next().unwrap_or_default();
        let reason = delivery.state.reason().unwrap_or_default().to_owned();
        let key = (destination.to_owned(), delivery.state.word(), reason);
        *counted.by.entry(key).or_insert(0) += 1;
        counted.total += 1;
    }
    Ok(counted)
}

/// Puts chosen deliveries back into their queues, due now, their schedules from the beginning: at
/// most `rate` of them a second. `done` is told how many so far.
///
/// What is put back and ends again meanwhile is not chosen a second time.
pub async fn replay(
    store: &Store,
    selection: &Selection,
    now: Ms,
    rate: u32,
    done: &dyn Fn(u64),
) -> Result<u64> {
    let state = DeliveryState::Waiting { due_ms: now, serve_ms: now, reason: REPLAY.to_owned() };
    let ended = |d: &DeliveryRecord| !matches!(d.state, DeliveryState::Waiting { .. });
    write(store, selection, &Change { now, rate: Some(rate), wanted: &ended, state }, done).await
}

/// Ends chosen deliveries that wait; they are kept as suppressed and can be replayed.
pub async fn cancel(
    store: &Store,
    selection: &Selection,
    now: Ms,
    done: &dyn Fn(u64),
) -> Result<u64> {
    let state = DeliveryState::Suppressed { reason: "cancelled".to_owned() };
    let waits = |d: &DeliveryRecord| matches!(d.state, DeliveryState::Waiting { .. });
    write(store, selection, &Change { now, rate: None, wanted: &waits, state }, done).await
}

/// What becomes of those that are chosen.
struct Change<'a> {
    now: Ms,
    /// Most a second.
    rate: Option<u32>,
    /// Of the others nothing does.
    wanted: &'a (dyn Fn(&DeliveryRecord) -> bool + Sync),
    state: DeliveryState,
}

async fn write(
    store: &Store,
    selection: &Selection,
    change: &Change<'_>,
    done: &dyn Fn(u64),
) -> Result<u64> {
    let mut chosen = Chosen::new(store, selection);
    let mut changed = 0;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(delivery) = chosen.next().await?
        {
            if (change.wanted)(&delivery) {
                batch.push(delivery);
            }
        }
        let last = batch.len() < BATCH;
        let written = write_batch(store, &selection.tenant, batch, change).await?;
        changed += written;
        done(changed);
        if last {
            return Ok(changed);
        }
        if let Some(rate) = change.rate {
            let written = u32::try_from(written).unwrap_or(u32::MAX);
            tokio::time::sleep(Duration::from_secs(1) * written / rate.max(1)).await;
        }
    }
}

/// Changes them lane by lane; of each lane in the order given.
async fn write_batch(
    store: &Store,
    tenant: &str,
    batch: Vec<DeliveryRecord>,
    change: &Change<'_>,
) -> Result<u64> {
    let mut lanes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for delivery in batch {
        // Past its time: nothing to send any more.
        let Some(record) = store.ledger.event(tenant, &delivery.event).await? else { continue };
        let update = DeliveryUpdate {
            id: delivery.id,
            destination: delivery.destination.as_str().into(),
            channel: delivery.channel.as_str().into(),
            state: change.state.clone(),
            attempts: Vec::new(),
            at_ms: change.now,
        };
        lanes.entry(delivery.destination).or_default().push((record.event, update));
    }
    let mut written = 0;
    for (destination, updates) in lanes {
        let lane = LaneKey { tenant: tenant.into(), destination: destination.into() };
        written += updates.len() as u64;
        store.agenda.settle(&lane, updates).await?;
        store.agenda.reschedule(&lane, change.now).await?;
    }
    Ok(written)
}

/// Goes through what is chosen, oldest first.
struct Chosen<'a> {
    store: &'a Store,
    selection: &'a Selection,
    /// One a state, each in order; the earliest of their fronts is next.
    lists: Vec<List>,
    /// A delivery that was chosen by its id and not looked for yet.
    id: Option<&'a str>,
}

/// Deliveries of one state.
struct List {
    query: DeliveryQuery,
    front: VecDeque<DeliveryRecord>,
    is_at_end: bool,
}

impl<'a> Chosen<'a> {
    fn new(store: &'a Store, selection: &'a Selection) -> Self {
        let id = selection.id.as_deref();
        let list = |state: &String| List {
            query: DeliveryQuery {
                tenant: selection.tenant.clone(),
                state: Some(state.clone()),
                destination: selection.destination.clone(),
                environment: None,
                kind: selection.kind.clone(),
                from_ms: selection.from_ms,
                to_ms: selection.to_ms,
                oldest_first: true,
                cursor: None,
                limit: PAGE,
            },
            front: VecDeque::new(),
            is_at_end: false,
        };
        let lists = selection.states.iter().filter(|_| id.is_none()).map(list).collect();
        Self { store, selection, lists, id }
    }

    async fn next(&mut self) -> Result<Option<DeliveryRecord>> {
        if let Some(id) = self.id.take() {
            return self.by_id(id).await;
        }
        for list in &mut self.lists {
            list.fill(self.store, self.selection).await?;
        }
        let with_front = self.lists.iter_mut().filter(|list| !list.front.is_empty());
        let earliest = with_front.min_by_key(|list| list.front[0].received_ms);
        Ok(earliest.and_then(|list| list.front.pop_front()))
    }

    async fn by_id(&self, id: &str) -> Result<Option<DeliveryRecord>> {
        let id = fanfare_contract::DeliveryId::from(id);
        let Some((event, destination)) = id.parts() else { return Ok(None) };
        let record = self.store.ledger.event(&self.selection.tenant, event).await?;
        let mut found = record.into_iter().flat_map(|record| record.deliveries);
        Ok(found.find(|delivery| delivery.destination == destination))
    }
}

impl List {
    /// Reads on until there is a front, or the list has ended.
    async fn fill(&mut self, store: &Store, selection: &Selection) -> Result<()> {
        while self.front.is_empty() && !self.is_at_end {
            let page = store.ledger.deliveries(&self.query).await?;
            self.front.extend(page.items.into_iter().filter(|d| selection.is_error(d)));
            self.is_at_end = page.next.is_none();
            self.query.cursor = page.next;
        }
        Ok(())
    }
}

impl Selection {
    fn is_error(&self, delivery: &DeliveryRecord) -> bool {
        let Some(wanted) = &self.error else { return true };
        let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
        last == Some(wanted) || delivery.state.reason() == Some(wanted)
    }
}
