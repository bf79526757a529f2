//! Exports a tenant as lines of JSON that people and other systems can read without Fanfare.
//!
//! The lines are written page by page into a bounded channel, so a slow reader delays only the
//! export.

use fanfare_contract::{Environment, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::access::keys;
use crate::audit;
use crate::tenant::{self, TenantSpec};
use fanfare_store::{DeliveryRecord, Entry, EventRecord, EventState, Payload, Result, Store};

/// Events, entries or audit entries read at once.
const PAGE: usize = 50;
/// Most lines that wait for the reader.
pub const LINES_AHEAD: usize = 64;

/// What to export.
pub struct Export<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The only environment to export. `None` for both.
    pub environment: Option<Environment>,
    /// Returns a destination's settings with secrets masked.
    pub masked: audit::Masking<'a>,
    /// The time of the export.
    pub now_ms: i64,
}

impl Export<'_> {
    fn has(&self, environment: Environment) -> bool {
        self.environment.is_none_or(|only| only == environment)
    }

    /// Whether only the test environment is exported.
    fn is_test(&self) -> bool {
        !self.has(Environment::Live)
    }
}

/// The reader has stopped reading.
struct Closed;

enum Stop {
    Closed,
    Failed(fanfare_store::StoreError),
}

impl From<fanfare_store::StoreError> for Stop {
    fn from(error: fanfare_store::StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Sends every line to `out`, without line breaks. The last line has the kind `end` and counts the
/// others. Without it the export is incomplete. If the reader stops reading, the export ends early
/// without an error.
pub async fn export(store: &Store, export: &Export<'_>, out: &mpsc::Sender<String>) -> Result<()> {
    let mut lines = Lines { out, counts: Map::new() };
    match write(store, export, &mut lines).await {
        Ok(()) | Err(Stop::Closed) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

struct Lines<'a> {
    out: &'a mpsc::Sender<String>,
    counts: Map<String, Value>,
}

impl Lines<'_> {
    /// Writes one line: its kind and its fields.
    async fn put(&mut self, kind: &str, fields: impl Serialize) -> Result<(), Closed> {
        #[derive(Serialize)]
        struct Line<'a, F> {
            kind: &'a str,
            #[serde(flatten)]
            fields: F,
        }
        let line = serde_json::to_string(&Line { kind, fields }).unwrap_or_default();
        let count = self.counts.get(kind).and_then(Value::as_u64).unwrap_or(0);
        self.counts.insert(kind.to_owned(), (count + 1).into());
        self.out.send(line).await.map_err(|_| Closed)
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

async fn write(store: &Store, export: &Export<'_>, lines: &mut Lines<'_>) -> Result<(), Stop> {
    if let Some((spec, _)) = tenant::stored(store, export.tenant).await? {
        audit::flush(store, &spec).await?;
        let spec = if export.is_test() { tenant::test_view(&spec) } else { spec };
        document(&spec, export, lines).await?;
    }
    let keys = keys::list(&*store.records, Some(export.tenant)).await?;
    for key in keys.into_iter().filter(|key| export.has(key.environment)) {
        let key = json!({
            "id": key.id, "hint": key.hint, "role": key.role, "environment": key.environment,
            "label": key.label, "created_ms": key.created_ms, "created_by": key.created_by,
            "expires_ms": key.expires_ms, "last_used_ms": key.last_used_ms, "portal": key.portal,
        });
        lines.put("key", fields(key)).await?;
    }
    entries(store, export, lines).await?;
    events(store, export, lines).await?;
    // It is not known to which environment a rejected entry belongs.
    if !export.is_test() {
        rejected(store, export, lines).await?;
    }
    changes(store, export, lines).await?;
    let end = json!({"tenant": export.tenant, "at_ms": export.now_ms, "lines": lines.counts});
    lines.put("end", fields(end)).await?;
    Ok(())
}

/// Exports the tenant's configuration.
async fn document(
    spec: &TenantSpec,
    export: &Export<'_>,
    lines: &mut Lines<'_>,
) -> Result<(), Closed> {
    let head = json!({
        "id": spec.id, "name": spec.name, "links": spec.links, "held": spec.held,
        "disabled": spec.disabled, "notify_in_batches": spec.notify_in_batches,
    });
    lines.put("tenant", fields(head)).await?;
    for one in &spec.destinations {
        let settings = (export.masked)(one);
        let one = json!({"id": one.id, "channel": one.channel, "settings": settings});
        lines.put("destination", fields(one)).await?;
    }
    for (place, route) in spec.routes.iter().enumerate() {
        let route = serde_json::to_value(route).unwrap_or_default();
        lines.put("route", fields(json!({"place": place + 1, "route": route}))).await?;
    }
    for (path, text) in &spec.templates {
        lines.put("template", fields(json!({"path": path, "text": text}))).await?;
    }
    Ok(())
}

/// Exports entries that are not settled. The ledger may contain some of them as well.
async fn entries(store: &Store, export: &Export<'_>, lines: &mut Lines<'_>) -> Result<(), Stop> {
    let mut cursor = None::<String>;
    loop {
        let page = store.erasure.unsettled(cursor.as_deref(), PAGE).await?;
        for entry in page.items {
            if let Some(event) = body(&entry, export) {
                let entry = entry.id.to_string();
                lines.put("entry", EntryLine { entry, event }).await?;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// An entry of the log.
#[derive(Serialize)]
struct EntryLine {
    entry: String,
    event: Json,
}

/// An event with its deliveries. Its numbers are those of the producer.
#[derive(Serialize)]
struct EventLine<'a> {
    event: &'a Json,
    received_ms: i64,
    environment: Environment,
    state: EventState,
    deliveries: &'a [DeliveryRecord],
}

/// The event of an entry, if it is to be exported: JSON, or text if it is not valid JSON.
fn body(entry: &Entry, export: &Export<'_>) -> Option<Json> {
    let tenant = export.tenant;
    match &entry.payload {
        Payload::Event(event) => {
            let wanted = &*event.tenant == tenant && export.has(event.environment);
            wanted.then(|| event.json().clone())
        }
        Payload::Raw(fields) => {
            let field = |name: &str| fields.iter().find(|(found, _)| found == name);
            field("tenant").filter(|(_, name)| name == tenant)?;
            let is_test = field("environment").is_some_and(|(_, word)| word == "test");
            let environment = if is_test { Environment::Test } else { Environment::Live };
            export.has(environment).then_some(())?;
            let (_, body) = field("event")?;
            let text = || Json::Text(String::from_utf8_lossy(body).into());
            Some(Json::parse(body).unwrap_or_else(text))
        }
    }
}

async fn events(store: &Store, export: &Export<'_>, lines: &mut Lines<'_>) -> Result<(), Stop> {
    let mut after = 0;
    loop {
        let tail = store.ledger.tail(export.tenant, after, PAGE).await?;
        let wanted = tail.items.iter().filter(|(_, one)| export.has(one.event.environment));
        for (_, EventRecord { event, state, deliveries }) in wanted {
            let line = EventLine {
                event: event.json(),
                received_ms: event.received_ms,
                environment: event.environment,
                state: *state,
                deliveries,
            };
            lines.put("event", line).await?;
        }
        after = tail.next;
        if !tail.more {
            return Ok(());
        }
    }
}

async fn rejected(store: &Store, export: &Export<'_>, lines: &mut Lines<'_>) -> Result<(), Stop> {
    let mut cursor = None::<String>;
    loop {
        let page = store.ledger.rejected(cursor.as_deref(), PAGE).await?;
        for one in page.items.iter().filter(|one| one.tenant.as_deref() == Some(export.tenant)) {
            let line = serde_json::to_value(one).unwrap_or_default();
            lines.put("rejected", fields(line)).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Exports the audit trail, newest first.
async fn changes(store: &Store, export: &Export<'_>, lines: &mut Lines<'_>) -> Result<(), Stop> {
    let mut cursor = None::<String>;
    loop {
        let (page, next) = audit::list(store, export.tenant, cursor.as_deref(), PAGE).await?;
        for change in page.into_iter().filter(|change| export.has(change.environment)) {
            let change = audit::masked(change, export.masked);
            let line = serde_json::to_value(change).unwrap_or_default();
            lines.put("change", fields(line)).await?;
        }
        cursor = next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
