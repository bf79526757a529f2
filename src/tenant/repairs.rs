//! What a person repairs works at once.
//!
//! Each change of a destination and each `enable`, `resume`, `recover` and successful `test` marks
//! it as repaired in its tenant's document. A process that sees a new mark gives the destination's
//! lanes new gates, without open circuits and `Retry-After` holds, and moves what waits in them: a
//! retry is due now, and a digest at the next tick of its schedule.
//!
//! Every process does so when it sees the mark, because until then it may have added waits by the
//! old settings. A process that did not have the tenant in memory does it for what has not changed
//! since the mark, and so does a process that starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;

use super::{DestinationSpec, Tenant, TenantSpec};
use crate::agenda::{Clock, Lane, Mode, holds};
use crate::flow::{LIFT_AT_ONCE, LIFT_BATCH, LIFT_MARKS_LAST};
use fanfare_contract::Event;
use fanfare_store::{
    Change, DeliveryQuery, DeliveryRecord, DeliveryState, DeliveryUpdate, Ms, Reason, Records,
    Result, StateKind, Store,
};

/// Marks a destination as repaired at `now`.
pub fn repaired(spec: &mut TenantSpec, id: &str, now: Ms) {
    let mark = spec.repaired.entry(id.to_owned()).or_default();
    // A clock that was set back must not hide the change.
    *mark = now.max(*mark + 1);
}

/// Marks the destinations of `spec` that differ from `before`, or are enabled or resumed in it.
pub(crate) fn mark_repaired(before: &TenantSpec, spec: &mut TenantSpec, now: Ms) {
    let find = |id: &str| before.destinations.iter().find(|old| old.id == id);
    let is_repaired = |one: &&DestinationSpec| {
        let is_back = before.held.contains(&one.id) && !spec.held.contains(&one.id);
        let was_disabled = before.disabled.keys().filter(|lane| lane.destination() == one.id);
        let is_enabled = was_disabled.into_iter().any(|lane| !spec.disabled.contains_key(lane));
        is_back || is_enabled || find(&one.id).is_some_and(|old| differs(old, one))
    };
    let repaired_ids: Vec<String> =
        spec.destinations.iter().filter(is_repaired).map(|one| one.id.clone()).collect();
    for id in repaired_ids {
        // An action may have marked it already.
        if spec.repaired.get(&id) == before.repaired.get(&id) {
            repaired(spec, &id, now);
        }
    }
    let is_there = |id: &String| spec.destinations.iter().any(|one| one.id == *id);
    let gone: Vec<String> = spec.repaired.keys().filter(|id| !is_there(id)).cloned().collect();
    for id in gone {
        spec.repaired.remove(&id);
    }
}

/// Whether more than the name differs.
fn differs(old: &DestinationSpec, new: &DestinationSpec) -> bool {
    let fields = |one: &DestinationSpec| {
        let mut fields = one.fields.clone();
        fields.shift_remove("name");
        fields
    };
    old.channel != new.channel || fields(old) != fields(new)
}

/// A lane whose waits are to be lifted.
pub(super) struct Lift {
    lane: Arc<Lane>,
    /// Only deliveries that were last changed before this time.
    changed_before: Ms,
}

/// Compares a tenant in memory with what replaces it. Gates that were replaced let nothing more
/// pass. Returns the lanes that were repaired.
pub(super) fn learn(before: Option<&Tenant>, now: &Tenant, now_ms: Ms) -> Vec<Lift> {
    let mut lifts = Vec::new();
    for lane in now.lanes.values() {
        let changed_before = match before.and_then(|before| before.lanes.get(&lane.key.id)) {
            Some(old) if Arc::ptr_eq(&old.gate, &lane.gate) => continue,
            Some(old) => {
                old.gate.supersede();
                now_ms
            }
            None if now_ms - lane.repaired_ms > LIFT_MARKS_LAST => continue,
            None => lane.repaired_ms,
        };
        lifts.push(Lift { lane: lane.clone(), changed_before });
    }
    lifts
}

