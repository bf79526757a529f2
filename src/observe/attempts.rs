//! Counts every attempt, and creates a span for it whose context is sent with the request.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery};

use super::Observe;
use crate::delivery::layers::{Ended, Observer};

impl Observer for Observe {
    fn attempt(&self, channel: &'static str, took: Duration, result: Result<(), &str>) {
        self.metrics.attempt(channel, took, result);
    }

    fn begin(&self, channel: &'static str, delivery: &mut Delivery) -> Option<Ended> {
        let spans = self.spans.as_ref()?;
        let attempt = spans.attempt(channel, delivery)?;
        if let Content::Event(event) = &delivery.content {
            // The receiver's own spans become children of this attempt.
            let event = event.retraced(attempt.traceparent().into());
            delivery.content = Content::Event(Arc::new(event));
        }
        Some(Box::new(move |result| attempt.end(result)))
    }
}
