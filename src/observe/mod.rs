//! What operators see from outside: numbers (`metrics`) and, if asked for, spans (`spans`).
//!
//! The parts of the router know only thin hooks of their own ([`fanfare_store::Watch`],
//! [`crate::delivery::layers::Observer`]); [`Observe`] stands behind all of them. Handles of all
//! series are made at the start, so counting is an addition. No payload, address or secret is ever
//! a label or an attribute.

mod attempts;
mod labels;
mod metrics;
mod now;
mod otlp;
mod path;
mod process;
mod series;
mod spans;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_contract::Event;

pub use labels::{Accepted, Source};
pub use metrics::Metrics;
pub use now::Now;
pub use otlp::endpoint;
pub use spans::Spans;

use crate::config::Config;
use fanfare_store::{Call, DeliveryUpdate, Ms, Outcome, Watch};

/// Everything that is told outside. Shared by all parts of one process.
pub struct Observe {
    /// Numbers.
    pub metrics: Metrics,
    /// Spans, if they are exported.
    pub spans: Option<Spans>,
}

impl Observe {
    /// As the settings say. Must be called within the runtime that is to export spans.
    pub fn new(config: &Config) -> anyhow::Result<Arc<Self>> {
        let metrics = Metrics::new(config.metrics.per_tenant);
        let spans = endpoint(&config.tracing)?
            .map(|endpoint| Spans::export(endpoint, config.tracing.sample))
            .transpose()?;
        Ok(Arc::new(Self { metrics, spans }))
    }

    /// Counts, and exports nothing.
    pub fn quiet() -> Arc<Self> {
        Arc::new(Self { metrics: Metrics::new(false), spans: None })
    }

    /// The wall clock, if there are spans to be timed.
    pub(crate) fn span_time(&self) -> Option<SystemTime> {
        self.spans.as_ref().map(|_| SystemTime::now())
    }

    /// An entry of the log is settled, durably. `ended` is when its last delivery had an outcome.
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

    /// Deliveries that were served from their queue have an outcome, durably.
    pub(crate) fn served(&self, updates: &[(Arc<Event>, DeliveryUpdate)]) {
        for (event, update) in updates {
            self.metrics.delivery(event, update);
        }
    }

    /// Exports what is left; waits a moment for it.
    pub async fn stop(self: Arc<Self>) {
        if self.spans.is_none() {
            return;
        }
        let stop = move || self.spans.as_ref().map(Spans::stop);
        let _ = tokio::task::spawn_blocking(stop).await;
    }
}

impl Watch for Observe {
    fn call(&self, call: Call, took: Duration, items: usize, failed: bool) {
        self.metrics.call(call, took, items, failed);
    }
}
