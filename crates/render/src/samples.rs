//! Synthetic events, at least one for every type that has a template.
//!
//! Templates are checked on them when they are loaded, and `fanfare render` shows them if no event
//! is given.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use fanfare_contract::{Content, Delivery, DeliveryId, Destination, Digest, Event, Resend, Tally};
use serde_json::Value;

/// One event for each line. They contain no data of real people.
const EVENTS: [&str; 2] = [
    include_str!("../../../config/samples/kyc.ndjson"),
    include_str!("../../../config/samples/fanfare.ndjson"),
];

static SAMPLES: LazyLock<Vec<Arc<Event>>> = LazyLock::new(|| {
    let lines = EVENTS.iter().flat_map(|file| file.lines());
    lines.filter_map(|line| parse("acme", line)).map(Arc::new).collect()
});

/// The first sample of an event type, or `None` if the type has no sample.
pub fn sample(kind: &str) -> Option<Event> {
    SAMPLES.iter().find(|event| &*event.kind == kind).map(|event| for_tenant(event, "acme"))
}

/// All samples, as events of the tenant `acme`.
pub fn all() -> Vec<Event> {
    SAMPLES.iter().map(|event| for_tenant(event, "acme")).collect()
}

/// The samples as events of `tenant`.
pub(super) fn all_of(tenant: &str) -> Vec<Arc<Event>> {
    SAMPLES.iter().map(|event| Arc::new(for_tenant(event, tenant))).collect()
}

/// A delivery of `event`, as a channel receives it.
pub fn delivery(event: Arc<Event>) -> Delivery {
    let tenant = Arc::clone(&event.tenant);
    let id = DeliveryId::derive(&event.id, "sample");
    let at_ms = event.created.saturating_mul(1000);
    wrap(tenant, id, Content::Event(event), at_ms)
}

/// A digest of `events` for one day in Madrid, with three suppressed deliveries and a failed one.
pub fn digest(tenant: &str, events: Vec<Arc<Event>>) -> Delivery {
    let to_ms = 1_735_254_000_000; // 2024-12-27T00:00 in Madrid
    let digest = Digest {
        id: "dig_sample".into(),
        from_ms: to_ms - 24 * 3_600_000,
        to_ms,
        timezone: "Europe/Madrid".to_owned(),
        events,
        suppressed: vec![
            Tally { reason: "destination_paused".to_owned(), count: 2 },
            Tally { reason: "unsubscribed".to_owned(), count: 1 },
        ],
        failed: vec![Tally { reason: "render_failed".to_owned(), count: 1 }],
    };
    let id = DeliveryId::derive(&digest.id, "sample");
    wrap(tenant.into(), id, Content::Digest(Arc::new(digest)), to_ms)
}

fn wrap(tenant: Arc<str>, id: DeliveryId, content: Content, at_ms: i64) -> Delivery {
    let destination = Destination {
        tenant,
        lane: "sample".into(),
        channel: "sample".into(),
        settings: Arc::new(()),
    };
    Delivery {
        id,
        destination: Arc::new(destination),
        content,
        attempt: 1,
        at_ms,
        resend: Resend::Allowed,
    }
}

fn for_tenant(event: &Event, tenant: &str) -> Event {
    let (id, kind) = (Arc::clone(&event.id), Arc::clone(&event.kind));
    Event::new(tenant.into(), id, kind, event.created, event.received_ms, event.body.clone())
}

/// The event in a line of JSON, or `None` if it is not an envelope.
pub(super) fn parse(tenant: &str, line: &str) -> Option<Event> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |key| value.get(key).and_then(Value::as_str);
    let created = value.get("created").and_then(Value::as_i64)?;
    let (id, kind) = (text("id")?, text("type")?);
    let body = Bytes::copy_from_slice(line.as_bytes());
    Some(Event::new(tenant.into(), id.into(), kind.into(), created, created * 1000, body))
}
