//! Proves that every event of a time range is accounted for, and lists every exception.
//!
//! The store is in use during the audit: events arrive, settle, are retried and removed. Whatever
//! does not add up is therefore checked again, and is an exception only if it still does not add
//! up.

mod again;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use again::Account;
use fanfare_contract::LaneId;
use fanfare_store::{Counts, EventQuery, EventState, EventSummary, Ms, Page, Result, Store};

/// How long an event may be without an outcome before it counts as an exception.
const MAX_PENDING_MS: Ms = 60_000;
/// Most exceptions that are listed. All are counted.
const MAX_LISTED: usize = 1_000;
/// Events read at once.
const PAGE: usize = 1_000;

/// The account of one tenant.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The tenant.
    pub tenant: String,
    /// The beginning of the range.
    pub from_ms: Ms,
    /// The end of the range.
    pub to_ms: Ms,
    /// The counts according to the ledger's index.
    pub counts: Counts,
    /// The counts found by reading every event.
    pub found: Counts,
    /// What does not add up.
    pub exceptions: Vec<Exception>,
    /// The number of exceptions, listed or not.
    pub exceptions_total: u64,
}

/// One thing that does not add up.
#[derive(Debug, Serialize)]
pub struct Exception {
    /// The event, or the lane.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Audit {
    fn exception(&mut self, what: impl Into<String>, problem: impl Into<String>) {
        self.exceptions_total += 1;
        if self.exceptions.len() < MAX_LISTED {
            self.exceptions.push(Exception { what: what.into(), problem: problem.into() });
        }
    }
}

/// Audits all events of a tenant received in `[from, to)`.
pub async fn audit(
    store: &Store,
    tenant: &str,
    from_ms: Ms,
    to_ms: Ms,
    now: Ms,
    done: &dyn Fn(u64),
) -> Result<Audit> {
    let counts = store.ledger.counts(tenant, from_ms, to_ms).await?;
    let mut audit = Audit { tenant: tenant.to_owned(), from_ms, to_ms, counts, ..Audit::default() };
    let mut waiting = BTreeMap::new();
    let mut walk = EventPages::new(store, tenant, from_ms, to_ms);
    while let Some(page) = walk.next().await? {
        let mut suspects = Vec::new();
        for event in &page {
            add(&mut audit.found, event);
            suspects.extend(
                problem(event.state, total(&event.deliveries), event.received_ms, now)
                    .map(|_| &*event.id),
            );
            if event.deliveries.waiting > 0 {
                lanes_of(store, tenant, &event.id, &mut waiting).await?;
            }
        }
        for (event, problem) in again::events(store, tenant, &suspects, now).await? {
            audit.exception(event, problem);
        }
        done(audit.found.received);
    }
    if audit.found != audit.counts {
        let account = again::account(store, tenant, from_ms, to_ms).await?;
        let Account { index, events, problems } = account;
        (audit.counts, audit.found) = (index, events);
        for problem in problems {
            audit.exception("ledger", problem);
        }
    }
    for (lane, problem) in again::queues(store, tenant, (from_ms, to_ms), &waiting).await? {
        audit.exception(lane, problem);
    }
    Ok(audit)
}

/// The name under which the findings about the whole store are reported.
const WHOLE_STORE: &str = "(store)";
/// Pause between two looks at the whole store. What is on its way settles within it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Compares the log, the ledger, the queues and the agenda of all tenants. `None` if they agree.
pub async fn audit_store(store: &Store, now: Ms) -> Result<Option<Audit>> {
    if store.upkeep.inspect(now).await?.is_empty() {
        return Ok(None);
    }
    tokio::time::sleep(LOOK_AGAIN).await;
    let found = store.upkeep.inspect(now).await?;
    let mut audit = Audit { tenant: WHOLE_STORE.to_owned(), to_ms: now, ..Audit::default() };
    for problem in found.problems() {
        audit.exception("store", problem);
    }
    Ok((audit.exceptions_total > 0).then_some(audit))
}

/// All events of a time range, page by page.
struct EventPages<'a> {
    store: &'a Store,
    query: EventQuery,
    ended: bool,
}

impl<'a> EventPages<'a> {
    fn new(store: &'a Store, tenant: &str, from_ms: Ms, to_ms: Ms) -> Self {
        let query = EventQuery {
            tenant: tenant.to_owned(),
            from_ms: Some(from_ms),
            to_ms: Some(to_ms),
            limit: PAGE,
            ..EventQuery::default()
        };
        Self { store, query, ended: false }
    }

    async fn next(&mut self) -> Result<Option<Vec<EventSummary>>> {
        if self.ended {
            return Ok(None);
        }
        let Page { items, next } = self.store.ledger.events(&self.query).await?;
        self.ended = next.is_none();
        self.query.cursor = next;
        Ok(Some(items))
    }
}

fn total(of: &Counts) -> u64 {
    of.delivered + of.waiting + of.suppressed + of.dead
}

/// Adds an event to the counts.
fn add(found: &mut Counts, event: &EventSummary) {
    found.received += 1;
    match event.state {
        EventState::Pending => found.pending += 1,
        EventState::Unrouted => found.unrouted += 1,
        EventState::Routed => {}
    }
    found.delivered += event.deliveries.delivered;
    found.waiting += event.deliveries.waiting;
    found.suppressed += event.deliveries.suppressed;
    found.dead += event.deliveries.dead;
}

/// What is wrong with an event that has this number of deliveries.
fn problem(state: EventState, deliveries: u64, received_ms: Ms, now: Ms) -> Option<&'static str> {
    match state {
        EventState::Pending if now - received_ms > MAX_PENDING_MS => {
            Some("was received over a minute ago and has no outcome")
        }
        EventState::Unrouted if deliveries > 0 => Some("is unrouted but has deliveries"),
        EventState::Routed if deliveries == 0 => Some("is routed but has no delivery"),
        _ => None,
    }
}

/// Counts the waiting deliveries of one event by lane.
async fn lanes_of(
    store: &Store,
    tenant: &str,
    id: &str,
    waiting: &mut BTreeMap<LaneId, u64>,
) -> Result<()> {
    let record = store.ledger.event(tenant, id).await?;
    for delivery in record.into_iter().flat_map(|record| record.deliveries) {
        if delivery.state.is_waiting() {
            *waiting.entry(delivery.lane).or_default() += 1;
        }
    }
    Ok(())
}
