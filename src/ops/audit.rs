//! Proves that every event of a time range is accounted for, and names every exception.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::{Counts, DeliveryState, EventQuery, EventState, LaneKey, Ms, Result, Store};

/// An event may be on its way for so long before it counts as an exception.
const ON_ITS_WAY_MS: Ms = 60_000;
/// Exceptions listed by name; all are counted.
const LISTED: usize = 1_000;

/// The account of one tenant.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The tenant.
    pub tenant: String,
    /// Begin of the range.
    pub from_ms: Ms,
    /// End of the range.
    pub to_ms: Ms,
    /// What the ledger's index says.
    pub counts: Counts,
    /// What was found by going through every event.
    pub found: Counts,
    /// Things that do not add up.
    pub exceptions: Vec<Exception>,
    /// How many there are, listed or not.
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
        if self.exceptions.len() < LISTED {
            self.exceptions.push(Exception { what: what.into(), problem: problem.into() });
        }
    }
}

/// Goes through all events of a tenant received in `[from, to)`.
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
    let mut query = EventQuery {
        tenant: tenant.to_owned(),
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        limit: 1_000,
        ..EventQuery::default()
    };
    loop {
        let page = store.ledger.events(&query).await?;
        for event in &page.items {
            audit.found.received += 1;
            let of = event.deliveries;
            let total = of.delivered + of.waiting + of.suppressed + of.dead;
            match event.state {
                EventState::Pending => {
                    audit.found.pending += 1;
                    if now - event.received_ms > ON_ITS_WAY_MS {
                        audit.exception(&*event.id, "was received and has no outcome yet");
                    }
                }
                EventState::Unrouted => {
                    audit.found.unrouted += 1;
                    if total > 0 {
                        audit.exception(&*event.id, "is unrouted, yet has deliveries");
                    }
                }
                EventState::Routed if total == 0 => {
                    audit.exception(&*event.id, "was routed, yet has no delivery");
                }
                EventState::Routed => {}
            }
            audit.found.delivered += of.delivered;
            audit.found.waiting += of.waiting;
            audit.found.suppressed += of.suppressed;
            audit.found.dead += of.dead;
            if of.waiting > 0 {
                lanes_of(store, tenant, &event.id, &mut waiting).await?;
            }
        }
        done(audit.found.received);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    if audit.found != audit.counts {
        let problem = format!(
            "the index and the events disagree (was something received or settled meanwhile?): \
             index {:?}, events {:?}",
            audit.counts, audit.found
        );
        audit.exception("ledger", problem);
    }
    queues(store, tenant, &waiting, &mut audit).await?;
    Ok(audit)
}

/// Counts the waiting deliveries of one event by lane.
async fn lanes_of(
    store: &Store,
    tenant: &str,
    id: &str,
    waiting: &mut BTreeMap<String, u64>,
) -> Result<()> {
    let record = store.ledger.event(tenant, id).await?;
    for delivery in record.into_iter().flat_map(|record| record.deliveries) {
        if matches!(delivery.state, DeliveryState::Waiting { .. }) {
            *waiting.entry(delivery.destination).or_default() += 1;
        }
    }
    Ok(())
}

/// Whatever the ledger says waits must be in a queue.
async fn queues(
    store: &Store,
    tenant: &str,
    waiting: &BTreeMap<String, u64>,
    audit: &mut Audit,
) -> Result<()> {
    for (destination, &count) in waiting {
        let lane = LaneKey { tenant: tenant.into(), destination: destination.as_str().into() };
        let queued = store.agenda.waiting(&lane).await?;
        if queued < count {
            audit.exception(
                destination.as_str(),
                format!("{count} deliveries wait by the ledger, {queued} are in the queue"),
            );
        }
    }
    Ok(())
}
