//! The second check: whether what did not add up still does not add up a moment later.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EventPages, add, problem};
use fanfare_contract::LaneId;
use fanfare_store::{Counts, DeliveryQuery, LaneKey, Ms, Result, StateKind, Store};

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(50);
/// Checks of a range or a queue before it counts as an exception.
const MAX_CHECKS: usize = 5;
/// Checks of the events of a single millisecond, which cannot be split further.
const MAX_CHECKS_OF_SMALLEST: usize = 40;
/// Ranges with at most this many events are checked several times before they are split.
const SMALL_RANGE: u64 = 1_000;

/// The suspicious events of a page that still have a problem.
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
        // An event that was removed meanwhile is not an exception.
        let Some(record) = store.ledger.event(tenant, id).await? else { continue };
        let deliveries = record.deliveries.len() as u64;
        let still = problem(record.state, deliveries, record.event.received_ms, now);
        wrong.extend(still.map(|problem| ((*id).to_owned(), problem)));
    }
    Ok(wrong)
}

/// The counts of a time range according to the index and to the events, and where they disagree.
#[derive(Default)]
pub(super) struct Account {
    pub(super) index: Counts,
    pub(super) events: Counts,
    pub(super) problems: Vec<String>,
}

/// One check of a range.
struct RangeCheck {
    index: Counts,
    events: Counts,
    /// Whether nothing changed during the check.
    still: bool,
    /// The times of its earliest and its latest event.
    spans: Option<(Ms, Ms)>,
}

impl RangeCheck {
    async fn of(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<Self> {
        let before = store.ledger.counts(tenant, from, to).await?;
        let (mut events, mut spans) = (Counts::default(), None);
        let mut walk = EventPages::new(store, tenant, from, to);
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

/// Compares index and events again. A range that keeps changing is split until its parts can be
/// checked faster than they change.
pub(super) async fn account(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<Account> {
    let mut account = Account::default();
    let mut parts = vec![(from, to)];
    while let Some((from, to)) = parts.pop() {
        let check = repeated_check(store, tenant, from, to).await?;
        match check.spans {
                    Some((first, last)) if !check.agrees() && !check.still && first < last => {
                let middle = first + (last - first) / 2 + 1;
                parts.extend([(from, middle), (middle, to)]);
                continue;
            }
            _ if check.agrees() => {}
            _ => account.problems.push(format!(
                "the index and the events received from {from} to {to} (Unix milliseconds) disagree: \
                 index {:?}, events {:?}",
                check.index, check.events
            )),
        }
        sum(&mut account.index, check.index);
        sum(&mut account.events, check.events);
    }
    Ok(account)
}

/// Checks until both agree, or disagree although nothing changes, or the range should be split.
async fn repeated_check(store: &Store, tenant: &str, from: Ms, to: Ms) -> Result<RangeCheck> {
    let (mut checks, mut unchanged) = (0, 0);
    loop {
        let check = RangeCheck::of(store, tenant, from, to).await?;
        checks += 1;
        unchanged = if check.still { unchanged + 1 } else { 0 };
        let narrow = check.spans.is_none_or(|(first, last)| first == last);
        let most = match (narrow, check.events.received <= SMALL_RANGE) {
            (true, _) => MAX_CHECKS_OF_SMALLEST,
            (_, true) => MAX_CHECKS,
            _ => 1,
        };
        // A single unchanged check proves little, because something may have changed and changed
        // back.
        let is_proof = unchanged >= MAX_CHECKS || (unchanged == 0 && checks >= most);
        if check.agrees() || is_proof {
            return Ok(check);
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

/// Every waiting delivery of the ledger must be in a queue. A queue that seems too short is checked
/// again.
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
                format!("the ledger has {count} waiting deliveries, but the queue has {queued}");
            wrong.push((id.to_string(), problem));
        }
    }
    Ok(wrong)
}

/// The numbers of waiting and of queued deliveries of a lane, if fewer are queued in every check.
async fn short(store: &Store, lane: &LaneKey, (from, to): (Ms, Ms)) -> Result<Option<(u64, u64)>> {
    let mut last = None;
    for _ in 0..MAX_CHECKS {
        tokio::time::sleep(PAUSE).await;
        let before = store.agenda.waiting(lane).await?;
        let count = waits(store, lane, from, to).await?;
        // A delivery that leaves during the count was queued before it, and one that arrives is
        // queued after it.
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
        // The id of a destination selects all of its lanes.
        count += page.items.iter().filter(|one| one.lane == lane.id).count();
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(count as u64),
        }
    }
}
