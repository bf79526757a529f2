//! [`Ledger`] in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::{LaneId, Tally};

use super::Memory;
use super::state::{DeliveryRow, EventRow, State};
use crate::{
    Counts, DeliveryQuery, DeliveryRecord, DeliveryState, EventQuery, EventRecord, EventState,
    EventStatus, EventSummary, LONGEST_TAIL, LaneKey, Ledger, Ms, Page, Rejected, Result,
    StoreError, Tail, Usage,
};

#[async_trait]
impl Ledger for Memory {
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>> {
        let state = self.world.lock();
        let Some(&seq) = state.ids.get(&(tenant.into(), id.into())) else { return Ok(None) };
        let row = &state.events[&seq];
        let deliveries =
            state.deliveries_of(seq).map(|(lane, row)| state.record(seq, lane, row)).collect();
        Ok(Some(EventRecord { event: row.event.clone(), state: row.state, deliveries }))
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>> {
        let state = self.world.lock();
        let paths = &self.world.search;
        query.matches.iter().try_for_each(|key| paths.hash(key).map(drop))?;
        let fits = |seq: u64, row: &EventRow| {
            let event = &row.event;
            *event.tenant == query.tenant
                && query.selects(&event.kind, event.environment, event.received_ms, row.state)
                && (query.matches.is_empty() || paths.has_all(&event.body, &query.matches))
                && has_delivery(&state, seq, query)
        };
        let mut rows: Vec<_> = state.events.iter().filter(|(seq, row)| fits(**seq, row)).collect();
        rows.sort_by_key(|(seq, row)| std::cmp::Reverse((row.event.received_ms, **seq)));
        if query.oldest_first {
            rows.reverse();
        }
        let all = rows.into_iter().map(|(seq, row)| {
            let mut deliveries = Counts::default();
            state.count(*seq, &mut deliveries);
            EventSummary {
                id: row.event.id.to_string(),
                kind: row.event.kind.to_string(),
                created: row.event.created,
                received_ms: row.event.received_ms,
                environment: row.event.environment,
                state: row.state,
                deliveries,
            }
        });
        page(all, query.cursor.as_deref(), query.limit)
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let state = self.world.lock();
        let fits = |one: &DeliveryRecord| {
            query.state.is_none_or(|kind| kind == one.state.kind())
                && query.lane.as_ref().is_none_or(|wanted| wanted.covers(one.lane.as_str()))
                && query.kind.as_ref().is_none_or(|filter| filter.selects(&one.kind))
                && query.environment.is_none_or(|wanted| wanted == one.environment)
                && within(one.received_ms, query.from_ms, query.to_ms)
        };
        let rows = state.deliveries.iter().rev();
        let mut all: Vec<_> = rows
            .filter(|((seq, _), _)| *state.events[seq].event.tenant == query.tenant)
            .map(|((seq, lane), row)| state.record(*seq, lane, row))
            .filter(fits)
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.received_ms));
        if query.oldest_first {
            all.reverse();
        }
        page(all.into_iter(), query.cursor.as_deref(), query.limit)
    }

    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail> {
        let state = self.world.lock();
        let limit = limit.clamp(1, LONGEST_TAIL);
        let rows = state.events.range(after.saturating_add(1)..);
        let own = rows.filter(|(_, row)| *row.event.tenant == *tenant);
        let record = |(seq, row): (&u64, &EventRow)| {
            let deliveries = state.deliveries_of(*seq);
            let deliveries = deliveries.map(|(lane, row)| state.record(*seq, lane, row)).collect();
            (*seq, EventRecord { event: row.event.clone(), state: row.state, deliveries })
        };
        let items: Vec<_> = own.take(limit).map(record).collect();
        let next = items.last().map_or(after, |(seq, _)| *seq);
        Ok(Tail { more: items.len() == limit, items, next })
    }

    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>> {
        let state = self.world.lock();
        let mut all: Vec<_> = state.rejected.values().rev().cloned().collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.at_ms));
        page(all.into_iter(), cursor, limit)
    }

    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)> {
        self.world.faults.meet("ledger.tally").await?;
        let state = self.world.lock();
        let mut kept: [BTreeMap<String, u64>; 2] = Default::default();
        for ((seq, of), row) in &state.deliveries {
            let ours = *of == lane.id && state.events[seq].event.tenant == lane.tenant;
            let (which, reason) = match &row.state {
                DeliveryState::Suppressed { reason } => (0, reason),
                DeliveryState::Dead { reason } => (1, reason),
                DeliveryState::Delivered | DeliveryState::Waiting { .. } => continue,
            };
            if ours && within(row.updated_ms, Some(from), Some(to)) {
                *kept[which].entry(reason.to_string()).or_default() += 1;
            }
        }
        let [suppressed, failed] = kept.map(|counts| {
            counts.into_iter().map(|(reason, count)| Tally { reason, count }).collect()
        });
        Ok((suppressed, failed))
    }

    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts> {
        let state = self.world.lock();
        let mut counts = Counts::default();
        for (seq, row) in &state.events {
            if *row.event.tenant == *tenant && within(row.event.received_ms, Some(from), Some(to)) {
                counts.received += 1;
                counts.pending += u64::from(row.state == EventState::Pending);
                counts.unrouted += u64::from(row.state == EventState::Unrouted);
                state.count(*seq, &mut counts);
            }
        }
        Ok(counts)
    }

    async fn note_indexed(&self) -> Result<()> {
        Ok(())
    }

    async fn indexed_since(&self, paths: &[String]) -> Result<Option<u64>> {
        let known = self.world.search.paths();
        let is_known = |path: &String| known.iter().any(|known| **known == **path);
        Ok(paths.iter().all(is_known).then_some(0))
    }

    async fn usage(&self, tenants: &[Arc<str>]) -> Result<Vec<Usage>> {
        self.world.faults.meet("ledger.usage").await?;
        let state = self.world.lock();
        Ok(tenants.iter().map(|tenant| state.usage(tenant)).collect())
    }
}

/// Whether one of an event's deliveries is as the query wants one.
fn has_delivery(state: &State, seq: u64, query: &EventQuery) -> bool {
    let wanted = match query.status {
        Some(EventStatus::Delivery(kind)) => Some(kind),
        _ => None,
    };
    let fits = |(lane, row): (&LaneId, &DeliveryRow)| {
        wanted.is_none_or(|wanted| row.state.kind() == wanted)
            && query.lane.as_ref().is_none_or(|wanted| wanted.covers(lane))
    };
    (wanted.is_none() && query.lane.is_none()) || state.deliveries_of(seq).any(fits)
}

fn within(at: Ms, from: Option<Ms>, to: Option<Ms>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
}

/// A cursor is how many came before.
fn page<T>(all: impl Iterator<Item = T>, cursor: Option<&str>, limit: usize) -> Result<Page<T>> {
    let before = match cursor {
        None => 0,
        Some(text) => {
            let number = text.strip_prefix('@').and_then(|number| number.parse().ok());
            number.ok_or_else(|| StoreError::BadQuery("no cursor of ours".to_owned()))?
        }
    };
    let mut all = all.skip(before).peekable();
    let items: Vec<T> = all.by_ref().take(limit).collect();
    let next = all.peek().is_some().then(|| format!("@{}", before + items.len()));
    Ok(Page { items, next })
}
