//! [`Rollups`](crate::Rollups) in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::{Environment, Event};

use super::Memory;
use crate::rollup::{Added, Collect, OTHER_TYPES, ROWS_AN_HOUR, RollupOutcome, Row, hour_of};
use crate::{DeliveryUpdate, Ms, Result, Series, StatsQuery};

/// The rows of all tenants, by tenant and hour.
#[derive(Default)]
pub(super) struct Rollups(BTreeMap<(Arc<str>, i64), Rows>);

/// Counts and attempts.
type Rows = BTreeMap<Key, (u64, u64)>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    environment: Environment,
    outcome: RollupOutcome,
    class: usize,
    destination: Arc<str>,
    channel: Arc<str>,
    kind: Arc<str>,
}

impl Rollups {
    pub(super) fn event(&mut self, event: &Event, is_routed: bool) {
        self.add(event, "", "", Added::event(event, is_routed));
    }

    pub(super) fn delivery(&mut self, event: &Event, update: &DeliveryUpdate, accepted: bool) {
        if let Some(added) = Added::delivery(event.received_ms, update, accepted) {
            self.add(event, update.lane.destination(), &update.channel, added);
        }
    }

    fn add(&mut self, event: &Event, destination: &str, channel: &str, added: Added) {
        let mut key = Key {
            environment: event.environment,
            outcome: added.outcome,
            class: added.class,
            destination: destination.into(),
            channel: channel.into(),
            kind: event.kind.clone(),
        };
        let rows = self.0.entry((event.tenant.clone(), added.hour)).or_default();
        if rows.len() >= ROWS_AN_HOUR && !rows.contains_key(&key) {
            key.kind = OTHER_TYPES.into();
        }
        let sum = rows.entry(key).or_default();
        sum.0 += added.count;
        sum.1 += added.attempts;
    }

    pub(super) fn forget_tenant(&mut self, tenant: &str) {
        self.0.retain(|(of, _), _| &**of != tenant);
    }
}

#[async_trait]
impl crate::Rollups for Memory {
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<Series>> {
        let state = self.world.lock();
        let (from, to) = Collect::hours(query);
        let mut collect = Collect::new(query);
        for ((tenant, hour), rows) in &state.rollups.0 {
            if query.tenant.as_ref().is_some_and(|wanted| wanted != tenant) {
                continue;
            }
            if *hour < from || *hour >= to {
                continue;
            }
            for (key, (count, attempts)) in rows {
                let of_all = query.tenant.is_none();
                collect.add(&Row {
                    hour: *hour,
                    environment: key.environment,
                    destination: if of_all { "" } else { &key.destination },
                    channel: &key.channel,
                    kind: if of_all { "" } else { &key.kind },
                    outcome: key.outcome,
                    class: key.class,
                    count: *count,
                    attempts: attempts.cast_signed(),
                });
            }
        }
        Ok(collect.finish())
    }

    async fn forget_rollups(&self, before: Ms) -> Result<()> {
        let before = hour_of(before);
        self.world.lock().rollups.0.retain(|(_, hour), _| *hour >= before);
        Ok(())
    }
}