/// The collection of the tenants with repairs whose waits are perhaps not lifted yet.
const REPAIRED: &str = "repaired";
/// Tenants in one answer.
const TENANTS: usize = 1_000;

/// Notes that a tenant has new marks, for the case that no process runs which would see them. Only
/// if something waits for it. To be called before the document is written.
pub(crate) async fn remember(store: &Store, before: &TenantSpec, spec: &TenantSpec) -> Result<()> {
    if spec.repaired == before.repaired || !waits(store, &spec.id).await? {
        return Ok(());
    }
    store.records.put(REPAIRED, &spec.id, Bytes::new(), None, Some(REMEMBERED)).await.map(drop)
}

/// How long that is remembered.
const REMEMBERED: Duration = Duration::from_millis(LIFT_MARKS_LAST.unsigned_abs());

/// Whether something waits for a tenant.
pub(super) async fn waits(store: &Store, tenant: &str) -> Result<bool> {
    let usage = store.ledger.usage(&[tenant.into()]).await?;
    Ok(usage.first().is_some_and(|usage| usage.waiting > 0))
}

/// The tenants that were noted.
pub(super) async fn remembered(records: &dyn Records) -> Result<Vec<String>> {
    let mut tenants: Vec<String> = Vec::new();
    loop {
        let page = records.list(REPAIRED, tenants.last().map(String::as_str), TENANTS).await?;
        let is_full = page.len() == TENANTS;
        tenants.extend(page.into_iter().map(|record| record.id));
        if !is_full {
            return Ok(tenants);
        }
    }
}

/// Lifts the waits of lanes of one tenant, several lanes at once. What fails is logged: the store
/// is away, and its deliveries are sent when they are due, or when a process starts.
pub(super) async fn lift_all(store: Store, clock: Clock, tenant: Arc<str>, lifts: Vec<Lift>) {
    let failed = &AtomicBool::new(false);
    let lift = |one: Lift| {
        let store = store.clone();
        async move {
            if let Err(error) = lift(&store, clock, &one).await {
                failed.store(true, Ordering::Relaxed);
                let (tenant, destination) = (&*one.lane.key.tenant, &*one.lane.key.id);
                tracing::warn!(
                    tenant, destination, %error,
                    "what waits for a repaired destination could not be moved forward"
                );
            }
        }
    };
    futures::stream::iter(lifts).for_each_concurrent(LIFT_AT_ONCE, lift).await;
    if !failed.load(Ordering::Relaxed) {
        // If this fails, the next start looks once more.
        let _ = store.records.remove(REPAIRED, &tenant, None).await;
    }
}

