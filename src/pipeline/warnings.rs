//! Early warnings: a destination is held back, only fails, or has recovered. Each becomes an event
//! of the tenant, once per change. What was reported is remembered in the store, for all replicas.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Environment, Event};
use serde_json::{Value, json};

use super::notices::{Held, Recovered, Report, own_event};
use crate::agenda::holds;
use crate::event::own_event_id;
use crate::flow::{FAILING_REMEMBERED, FAILING_SHARE};
use fanfare_store::{LaneKey, Ms, Records, Result, Store};

/// When tenants are warned.
#[derive(Clone, Copy, Debug)]
pub struct WarnAfter {
    /// Nothing is sent to a destination for this long.
    pub held: Duration,
    /// A destination has had only failures for this long, or for most of `disable_after`.
    pub failing: Duration,
}

impl Default for WarnAfter {
    fn default() -> Self {
        Self { held: Duration::from_mins(1), failing: Duration::from_hours(24) }
    }
}

/// The collection of the destinations that were reported as failing, with the time since when.
const FAILING: &str = "failing";

/// Notes why nothing is sent to a lane. Returns the event that reports it, once a hold has become
/// long.
pub(super) async fn held(
    store: &Store,
    warn: WarnAfter,
    held: &Held,
) -> Result<Option<Arc<Event>>> {
    let Held { lane, channel, environment, hold, code, at_ms } = held;
    let mut note = holds::note(&*store.records, lane, hold, code, *at_ms).await?;
    if note.noticed || note.until_ms - note.since_ms < millis(warn.held) {
        return Ok(None);
    }
    note.noticed = true;
    tracing::warn!(
        tenant = &*lane.tenant,
        destination = lane.id.as_str(),
        reason = note.reason,
        code,
        "nothing is sent to a destination for a while; its deliveries wait"
    );
    let data = json!({
        "reason": note.reason, "code": code,
        "held_since": note.since_ms / 1000, "held_until": note.until_ms / 1000,
    });
    let about = About { lane, channel, environment: *environment, since_ms: note.since_ms };
    holds::write(&*store.records, lane, &note, *at_ms).await?;
    Ok(Some(about.event("held", *at_ms, data)))
}

/// A lane accepts again. Returns the event that reports it, if its trouble was reported.
pub(super) async fn recovered(store: &Store, lane: &Recovered) -> Result<Option<Arc<Event>>> {
    let Recovered { lane, channel, environment, at_ms } = lane;
    let note = holds::forget(&*store.records, lane).await?.filter(|note| note.noticed);
    let failing_since = forget_failing(&*store.records, lane).await?;
    let since_ms = match (note.map(|note| note.since_ms), failing_since) {
        (Some(one), Some(other)) => one.min(other),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Ok(None),
    };
    let about = About { lane, channel, environment: *environment, since_ms };
    let data = json!({ "since": since_ms / 1000, "recovered_at": at_ms / 1000 });
    Ok(Some(about.event("recovered", *at_ms, data)))
}

/// A lane has had only failures since a time. Returns the event that reports it, once that has
/// become long.
pub(super) async fn failing(
    store: &Store,
    warn: WarnAfter,
    report: &Report,
    since_ms: Ms,
) -> Result<Option<Arc<Event>>> {
    let Report { lane, channel, environment, at_ms, disable_after, .. } = report;
    let most = disable_after.map(|after| after.mul_f64(FAILING_SHARE));
    let after = most.map_or(warn.failing, |most| most.min(warn.failing));
    if at_ms - since_ms < millis(after) || !note_failing(&*store.records, lane, since_ms).await? {
        return Ok(None);
    }
    let mut data = json!({ "failing_since": since_ms / 1000 });
    if let Some(after) = disable_after {
        data["disabled_at"] = ((since_ms + millis(*after)) / 1000).into();
    }
    let about = About { lane, channel, environment: *environment, since_ms };
    Ok(Some(about.event("failing", *at_ms, data)))
}

/// Whether a lane was reported as failing for as long as it is now.
async fn note_failing(records: &dyn Records, lane: &LaneKey, since_ms: Ms) -> Result<bool> {
    let id = id(lane);
    let doc = since_ms.to_string().into_bytes();
    if records.get(FAILING, &id).await?.is_some_and(|record| record.doc[..] == doc[..]) {
        return Ok(false);
    }
    records.put(FAILING, &id, doc.into(), None, Some(FAILING_REMEMBERED)).await?;
    Ok(true)
}

async fn forget_failing(records: &dyn Records, lane: &LaneKey) -> Result<Option<Ms>> {
    let id = id(lane);
    let Some(record) = records.get(FAILING, &id).await? else { return Ok(None) };
    records.remove(FAILING, &id, None).await?;
    Ok(std::str::from_utf8(&record.doc).ok().and_then(|text| text.parse().ok()))
}

fn id(lane: &LaneKey) -> String {
    format!("{}/{}", lane.tenant, lane.id)
}

fn millis(time: Duration) -> Ms {
    Ms::try_from(time.as_millis()).unwrap_or(Ms::MAX / 2)
}

/// The lane that a warning is about.
struct About<'a> {
    lane: &'a LaneKey,
    channel: &'a str,
    environment: Environment,
    since_ms: Ms,
}

impl About<'_> {
    /// `fanfare.destination.WORD`, with the facts that every warning has.
    fn event(&self, word: &str, at_ms: Ms, mut data: Value) -> Arc<Event> {
        let Self { lane, channel, environment, since_ms } = self;
        data["destination"] = lane.id.destination().into();
        data["lane"] = lane.id.as_str().into();
        data["channel"] = (*channel).into();
        let id = own_event_id(word, &[&lane.tenant, &lane.id, &since_ms.to_string()]);
        let kind = format!("fanfare.destination.{word}");
        let event = own_event(&lane.tenant, &id, &kind, at_ms, &data);
        Arc::new(event.with_environment(*environment))
    }
}
