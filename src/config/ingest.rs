//! `[ingest]`: publishing over HTTP, and sources that cannot shape their body.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[ingest]`
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// A key that publishes for every tenant, in addition to those in the store.
    pub key: Option<String>,
    /// Sources by name: `POST /v1/ingest/{name}`.
    pub sources: BTreeMap<String, IngestSource>,
}

/// `[ingest.sources.NAME]`
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSource {
    /// The event type, or the words before the value at `type_path`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Where the event type is in the body.
    pub type_path: Option<String>,
    /// Where the id is.
    pub id_path: Option<String>,
    /// Where the time is.
    pub created_path: Option<String>,
    /// Where a list is whose items are one event each.
    pub events_path: Option<String>,
    /// The header with the HMAC-SHA256 signature of the body.
    pub signature_header: Option<String>,
    /// The secret that signs.
    pub secret: Option<String>,
}