async fn lift(store: &Store, clock: Clock, one: &Lift) -> Result<()> {
    let lane = &one.lane;
    holds::forget_before(&*store.records, &lane.key, one.changed_before).await?;
    if lane.paused || lane.disabled.is_some() || store.agenda.waiting(&lane.key).await? == 0 {
        return Ok(());
    }
    // What is due already waits for its lane only.
    store.agenda.reschedule(&lane.key, clock.now_ms()).await?;
    let mut query = DeliveryQuery {
        tenant: lane.key.tenant.to_string(),
        state: Some(StateKind::Waiting),
        lane: Some(lane.key.id.clone()),
        oldest_first: true,
        limit: LIFT_BATCH,
        ..DeliveryQuery::default()
    };
    let mut moved = 0;
    loop {
        let page = store.ledger.deliveries(&query).await?;
        let now = clock.now_ms();
        let mut updates = Vec::new();
        for delivery in page.items {
            let Some(change) = lifted(lane, &delivery, one.changed_before, now) else { continue };
            updates.extend(update(store, lane, delivery, change, now).await?);
        }
        if !updates.is_empty() {
            moved += updates.len();
            store.agenda.settle(&lane.key, updates).await?;
            store.agenda.reschedule(&lane.key, now).await?;
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
        // A long queue must not keep the store from other work.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if moved > 0 {
        let (tenant, destination) = (&*lane.key.tenant, &*lane.key.id);
        tracing::info!(tenant, destination, moved, "a repaired destination is served at once");
    }
    Ok(())
}

/// What becomes of a delivery that waits in a repaired lane. `None` if it stays as it is.
fn lifted(lane: &Lane, delivery: &DeliveryRecord, changed_before: Ms, now: Ms) -> Option<Change> {
    let DeliveryState::Waiting { due_ms, reason, .. } = &delivery.state else { return None };
    let is_of_lane = delivery.lane == lane.key.id && delivery.updated_ms < changed_before;
    // These do not wait for the receiver.
    let is_elsewhere = matches!(reason, Reason::InFlight | Reason::Quota);
    if !is_of_lane || is_elsewhere || *due_ms <= now {
        return None;
    }
    let due_ms = match &lane.mode {
        // The due time is the order.
        Mode::Fifo => return None,
        Mode::Digest(calendar) => calendar.after(now)?,
        Mode::Direct => now,
    };
    Some(Change::Queued { due_ms, serve_ms: due_ms, reason: reason.clone() })
}

async fn update(
    store: &Store,
    lane: &Lane,
    delivery: DeliveryRecord,
    change: Change,
    now: Ms,
) -> Result<Option<(Arc<Event>, DeliveryUpdate)>> {
    // An event that was removed meanwhile has nothing left to send.
    let record = store.ledger.event(&lane.key.tenant, &delivery.event).await?;
    let update = DeliveryUpdate {
        id: delivery.id,
        lane: delivery.lane,
        channel: delivery.channel.as_str().into(),
        change,
        attempts: Vec::new(),
        at_ms: now,
    };
    Ok(record.map(|record| (record.event, update)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(more: &serde_json::Value) -> TenantSpec {
        let mut spec = json!({
            "id": "acme", "name": "Acme", "routes": [],
            "destinations": [{"id": "hook", "channel": "webhook", "url": "https://a.example"}],
        });
        let more = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        serde_json::from_value(spec).unwrap()
    }

    fn mark(before: &serde_json::Value, after: &serde_json::Value) -> Option<Ms> {
        let (before, mut after) = (spec(before), spec(after));
        mark_repaired(&before, &mut after, 1_000);
        after.repaired.get("hook").copied()
    }

    #[test]
    fn a_changed_resumed_or_enabled_destination_is_marked_and_a_renamed_one_is_not() {
        let one = |field: &str, value: &str| {
            let hook = json!({"id": "hook", "channel": "webhook", field: value});
            json!({ "destinations": [hook] })
        };
        assert_eq!(mark(&one("url", "a"), &one("url", "b")), Some(1_000));
        assert_eq!(mark(&one("rate", "1/s"), &one("rate", "2/s")), Some(1_000));
        assert_eq!(mark(&one("name", "a"), &one("name", "b")), None);
        assert_eq!(mark(&json!({"held": ["hook"]}), &json!({})), Some(1_000), "resumed");
        assert_eq!(mark(&json!({}), &json!({"held": ["hook"]})), None, "paused");
        let gone = json!({"disabled": {"hook": {"reason": "gone", "message": "", "at_ms": 1}}});
        assert_eq!(mark(&gone, &json!({})), Some(1_000), "enabled");
        assert_eq!(mark(&json!({}), &gone), None, "disabled");
        let lane =
            json!({"disabled": {"hook~a": {"reason": "bounces", "message": "", "at_ms": 1}}});
        assert_eq!(mark(&lane, &json!({})), Some(1_000), "one recipient enabled");
    }

    #[test]
    fn a_mark_changes_although_the_clock_was_set_back_and_goes_with_its_destination() {
        let mut before = spec(&json!({"repaired": {"hook": 5_000, "other": 7}}));
        repaired(&mut before, "hook", 1_000);
        assert_eq!(before.repaired["hook"], 5_001);
        let mut after = before.clone();
        mark_repaired(&before, &mut after, 9_000);
        assert_eq!(after.repaired.keys().collect::<Vec<_>>(), ["hook"]);
        assert_eq!(after.repaired["hook"], 5_001, "nothing changed");
    }
}
