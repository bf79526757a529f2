//! Choosing deliveries, and putting them back into their queues or ending them.
//!
//! However many are chosen, a bounded number is held: they are gone through page by page, oldest
//! first, once to count and once to act.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fanfare_contract::LaneId;
use fanfare_store::{
    Change, DeliveryQuery, DeliveryRecord, DeliveryUpdate, LaneKey, Ms, Reason, Result, StateKind,
    Store,
};

/// Deliveries changed at once.
const BATCH: usize = 100;
/// Deliveries read at once.
const PAGE: usize = 500;
/// What is left is counted up to here.
const COUNTED_ON: u64 = 10_000;

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The tenant.
    pub tenant: String,
    /// One delivery by its id; the rest is not looked at then.
    pub id: Option<String>,
    /// States.
    pub states: Vec<StateKind>,
    /// Through this lane, or through any lane of this destination.
    pub lane: Option<LaneId>,
    /// Exact event type.
    pub kind: Option<String>,
    /// Code of the last failure, or reason of the state.
    pub error: Option<String>,
    /// Event received at or after.
    pub from_ms: Option<Ms>,
    /// Event received before.
    pub to_ms: Option<Ms>,
    /// Only those that were suppressed because their destination was disabled.
    pub only_disabled: bool,
    /// Last changed before: what an earlier part of the same work has put back is not chosen again.
    pub changed_before_ms: Option<Ms>,
    /// Most that are changed at once; none is all.
    pub most: Option<u64>,
}

/// Deliveries by destination, state and reason.
pub type Kinds = BTreeMap<(String, StateKind, Option<Reason>), u64>;

/// How many are chosen: what a dry run shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub total: u64,
    /// By destination, state and reason.
    pub by: Kinds,
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// How many.
    pub count: u64,
    /// By destination, and by the state and reason that they had.
    pub by: Kinds,
    /// Chosen as well, and not changed because there were more than `most`; counted up to 10,000.
    pub left: u64,
    /// Of these lanes.
    lanes: BTreeSet<LaneId>,
}

fn kind(delivery: &DeliveryRecord) -> (String, StateKind, Option<Reason>) {
    let destination = delivery.lane.destination().to_owned();
    (destination, delivery.state.kind(), delivery.state.reason().cloned())
}

/// Counts what is chosen.
pub async fn count(store: &Store, selection: &Selection) -> Result<Counted> {
    let mut chosen = Chosen::new(store, selection);
    let mut counted = Counted::default();
    while let Some(delivery) = chosen.next().await? {
        *counted.by.entry(kind(&delivery)).or_insert(0) += 1;
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
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let change = Change::Replayed { due_ms: now };
    let ended = |d: &DeliveryRecord| !d.state.is_waiting();
    let work = Work { now, serve_ms: now, rate: Some(rate), wanted: &ended, change };
    write(store, selection, &work, done).await
}

/// Ends chosen deliveries that wait; they are kept as suppressed and can be replayed.
pub async fn cancel(
    store: &Store,
    selection: &Selection,
    now: Ms,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let waits = |d: &DeliveryRecord| d.state.is_waiting();
    let change = Change::Cancelled;
    let work = Work { now, serve_ms: now, rate: None, wanted: &waits, change };
    write(store, selection, &work, done).await
}

/// Makes everything that waits for a destination due at one and the same moment, so that a digest
/// goes out now as one message; how many.
pub async fn send_now(store: &Store, tenant: &str, destination: &str, now: Ms) -> Result<u64> {
    let selection = Selection {
        tenant: tenant.to_owned(),
        states: vec![StateKind::Waiting],
        lane: Some(destination.into()),
        ..Selection::default()
    };
    // Not served before all of them are due.
    let serve_ms = now + 60_000;
    let change = Change::Queued { due_ms: now, serve_ms, reason: Reason::Digest };
    let work = Work { now, serve_ms, rate: None, wanted: &|_| true, change };
    let written = write(store, &selection, &work, &|_| ()).await?;
    for id in written.lanes {
        let lane = LaneKey { tenant: tenant.into(), id };
        store.agenda.reschedule(&lane, now).await?;
    }
    Ok(written.count)
}

/// What is done to those that are chosen.
struct Work<'a> {
    now: Ms,
    /// When their lanes may be served because of it.
    serve_ms: Ms,
    /// Most a second.
    rate: Option<u32>,
    /// Of the others nothing does.
    wanted: &'a (dyn Fn(&DeliveryRecord) -> bool + Sync),
    change: Change,
}

