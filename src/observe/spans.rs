//! The spans of an event: `event`, and its children `ingest`, `route`, one `attempt` for each
//! attempt, and `settle`. Their trace and ids are derived from the event ([`super::path`]). An
//! event that is not sampled costs nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanfare_contract::{Content, Delivery, DeliveryError, Event, Receipt};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};

use super::path::{Sampler, TracePath};
use fanfare_store::Ms;

/// Most events that the span of a digest links to.
const MAX_LINKS: usize = 128;

/// Creates spans and passes them to the exporter. Cheap to clone.
#[derive(Clone)]
pub struct Spans(Arc<Inner>);

struct Inner {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    sampler: Sampler,
}

/// A span without its ids.
struct SpanParts {
    name: &'static str,
    kind: SpanKind,
    began: SystemTime,
    ended: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Spans {
    /// Passes spans to `processor`. `sample` is the ratio of events to sample if their producer
    /// does not decide.
    pub(super) fn new(processor: BatchSpanProcessor, sample: f64) -> Self {
        let scope = InstrumentationScope::builder("fanfare")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Arc::new(Inner { processor, scope, sampler: Sampler::new(sample) }))
    }

    /// Exports remaining spans, within a few seconds. Blocks.
    pub(super) fn stop(&self) {
        // The exporter has already logged spans that cannot be exported.
        let _ = self.0.processor.shutdown_with_timeout(Duration::from_secs(3));
    }

    /// `POST /v1/events` accepted an event.
    pub fn ingested(&self, event: &Event, began: SystemTime) {
        self.child(event, "ingest", SpanKind::Server, began);
    }

    /// A producer's stream entry was read and admitted as a new event.
    pub fn read(&self, event: &Event) {
        self.child(event, "ingest", SpanKind::Consumer, time(event.received_ms));
    }

    /// An event was matched against its tenant's routes.
    pub fn routed(&self, event: &Event, began: SystemTime) {
        self.child(event, "route", SpanKind::Internal, began);
    }

    fn child(&self, event: &Event, name: &'static str, kind: SpanKind, began: SystemTime) {
        let Some(path) = self.0.sampler.path_of(event) else { return };
        let ended = SystemTime::now();
        let attributes = vec![KeyValue::new("fanfare.event.id", event.id.to_string())];
        let piece = SpanParts { name, kind, began, ended, attributes };
        self.0.emit(&path, span_id(), Some(path.root), piece);
    }

    /// All outcomes of an event are durable. `ended` is when its last delivery had an outcome.
    pub(super) fn settled(&self, event: &Event, deliveries: usize, ended: SystemTime) {
        let Some(path) = self.0.sampler.path_of(event) else { return };
        let now = SystemTime::now();
        let settle = SpanParts {
            name: "settle",
            kind: SpanKind::Internal,
            began: ended,
            ended: now,
            attributes: Vec::new(),
        };
        self.0.emit(&path, span_id(), Some(path.root), settle);
        let whole = SpanParts {
            name: "event",
            kind: SpanKind::Consumer,
            began: time(event.received_ms),
            ended: now,
            attributes: vec![
                KeyValue::new("fanfare.tenant", event.tenant.to_string()),
                KeyValue::new("fanfare.event.id", event.id.to_string()),
                KeyValue::new("fanfare.event.type", event.kind.to_string()),
                KeyValue::new("fanfare.deliveries", i64::try_from(deliveries).unwrap_or(0)),
            ],
        };
        self.0.emit(&path, path.root, path.parent, whole);
    }

    /// An attempt begins. Returns `None` if it is not sampled.
    pub(super) fn attempt(&self, channel: &'static str, delivery: &Delivery) -> Option<Attempt> {
        let (path, links) = match &delivery.content {
            Content::Event(event) => (self.0.sampler.path_of(event)?, Vec::new()),
            Content::Digest(digest) => {
                let path = self.0.sampler.path(&delivery.destination.tenant, &digest.id, None)?;
                let events = digest.events.iter().take(MAX_LINKS);
                (path, events.filter_map(|event| self.0.link(event)).collect())
            }
        };
        let attributes = vec![
            KeyValue::new("fanfare.tenant", delivery.destination.tenant.to_string()),
            KeyValue::new("fanfare.destination", delivery.destination.lane.to_string()),
            KeyValue::new("fanfare.delivery.id", delivery.id.to_string()),
            KeyValue::new("fanfare.channel", channel),
            KeyValue::new("fanfare.attempt", i64::from(delivery.attempt)),
        ];
        let began = SystemTime::now();
        Some(Attempt { spans: self.clone(), path, span: span_id(), links, began, attributes })
    }
}

/// A sampled attempt.
pub(super) struct Attempt {
    spans: Spans,
    path: TracePath,
    span: SpanId,
    links: Vec<Link>,
    began: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Attempt {
    /// The `traceparent` header for the receiver (W3C Trace Context).
    pub(super) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.path.trace, self.span)
    }

    /// The attempt ended.
    pub(super) fn end(mut self, result: &Result<Receipt, DeliveryError>) {
        let status = match result {
            Ok(receipt) => receipt.status,
            Err(error) => {
                self.attributes.push(KeyValue::new("error.type", error.code.clone()));
                error.status
            }
        };
        if let Some(status) = status {
            self.attributes.push(KeyValue::new("fanfare.status", i64::from(status)));
        }
        let piece = SpanParts {
            name: "attempt",
            kind: SpanKind::Client,
            began: self.began,
            ended: SystemTime::now(),
            attributes: self.attributes,
        };
        let parent = self.links.is_empty().then_some(self.path.root);
        let mut data = self.spans.0.data(&self.path, self.span, parent, piece);
        data.links.links = self.links;
        if let Err(error) = result {
            data.status = Status::error(Cow::from(error.code.clone()));
        }
        self.spans.0.processor.on_end(data);
    }
}

impl Inner {
    fn link(&self, event: &Event) -> Option<Link> {
        let path = self.sampler.path_of(event)?;
        Some(Link::new(context(path.trace, path.root), Vec::new(), 0))
    }

    fn emit(&self, path: &TracePath, span: SpanId, parent: Option<SpanId>, piece: SpanParts) {
        self.processor.on_end(self.data(path, span, parent, piece));
    }

    fn data(
        &self,
        path: &TracePath,
        span: SpanId,
        parent: Option<SpanId>,
        piece: SpanParts,
    ) -> SpanData {
        SpanData {
            span_context: context(path.trace, span),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span == path.root,
            span_kind: piece.kind,
            name: Cow::Borrowed(piece.name),
            start_time: piece.began,
            // The wall clock may have been set back.
            end_time: piece.ended.max(piece.began),
            attributes: piece.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn span_id() -> SpanId {
    SpanId::from(rand::random::<u64>().max(1))
}

fn time(ms: Ms) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
