//! Spans of an event's path: `event`, and below it `ingest`, `route`, an `attempt` for each try, and
//! `settle`. Where they belong is derived from the event ([`super::path`]); for an event that is not
//! recorded nothing is done.

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

use super::path::{Path, Share};
use fanfare_store::Ms;

/// Most events of a digest that its span is linked to.
const MOST_LINKS: usize = 128;

/// Makes spans and hands them to the exporter. Cheap to clone.
#[derive(Clone)]
pub struct Spans(Arc<Inner>);

struct Inner {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    sampled: Share,
}

/// A span without its place.
struct Piece {
    name: &'static str,
    kind: SpanKind,
    began: SystemTime,
    ended: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Spans {
    /// Hands spans to `processor`; of events without a producer's trace, this share.
    pub(super) fn new(processor: BatchSpanProcessor, sample: f64) -> Self {
        let scope = InstrumentationScope::builder("fanfare")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self(Arc::new(Inner { processor, scope, sampled: Share::new(sample) }))
    }

    /// Exports what is left, within a few seconds. Blocks.
    pub(super) fn stop(&self) {
        // What cannot be exported has been told by the exporter.
        let _ = self.0.processor.shutdown_with_timeout(Duration::from_secs(3));
    }

    /// `POST /v1/events` took an event.
    pub fn ingested(&self, event: &Event, began: SystemTime) {
        self.child(event, "ingest", SpanKind::Server, began);
    }

    /// An entry that a producer wrote to the stream was read, checked and found new.
    pub fn read(&self, event: &Event) {
        self.child(event, "ingest", SpanKind::Consumer, time(event.received_ms));
    }

    /// An event was matched against its tenant's table.
    pub fn routed(&self, event: &Event, began: SystemTime) {
        self.child(event, "route", SpanKind::Internal, began);
    }

    fn child(&self, event: &Event, name: &'static str, kind: SpanKind, began: SystemTime) {
        let Some(path) = self.0.sampled.path_of(event) else { return };
        let ended = SystemTime::now();
        let attributes = vec![KeyValue::new("fanfare.event.id", event.id.to_string())];
        let piece = Piece { name, kind, began, ended, attributes };
        self.0.emit(&path, span_id(), Some(path.root), piece);
    }

    /// Everything that became of an event is durable; its last delivery `ended` a little before.
    pub(super) fn settled(&self, event: &Event, deliveries: usize, ended: SystemTime) {
        let Some(path) = self.0.sampled.path_of(event) else { return };
        let now = SystemTime::now();
        let settle = Piece {
            name: "settle",
            kind: SpanKind::Internal,
            began: ended,
            ended: now,
            attributes: Vec::new(),
        };
        self.0.emit(&path, span_id(), Some(path.root), settle);
        let whole = Piece {
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

    /// An attempt begins. `None` when it is not recorded.
    pub(super) fn attempt(&self, channel: &'static str, delivery: &Delivery) -> Option<Attempt> {
        let (path, links) = match &delivery.content {
            Content::Event(event) => (self.0.sampled.path_of(event)?, Vec::new()),
            Content::Digest(digest) => {
                let path = self.0.sampled.path(&delivery.destination.tenant, &digest.id, None)?;
                let events = digest.events.iter().take(MOST_LINKS);
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

/// An attempt that is recorded.
pub(super) struct Attempt {
    spans: Spans,
    path: Path,
    span: SpanId,
    links: Vec<Link>,
    began: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Attempt {
    /// What the receiver gets, as W3C's recommendation writes it.
    pub(super) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.path.trace, self.span)
    }

    /// It ended so.
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
        let piece = Piece {
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
        let path = self.sampled.path_of(event)?;
        Some(Link::new(context(path.trace, path.root), Vec::new(), 0))
    }

    fn emit(&self, path: &Path, span: SpanId, parent: Option<SpanId>, piece: Piece) {
        self.processor.on_end(self.data(path, span, parent, piece));
    }

    fn data(&self, path: &Path, span: SpanId, parent: Option<SpanId>, piece: Piece) -> SpanData {
        SpanData {
            span_context: context(path.trace, span),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span == path.root,
            span_kind: piece.kind,
            name: Cow::Borrowed(piece.name),
            start_time: piece.began,
            // The wall clock may have been set back meanwhile.
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
