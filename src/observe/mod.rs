//! What operators can observe: metrics (`metrics`) and optionally traces (`spans`).
//!
//! The parts of the router only know small hooks ([`fanfare_store::Watch`],
//! [`crate::delivery::layers::Observer`]), and [`Observe`] implements all of them. Handles for all
//! series are created at startup, so counting is a single addition. No payload, address or secret
//! ever becomes a label or an attribute.

mod attempts;
mod connections;
mod gauges;
mod labels;
mod metrics;
mod otlp;
mod path;
mod process;
mod quotas;
mod series;
mod spans;
mod steps;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_contract::Event;

pub use connections::{ConnectionEnd, ConnectionMetrics};
pub use gauges::Gauges;
pub use labels::{Accepted, Source};
pub use metrics::Metrics;
pub use otlp::endpoint;
pub use quotas::QuotaGauges;
pub use spans::Spans;
pub use steps::{Step, Steps};

use crate::config::Config;
use fanfare_store::{Call, DeliveryUpdate, Ms, Outcome, Watch};

/// Metrics and traces, shared by all parts of one process.
pub struct Observe {
    /// The metrics.
    pub metrics: Metrics,
    /// The spans. `None` if traces are not exported.
    pub spans: Option<Spans>,
    /// Whether the steps of the path go on.
    pub steps: Steps,
}

impl Observe {
    /// Creates metrics and traces according to the settings. Must be called within the runtime that
    /// exports spans.
    pub fn new(config: &Config) -> anyhow::Result<Arc<Self>> {
        let metrics = Metrics::new(config.metrics.per_tenant);
        let spans = endpoint(&config.tracing)?
            .map(|endpoint| Spans::export(endpoint, config.tracing.sample))
            .transpose()?;
        Ok(Arc::new(Self { metrics, spans, steps: Steps::default() }))
    }

    /// Counts without exporting traces.
    pub fn quiet() -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(false), spans: None, steps: Steps::default() })
    }

    /// The wall clock time, if spans are exported.
    pub(crate) fn span_time(&self) -> Option<SystemTime> {
        self.spans.as_ref().map(|_| SystemTime::now())
    }

    /// Records a durably settled entry of the log. `ended` is when its last delivery had an
    /// outcome.
    pub(crate) fn settled(
        &self,
        source: Source,
        outcome: &Outcome,
        ended: Option<SystemTime>,
        now: Ms,
    ) {
        self.metrics.settled(source, outcome, now);
        if let (Some(spans), Some(ended)) = (&self.spans, ended) {
            match outcome {
                Outcome::Routed(event, updates) => spans.settled(event, updates.len(), ended),
                Outcome::Unrouted(event) => spans.settled(event, 0, ended),
                Outcome::Rejected(_) | Outcome::Duplicate => {}
            }
        }
    }

    /// Records durable outcomes of deliveries that were served from their queue.
    pub(crate) fn served(&self, updates: &[(Arc<Event>, DeliveryUpdate)]) {
        for (event, update) in updates {
            self.metrics.delivery(event, update);
        }
    }

    /// Exports remaining spans, and waits briefly for that.
    pub async fn stop(self: Arc<Self>) {
        if self.spans.is_none() {
            return;
        }
        let stop = move || self.spans.as_ref().map(Spans::stop);
        let _ = tokio::task::spawn_blocking(stop).await;
    }
}

impl Watch for Observe {
    fn began(&self, call: Call) {
        self.steps.began(call);
    }

    fn call(&self, call: Call, took: Duration, items: usize, failed: bool) {
        self.steps.ended(call, failed);
        self.metrics.call(call, took, items, failed);
    }
}
