//! The second look: what did not add up, as it is a moment later.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Walk, add, problem};
use fanfare_contract::LaneId;
use fanfare_store::{Counts, DeliveryQuery, LaneKey, Ms, Result, StateKind, Store};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Looks at a range, or at a queue, before it is said that it does not add up.
const LOOKS: usize = 5;
/// Looks at one millisecond's events, which cannot be parted further.
const LOOKS_AT_LAST: usize = 40;
/// Ranges with fewer events are looked at several times before they are parted.
const SMALL: u64 = 1_000;

/// Events of a page that were suspect and still are.
pub(super) async fn events(
    store: &Store,
    tenant: &str,
    suspects: &[&str],
    now: Ms,
) -> Result<Vec<(String, &'static str)>> {
    let mut wrong = Vec::new();
    if suspects.is_empty() {
        return Ok(wrong);
    }
    tokio::time::sleep(PAUSE).await;
    for id in suspects {
        // One that was removed meanwhile is no exception.
        let Some(record) = store.ledger.event(tenant, id).await? else { continue };
        let deliveries = record.deliveries.len() as u64;
        let still = problem(record.state, deliveries, record.event.received_ms, now);
        wrong.extend(still.map(|problem| ((*id).to_owned(), problem)));
    }
    Ok(wrong)
}

/// What the index and the events say of a time range, and where they disagree.
#[derive(Default)]
pub(super) struct Account {
    pub(super) index: Counts,
    pub(super) events: Counts,
    pub(super) problems: Vec<String>,
}

/// One look at a range.
struct Look {
    index: Counts,
    events: Counts,
    /// Nothing moved meanwhile.
    still: bool,
    /// The times of its earliest and its latest event.
    spans: Option<(Ms, Ms)>,
}

impl Look {
    async fn at(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<Self> {
        let before = store.ledger.counts(tenant, from, to).await?;
        let (mut events, mut spans) = (Counts::default(), None);
        let mut walk = Walk::new(store, tenant, from, to);
        while let Some(page) = walk.next().await? {
            for event in &page {
                add(&mut events, event);
                let at = event.received_ms;
                let (first, last) = spans.unwrap_or((at, at));
                spans = Some((at.min(first), at.max(last)));
            }
        }
        let after = store.ledger.counts(tenant, from, to).await?;
        let index = if before == events { before } else { after };
        Ok(Self { index, events, still: before == after, spans })
    }

    fn agrees(&self) -> bool {
        self.index == self.events
    }
}

/// Compares index and events once more. A range in which something moves is parted until the parts
/// can be looked at faster than they change.
pub(super) async fn account(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<Account> {
    let mut account = Account::default();
    let mut parts = vec![(from, to)];
    while let Some((from, to)) = parts.pop() {
        let look = settled_look(store, tenant, from, to).await?;
        match look.spans {
            Some((first, last)) if !look.agrees() && !look.still && first < last => {
                let middle = first + (last - first) / 2 + 1;
                parts.extend([(from, middle), (middle, to)]);
                continue;
            }
            _ if look.agrees() => {}
            _ => account.problems.push(format!(
                "the index and the events received from {from} to {to} (Unix milliseconds) disagree: \
                 index {:?}, events {:?}",
                look.index, look.events
            )),
        }
        sum(&mut account.index, look.index);
        sum(&mut account.events, look.events);
    }
    Ok(account)
}

/// Looks until both agree, or disagree though nothing moves, or it is time to part the range.
async fn settled_look(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<Look> {
    let (mut looks, mut firm) = (0, 0);
    loop {
        let look = Look::at(store, tenant, from, to).await?;
        looks += 1;
        firm = if look.still { firm + 1 } else { 0 };
        let narrow = look.spans.is_none_or(|(first, last)| first == last);
        let most = match (narrow, look.events.received <= SMALL) {
            (true, _) => LOOKS_AT_LAST,
            (_, true) => LOOKS,
            _ => 1,
        };
        // What stood still once may have moved and come back: only several times are proof.
        if look.agrees() || firm >= LOOKS || (firm == 0 && looks >= most) {
            return Ok(look);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn sum(to: &mut Counts, more: Counts) {
    to.received += more.received;
    to.pending += more.pending;
    to.unrouted += more.unrouted;
    to.delivered += more.delivered;
    to.waiting += more.waiting;
    to.suppressed += more.suppressed;
    to.dead += more.dead;
}

/// Whatever the ledger says waits must be in a queue. A queue that was found too short is compared
/// again with what waits now.
pub(super) async fn queues(
    store: &Store,
    tenant: &str,
    range: (Ms, Ms),
    waiting: &BTreeMap<LaneId, u64>,
) -> Result<Vec<(String, String)>> {
    let mut wrong = Vec::new();
    for (id, &count) in waiting {
        let lane = LaneKey { tenant: tenant.into(), id: id.clone() };
        if store.agenda.waiting(&lane).await? >= count {
            continue;
        }
        if let Some((count, queued)) = short(store, &lane, range).await? {
            let problem =
                format!("{count} deliveries wait by the ledger, {queued} are in the queue");
            wrong.push((id.to_string(), problem));
        }
    }
    Ok(wrong)
}

/// What waits in a lane and what is queued, if that is less time and again.
async fn short(store: &Store, lane: &LaneKey, (from, to): (Ms, Ms)) -> Result<Option<(u64, u64)>> {
    let mut last = None;
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let before = store.agenda.waiting(lane).await?;
        let count = waits(store, lane, from, to).await?;
        // What leaves while it is counted was in the queue before, what comes is there after.
        let queued = before.max(store.agenda.waiting(lane).await?);
        if queued >= count {
            return Ok(None);
        }
        last = Some((count, queued));
    }
    Ok(last)
}

async fn waits(store: &Store, lane: &LaneKey, from: Ms, to: Ms) -> Result<u64> {
    let mut query = DeliveryQuery {
        tenant: lane.tenant.to_string(),
        lane: Some(lane.id.clone()),
        state: Some(StateKind::Waiting),
        from_ms: Some(from),
        to_ms: Some(to),
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let mut count = 0;
    loop {
        let page = store.ledger.deliveries(&query).await?;
        // A destination's id means all of its lanes.
        count += page.items.iter().filter(|one| one.lane == lane.id).count();
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(count as u64),
        }
    }
}