async fn write(
    store: &Store,
    selection: &Selection,
    work: &Work<'_>,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Changed> {
    let mut chosen = Chosen::new(store, selection);
    let mut changed = Changed::default();
    loop {
        let before = changed.count;
        let left = selection.most.unwrap_or(u64::MAX).saturating_sub(changed.count);
        let size = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size
            && let Some(delivery) = chosen.next().await?
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
            changed.left = if full { chosen.count_on(work.wanted).await? } else { 0 };
            return Ok(changed);
        }
        if let Some(rate) = work.rate {
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
    work: &Work<'_>,
    changed: &mut Changed,
) -> Result<()> {
    let mut lanes: BTreeMap<LaneId, Vec<_>> = BTreeMap::new();
    for delivery in batch {
        // Past its time: nothing to send any more.
        let Some(record) = store.ledger.event(tenant, &delivery.event).await? else { continue };
        *changed.by.entry(kind(&delivery)).or_insert(0) += 1;
        let update = DeliveryUpdate {
            id: delivery.id,
            lane: delivery.lane.clone(),
            channel: delivery.channel.as_str().into(),
            change: work.change.clone(),
            attempts: Vec::new(),
            at_ms: work.now,
        };
        lanes.entry(delivery.lane).or_default().push((record.event, update));
    }
    for (id, updates) in lanes {
        let lane = LaneKey { tenant: tenant.into(), id: id.clone() };
        changed.count += updates.len() as u64;
        changed.lanes.insert(id);
        store.agenda.settle(&lane, updates).await?;
        store.agenda.reschedule(&lane, work.serve_ms).await?;
    }
    Ok(())
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
        let list = |state: &StateKind| List {
            query: DeliveryQuery {
                tenant: selection.tenant.clone(),
                state: Some(*state),
                lane: selection.lane.clone(),
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

    /// Goes on and only counts, up to a bound.
    async fn count_on(&mut self, wanted: &(dyn Fn(&DeliveryRecord) -> bool + Sync)) -> Result<u64> {
        let mut count = 0;
        while count < COUNTED_ON
            && let Some(delivery) = self.next().await?
        {
            count += u64::from(wanted(&delivery));
        }
        Ok(count)
    }

    async fn by_id(&self, id: &str) -> Result<Option<DeliveryRecord>> {
        let id = fanfare_contract::DeliveryId::from(id);
        let Some((event, lane)) = id.parts() else { return Ok(None) };
        let record = self.store.ledger.event(&self.selection.tenant, event).await?;
        let mut found = record.into_iter().flat_map(|record| record.deliveries);
        Ok(found.find(|delivery| delivery.lane == lane))
    }
}

impl List {
    /// Reads on until there is a front, or the list has ended.
    async fn fill(&mut self, store: &Store, selection: &Selection) -> Result<()> {
        while self.front.is_empty() && !self.is_at_end {
            let page = store.ledger.deliveries(&self.query).await?;
            self.front.extend(page.items.into_iter().filter(|d| selection.takes(d)));
            self.is_at_end = page.next.is_none();
            self.query.cursor = page.next;
        }
        Ok(())
    }
}

impl Selection {
    fn takes(&self, delivery: &DeliveryRecord) -> bool {
        let reason = delivery.state.reason();
        if self.only_disabled && !reason.is_some_and(Reason::is_disabled) {
            return false;
        }
        if self.changed_before_ms.is_some_and(|before| delivery.updated_ms >= before) {
            return false;
        }
        let Some(wanted) = &self.error else { return true };
        let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
        last == Some(wanted) || reason.is_some_and(|reason| reason.as_text() == wanted.as_str())
    }
}
