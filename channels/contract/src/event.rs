//! An accepted event: its envelope, and the exact bytes that every receiver gets.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Environment, Json};

/// One event of one tenant.
///
/// `body` is the envelope exactly as webhooks receive it: the same bytes on every attempt.
#[derive(Debug)]
pub struct Event {
    /// The tenant that owns the event.
    pub tenant: Arc<str>,
    /// `evt_…`, unique within the tenant.
    pub id: Arc<str>,
    /// The envelope's `type`, for example `kyc.session.created`.
    pub kind: Arc<str>,
    /// The envelope's `created`, in Unix seconds.
    pub created: i64,
    /// Unix milliseconds at which Fanfare accepted the event.
    pub received_ms: i64,
    /// The environment that the event belongs to.
    pub environment: Environment,
    /// The envelope, byte for byte.
    pub body: Bytes,
    /// W3C `traceparent`, from the producer or for one attempt.
    pub trace: Option<Arc<str>>,
    /// The parsed envelope, filled on first use.
    parsed: OnceLock<Value>,
    /// The same with numbers as they were written.
    json: OnceLock<Json>,
}

impl Event {
    /// A live event. The caller has checked that `body` is a JSON object.
    pub fn new(
        tenant: Arc<str>,
        id: Arc<str>,
        kind: Arc<str>,
        created: i64,
        received_ms: i64,
        body: Bytes,
    ) -> Self {
        Self {
            tenant,
            id,
            kind,
            created,
            received_ms,
            environment: Environment::Live,
            body,
            trace: None,
            parsed: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// Sets the producer's trace context.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<Arc<str>>) -> Self {
        self.trace = trace;
        self
    }

    /// Sets the environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// A copy for one attempt, with that attempt's trace context.
    #[must_use]
    pub fn retraced(&self, trace: Arc<str>) -> Self {
        Self {
            tenant: self.tenant.clone(),
            id: self.id.clone(),
            kind: self.kind.clone(),
            created: self.created,
            received_ms: self.received_ms,
            environment: self.environment,
            body: self.body.clone(),
            trace: Some(trace),
            parsed: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The whole envelope as JSON, with numbers as the producer wrote them. It is parsed once, on
    /// first use.
    pub fn json(&self) -> &Json {
        self.json.get_or_init(|| Json::parse(&self.body).unwrap_or_default())
    }

    /// The envelope's bytes, to become part of a JSON text. Null if they are not JSON.
    pub fn raw(&self) -> &RawValue {
        serde_json::from_slice(&self.body).unwrap_or(RawValue::NULL)
    }

    /// The whole envelope as `serde_json` reads it, which changes numbers beyond 64 bits and
    /// decimals with many digits. Use it where another library needs this type, and [`Self::json`]
    /// elsewhere. It is parsed once, on first use.
    pub fn value(&self) -> &Value {
        self.parsed.get_or_init(|| serde_json::from_slice(&self.body).unwrap_or(Value::Null))
    }

    /// The event's `data`, or null if the envelope has none.
    pub fn data(&self) -> &Value {
        self.value().get("data").unwrap_or(&Value::Null)
    }

    /// The value at a dotted path such as `data.session_id`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self.value(), |value, key| value.get(key))
    }
}
