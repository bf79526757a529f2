//! The catalog of event types: for each a description, an example and optionally a JSON Schema that
//! incoming events are checked against.
//!
//! The catalog belongs to the server and applies to all tenants. It is stored as small documents,
//! and every process follows it. A schema loads nothing: one that references another document is
//! refused.

mod cost;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfare_contract::Event;
use jsonschema::{PatternOptions, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::cost::Cost;
use crate::event::Refusal;
use crate::persist::Backoff;
use fanfare_store::{Record, Records, Result};

const COLLECTION: &str = "event_types";
/// Most schema errors reported for one event.
const MAX_ERRORS: usize = 5;
/// Most bytes of a compiled pattern of a schema.
const PATTERN_BYTES: usize = 64 * 1024;
/// Most times that a stored pattern may go back. New patterns never do.
const BACKTRACKS: usize = 1_000;
/// Event types read at once.
const PAGE: usize = 500;

/// What happens to an event that does not match the schema of its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Events are not checked.
    #[default]
    Off,
    /// The event is accepted, and the response lists the mismatches.
    Flag,
    /// The event is refused.
    Reject,
}

/// An event type as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// A description for people.
    #[serde(default)]
    pub description: String,
    /// An example of an event's `data`.
    #[serde(default)]
    pub example: Option<Value>,
    /// A JSON Schema (2020-12) for an event's `data`.
    #[serde(default)]
    pub schema: Option<Value>,
    /// What happens to an event that does not match.
    #[serde(default)]
    pub check: Check,
}

impl EventType {
    /// Compiles the schema, or returns what is wrong with it. Checking an event with the result
    /// takes at most a few milliseconds.
    pub fn checker(&self) -> Result<Option<Checker>, String> {
        let linear = PatternOptions::regex().size_limit(PATTERN_BYTES);
        self.compile(|options| options.with_pattern_options(linear))
    }

    /// Likewise, for a stored schema. Earlier versions took patterns that can go back, such as
    /// those that look ahead. These have a limit.
    fn stored_checker(&self) -> Result<Option<Checker>, String> {
        let bounded =
            PatternOptions::fancy_regex().size_limit(PATTERN_BYTES).backtrack_limit(BACKTRACKS);
        self.checker().or_else(|_| self.compile(|options| options.with_pattern_options(bounded)))
    }

    fn compile(
        &self,
        with: impl FnOnce(jsonschema::ValidationOptions<'_>) -> jsonschema::ValidationOptions<'_>,
    ) -> Result<Option<Checker>, String> {
        let Some(schema) = &self.schema else { return Ok(None) };
        let cost = Cost::of(schema)?;
        let options = with(jsonschema::options().with_draft(jsonschema::Draft::Draft202012));
        let validator = options
            .build(schema)
            .map_err(|error| format!("is not a valid JSON Schema: {error}"))?;
        Ok(Some(Checker { validator, cost }))
    }
}

/// A compiled schema, and what it costs.
pub struct Checker {
    validator: Validator,
    cost: Cost,
}

impl Checker {
    /// What does not match the schema, at most `most` of it: the path and the message, in which
    /// values are masked if asked. The error is that the data is too large for the schema.
    pub fn mismatches(
        &self,
        data: &Value,
        bytes: usize,
        most: usize,
        masked: bool,
    ) -> Result<Vec<(String, String)>, String> {
        if !self.cost.allows(data, bytes) {
            return Err("has too many values to be checked against the schema of its type; split \
                        it, or simplify the schema"
                .to_owned());
        }
        let mismatch = |error: jsonschema::ValidationError<'_>| {
            let text = if masked { error.masked().to_string() } else { error.to_string() };
            (error.instance_path().to_string(), text)
        };
        Ok(self.validator.iter_errors(data).take(most).map(mismatch).collect())
    }
}

/// An event type with its compiled schema.
struct CompiledType {
    kept: EventType,
    checker: Option<Checker>,
}

