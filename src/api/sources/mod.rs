//! Ingest sources: producers that cannot shape their body. A source turns what they send into
//! events, and checks its signature.
//!
//! - `builtin`: Alertmanager, Grafana and GitHub
//! - `cloudevents`: `CloudEvents` 1.0 in its three forms
//! - `mapping`: sources of the settings, which say where the parts of an event are
//! - `signature`: HMAC signatures of a body
//! - `envelope`: writes the event

mod builtin;
mod cloudevents;
mod envelope;
mod mapping;
mod signature;

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::answer::ApiError;
use crate::event::Refusal;
use fanfare_routing::did_you_mean;

pub(super) use cloudevents::is_cloudevent;
pub(super) use envelope::with_type;
pub use mapping::Mapping;
use signature::Signature;

/// The events of one request.
pub(super) enum Parts {
    /// One event.
    One(Bytes),
    /// A batch, with the refusals of those that are no events.
    Several(Vec<Result<Bytes, Refusal>>),
}

/// Limits on what one request may contain.
#[derive(Clone, Copy)]
pub(super) struct SourceLimits {
    /// Most events in one request.
    pub(super) max_batch: usize,
    /// Largest event in bytes.
    pub(super) max_bytes: usize,
}

impl SourceLimits {
    /// Refuses an event that is too large before it is parsed.
    fn check(self, event: &RawValue) -> Result<&RawValue, Refusal> {
        let (bytes, most) = (event.get().len(), self.max_bytes);
        if bytes <= most {
            return Ok(event);
        }
        let message = format!("the event has {bytes} bytes; the limit is {most}");
        Err(Refusal::new("too_large", message))
    }
}

/// How the body of a source becomes events.
enum Form {
    Alertmanager,
    Grafana,
    GitHub,
    CloudEvents,
    Mapped(Mapping),
}

/// A source.
pub(super) struct Source {
    form: Form,
    signature: Option<Signature>,
}

/// A source of the settings.
pub struct OwnSource {
    /// Its name in the path.
    pub name: String,
    /// Where the parts of an event are. `None` for a built-in source.
    pub mapping: Option<Mapping>,
    /// The header with the signature. A built-in source knows its own.
    pub signature_header: Option<String>,
    /// The secret that signs.
    pub secret: Option<String>,
}

/// All sources, by name.
pub struct Sources(BTreeMap<String, Source>);

/// The sources that need no settings.
pub const BUILT_IN: [&str; 4] = ["alertmanager", "cloudevents", "github", "grafana"];

impl Default for Sources {
    fn default() -> Self {
        let source = |name: &'static str| {
            let form = match name {
                "alertmanager" => Form::Alertmanager,
                "grafana" => Form::Grafana,
                "github" => Form::GitHub,
                _ => Form::CloudEvents,
            };
            (name.to_owned(), Source { form, signature: None })
        };
        Self(BUILT_IN.into_iter().map(source).collect())
    }
}

impl Sources {
    /// The built-in sources, and those of the settings.
    pub fn new(own: impl IntoIterator<Item = OwnSource>) -> Self {
        let mut sources = Self::default();
        for OwnSource { name, mapping, signature_header, secret } in own {
            let header = signature_header.or_else(|| builtin::signature_header(&name));
            let signature =
                header.zip(secret).map(|(header, secret)| Signature::new(&header, &secret));
            match (sources.0.get_mut(&name), mapping) {
                (Some(built_in), None) => built_in.signature = signature,
                (_, mapping) => {
                    let form = Form::Mapped(mapping.unwrap_or_default());
                    sources.0.insert(name, Source { form, signature });
                }
            }
        }
        sources
    }

    /// A source by name.
    pub(super) fn get(&self, name: &str) -> Result<&Source, ApiError> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let hint = did_you_mean(name, names.iter().copied());
            let shown: String = name.chars().take(64).collect();
            let message = format!(
                "there is no source `{shown}`{hint}; the sources are {}, and more can be added in the \
                 settings",
                names.join(", ")
            );
            ApiError::new(StatusCode::NOT_FOUND, "not_found", "unknown_source", message)
        })
    }
}

impl Source {
    /// Checks the signature of a body, if the source has a secret.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        self.signature.as_ref().map_or(Ok(()), |signature| signature.verify(headers, body))
    }

    /// The events in a body.
    pub(super) fn events(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        limits: SourceLimits,
    ) -> Result<Parts, ApiError> {
        let one = match &self.form {
            Form::Alertmanager => builtin::alertmanager("alertmanager", body),
            Form::Grafana => builtin::alertmanager("grafana", body),
            Form::GitHub => builtin::github(headers, body),
            Form::CloudEvents => return cloudevents::events(headers, body, limits),
            Form::Mapped(mapping) => return mapping.events(body, limits.max_batch),
        };
        Ok(Parts::One(one?))
    }
}

/// The events of a request that is a `CloudEvent`.
pub(super) fn cloud_events(
    headers: &HeaderMap,
    body: &Bytes,
    limits: SourceLimits,
) -> Result<Parts, ApiError> {
    cloudevents::events(headers, body, limits)
}
