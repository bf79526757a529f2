//! The catalogue of event types: what each means, an example, and, if wanted, a JSON Schema that
//! events are checked by when they come in.
//!
//! It is the server's, for all tenants; kept as small documents, and followed by every process. A
//! schema fetches nothing: a reference to another document is refused when it is put.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_contract::Event;
use jsonschema::Validator;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::event::Refusal;
use crate::persist::Backoff;
use fanfare_store::{Record, Records, Result};

const COLLECTION: &str = "event_types";
/// Faults of one event that are told.
const TOLD: usize = 5;
/// Types in a page.
const PAGE: usize = 500;

/// What happens with an event that does not fit its type's schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Nothing: it is not looked at.
    #[default]
    Off,
    /// It is taken, and the answer says so.
    Flag,
    /// It is not taken.
    Reject,
}

/// One type, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// An event's data as it may be.
    #[serde(default)]
    pub example: Option<Value>,
    /// A JSON Schema (2020-12) of an event's `data`.
    #[serde(default)]
    pub schema: Option<Value>,
    /// What happens with an event that does not fit.
    #[serde(default)]
    pub check: Check,
}

impl EventType {
    /// Its schema, ready to check; or what is wrong with it.
    pub fn validator(&self) -> Result<Option<Validator>, String> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let built = jsonschema::draft202012::new(schema);
        built.map(Some).map_err(|error| format!("is no usable JSON Schema: {error}"))
    }
}

/// A type, ready to check.
struct Known {
    kept: EventType,
    validator: Option<Validator>,
}

/// All types, as this process knows them.
pub struct Catalogue {
    records: Arc<dyn Records>,
    types: ArcSwap<BTreeMap<String, Known>>,
}

impl Catalogue {
    /// Reads it.
    pub async fn load(records: Arc<dyn Records>) -> Result<Arc<Self>> {
        let catalogue = Arc::new(Self { records, types: ArcSwap::default() });
        catalogue.refresh().await?;
        Ok(catalogue)
    }

    /// Without any type.
    pub fn empty(records: Arc<dyn Records>) -> Arc<Self> {
        Arc::new(Self { records, types: ArcSwap::default() })
    }

    /// The types' names, in their order.
    pub fn names(&self) -> Vec<String> {
        self.types.load().keys().cloned().collect()
    }

    /// Checks an event by its type's schema: a refusal, or what is to be flagged.
    pub fn check(&self, event: &Event) -> Result<Vec<String>, Refusal> {
        let types = self.types.load();
        let Some(known) = types.get(&*event.kind) else { return Ok(Vec::new()) };
        let Some(validator) = known.validator.as_ref().filter(|_| known.kept.check != Check::Off)
        else {
            return Ok(Vec::new());
        };
        let fault = |error: jsonschema::ValidationError<'_>| {
            format!("data{}: {}", error.instance_path(), error.masked())
        };
        let faults: Vec<_> = validator.iter_errors(event.data()).take(TOLD).map(fault).collect();
        if faults.is_empty() || known.kept.check == Check::Flag {
            return Ok(faults);
        }
        let message = format!("does not fit the schema of {}: {}", event.kind, faults.join("; "));
        Err(Refusal::new("schema_mismatch", message))
    }

    /// One type, as the store has it, with its revision.
    pub async fn get(&self, name: &str) -> Result<Option<(EventType, u64)>> {
        let found = self.records.get(COLLECTION, name).await?;
        Ok(found.and_then(|record| Some((read(&record)?, record.revision))))
    }

    /// Types after a name, as the store has them.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, EventType)>> {
        let found = self.records.list(COLLECTION, after, limit).await?;
        Ok(found.iter().filter_map(|record| Some((record.id.clone(), read(record)?))).collect())
    }

    /// Writes a type; with `expected`, only if its revision is that (0: it must not exist).
    pub async fn put(&self, name: &str, kept: &EventType, expected: Option<u64>) -> Result<u64> {
        let doc = serde_json::to_vec(kept).expect("texts and JSON").into();
        let revision = self.records.put(COLLECTION, name, doc, expected, None).await?;
        self.refresh().await?;
        Ok(revision)
    }

    /// Removes a type, likewise. False when there was none.
    pub async fn remove(&self, name: &str, expected: Option<u64>) -> Result<bool> {
        let removed = self.records.remove(COLLECTION, name, expected).await?;
        self.refresh().await?;
        Ok(removed)
    }

    /// Reads all anew; answers the version that it is of at least.
    async fn refresh(&self) -> Result<u64> {
        let version = self.records.version(COLLECTION).await?;
        let mut types = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(COLLECTION, after.as_deref(), PAGE).await?;
            after = page.last().map(|record| record.id.clone());
            let last = page.len() < PAGE;
            for record in page {
                let Some(kept) = read(&record) else { continue };
                let validator = kept.validator().unwrap_or_default();
                types.insert(record.id, Known { kept, validator });
            }
            if last {
                break;
            }
        }
        self.types.store(Arc::new(types));
        Ok(version)
    }

    /// Follows the store until stopped: asks every half second whether something changed.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut version = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                () = stop.cancelled() => return,
            }
            let seen = match self.records.version(COLLECTION).await {
                Ok(now) if Some(now) == version => Ok(now),
                Ok(_) => self.refresh().await,
                Err(error) => Err(error),
            };
            match seen {
                Ok(now) => {
                    backoff.recovered("the catalogue of event types");
                    version = Some(now);
                }
                Err(error) => backoff.wait("the catalogue of event types", &error, &stop).await,
            }
        }
    }
}

fn read(record: &Record) -> Option<EventType> {
    let read = serde_json::from_slice(&record.doc);
    read.inspect_err(|error| tracing::error!(id = record.id, %error, "an event type is unreadable"))
        .ok()
}