/// All event types, as known to this process.
pub struct Catalogue {
    records: Arc<dyn Records>,
    types: ArcSwap<BTreeMap<String, CompiledType>>,
}

impl Catalogue {
    /// Reads the catalog from the store.
    pub async fn load(records: Arc<dyn Records>) -> Result<Arc<Self>> {
        let catalogue = Arc::new(Self { records, types: ArcSwap::default() });
        catalogue.refresh().await?;
        Ok(catalogue)
    }

    /// A catalog without event types.
    pub fn empty(records: Arc<dyn Records>) -> Arc<Self> {
        Arc::new(Self { records, types: ArcSwap::default() })
    }

    /// The names of all event types, sorted.
    pub fn names(&self) -> Vec<String> {
        self.types.load().keys().cloned().collect()
    }

    /// Checks an event against the schema of its type. Returns the mismatches if the type only
    /// flags them.
    pub fn check(&self, event: &Event) -> Result<Vec<String>, Refusal> {
        let types = self.types.load();
        let Some(known) = types.get(&*event.kind) else { return Ok(Vec::new()) };
        let Some(checker) = known.checker.as_ref().filter(|_| known.kept.check != Check::Off)
        else {
            return Ok(Vec::new());
        };
        let found = checker.mismatches(event.data(), event.body.len(), MAX_ERRORS, true);
        let mismatches: Vec<_> = match found {
            Ok(found) => {
                found.into_iter().map(|(path, what)| format!("data{path}: {what}")).collect()
            }
            Err(too_large) => vec![format!("data: {too_large}")],
        };
        if mismatches.is_empty() || known.kept.check == Check::Flag {
            return Ok(mismatches);
        }
        let message = format!(
            "the event does not match the schema of its type {}: {}",
            event.kind,
            mismatches.join("; ")
        );
        Err(Refusal::new("schema_mismatch", message))
    }

    /// An event type and its revision, read from the store.
    pub async fn get(&self, name: &str) -> Result<Option<(EventType, u64)>> {
        let found = self.records.get(COLLECTION, name).await?;
        Ok(found.and_then(|record| Some((read(&record)?, record.revision))))
    }

    /// Event types after a name, read from the store.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, EventType)>> {
        let found = self.records.list(COLLECTION, after, limit).await?;
        Ok(found.iter().filter_map(|record| Some((record.id.clone(), read(record)?))).collect())
    }

    /// Writes an event type. With `expected` only if that is its revision, where 0 means that it
    /// must not exist.
    pub async fn put(&self, name: &str, kept: &EventType, expected: Option<u64>) -> Result<u64> {
        let doc = serde_json::to_vec(kept).expect("texts and JSON").into();
        let revision = self.records.put(COLLECTION, name, doc, expected, None).await?;
        self.refresh().await?;
        Ok(revision)
    }

    /// Removes an event type, likewise. Returns false if there was none.
    pub async fn remove(&self, name: &str, expected: Option<u64>) -> Result<bool> {
        let removed = self.records.remove(COLLECTION, name, expected).await?;
        self.refresh().await?;
        Ok(removed)
    }

    /// Reads the whole catalog. Returns a version that it is at least as new as.
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
                let checker = kept.stored_checker().unwrap_or_else(|error| {
                    tracing::error!(
                        event_type = record.id,
                        "the schema of an event type cannot be used: it {error}; its events are not \
                         checked"
                    );
                    None
                });
                types.insert(record.id, CompiledType { kept, checker });
            }
            if last {
                break;
            }
        }
        self.types.store(Arc::new(types));
        Ok(version)
    }

    /// Follows the store until stopped: checks every half second whether something changed.
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
                    backoff.recovered("the catalog of event types");
                    version = Some(now);
                }
                Err(error) => backoff.wait("the catalog of event types", &error, &stop).await,
            }
        }
    }
}

fn read(record: &Record) -> Option<EventType> {
    let read = serde_json::from_slice(&record.doc);
    read.inspect_err(|error| {
        tracing::error!(id = record.id, %error, "an unreadable event type is ignored");
    })
    .ok()
}
