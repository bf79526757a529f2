//! The layers around a channel, composed in one place.
//!
//! What is *not* here: the limits and the rate of one destination. Waiting for those must be
//! durable and must not hold memory, so the agenda applies them ([`crate::agenda::Gate`]) before a
//! delivery enters the stack. The limits here are for the whole channel in this process.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Channel, Delivery, DeliveryError, Rate, Receipt};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder};

use super::layers::{ConcurrencyLayer, DeadlineLayer, Observer, PaceLayer, QuickRetry, TraceLayer};

/// A channel with everything around it.
pub type Stack = BoxCloneSyncService<Delivery, Receipt, DeliveryError>;

/// What the stack needs besides the channel's policy.
#[derive(Clone)]
pub struct StackOptions {
    /// Observes every attempt.
    pub observer: Arc<dyn Observer>,
    /// The rate of the whole channel in this process (the contract with a mail relay, for example).
    pub channel_rate: Option<Rate>,
    /// The longest wait for the channel's own limits before a delivery is parked.
    pub longest_wait: Duration,
}

/// Composes one channel's stack, outermost first.
pub fn compose(channel: &dyn Channel, options: &StackOptions) -> Stack {
    let policy = channel.policy();
    let stack = ServiceBuilder::new()
        // Sees each attempt as a whole: a span, and its time including the waits inside.
        .layer(TraceLayer::new(channel.name(), options.observer.clone()))
        // Everything below ends within this time, or the delivery is retried by its schedule.
        .layer(DeadlineLayer::new(policy.deadline, "deadline"))
        // One more try at once if a connection that was kept open turns out to be dead.
        .layer(tower::retry::RetryLayer::new(QuickRetry::new()))
        // Limits the channel's sockets and memory. Inside the retry, so a retry queues like others.
        .layer(ConcurrencyLayer::new(policy.channel_concurrency, options.longest_wait))
        // The channel's own rate, if it has one. Inside the retry too, so retries count.
        .option_layer(options.channel_rate.map(PaceLayer::new))
        // One request. Innermost, so the wait for a permit does not count against the receiver.
        .layer(DeadlineLayer::new(policy.attempt_timeout, "timeout"))
        .service(channel.service());
    BoxCloneSyncService::new(tower::layer::util::Identity::new().layer(stack))
}
