//! The layers around a channel, composed in one place.
//!
//! What is *not* here: limits and pace of one destination. Waiting for those must be durable and
//! must not hold memory, so they are the agenda's (`crate::agenda::Gate`), before a delivery
//! enters the stack. The limits here bound the whole channel in this process.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Channel, Delivery, DeliveryError, Rate, Receipt};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder};

use super::layers::{
    ConcurrencyLayer, DeadlineLayer, Observer, PaceLayer, QuickRetry, TraceLayer, retry_budget,
};

/// A channel with everything around it.
pub type Stack = BoxCloneSyncService<Delivery, Receipt, DeliveryError>;

/// What the stack needs besides the channel's policy.
#[derive(Clone)]
pub struct StackOptions {
    /// Told of every attempt.
    pub observer: Arc<dyn Observer>,
    /// Pace of the whole channel in this process (a mail relay's contract, for example).
    pub channel_rate: Option<Rate>,
    /// Longest a delivery may wait for the channel's own limits before it is parked.
    pub longest_wait: Duration,
}

/// Composes one channel's stack, outermost first.
pub fn compose(channel: &dyn Channel, options: &StackOptions) -> Stack {
    let policy = channel.policy();
    let stack = ServiceBuilder::new()
        // Sees every durable attempt whole: a span, and its time with the waits inside.
        .layer(TraceLayer::new(channel.name(), options.observer.clone()))
        // All that follows ends in this time, or the delivery goes to the durable schedule. A
        // lease outlives it, so no other replica starts the same delivery meanwhile.
        .layer(DeadlineLayer::new(policy.deadline, "deadline"))
        // One more try at once where a kept-alive connection broke before it was answered.
        // Budgeted: when everything breaks, this must not double the load.
        .layer(tower::retry::RetryLayer::new(QuickRetry::new(policy.quick_retries, retry_budget())))
        // Bounds sockets and memory of the channel. Inside the retry: a retry queues like others.
        .layer(ConcurrencyLayer::new(policy.channel_concurrency, options.longest_wait))
        // The channel's own pace, if it has one. Inside the retry too: retries count.
        .option_layer(options.channel_rate.map(PaceLayer::new))
        // One attempt. Innermost, so that waiting for a permit is not counted against the receiver.
        .layer(DeadlineLayer::new(policy.attempt_timeout, "timeout"))
        .service(channel.service());
    BoxCloneSyncService::new(tower::layer::util::Identity::new().layer(stack))
}
