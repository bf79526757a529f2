//! One attempt: runs a delivery through its lane's stack, and lets the gate learn from the result.
//! First attempts and later ones, single deliveries and digests all come here.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_contract::{Delivery, DeliveryError, Event, Resend};
use futures::FutureExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::{Clock, Health, Hold, Lane, Mode};
use crate::delivery::{Concluded, Judgement, Stack, Tried, conclude};
use fanfare_store::{Change, DeliveryUpdate, Ms, Reason, StateKind};

/// Receives what others may need to know. Must not block.
pub trait Notices: Send + Sync {
    /// The receiver is gone: nothing will reach this lane until a person repairs it.
    fn destination_gone(&self, lane: &Lane, code: &str, message: &str);
    /// A delivery is dead.
    fn delivery_dead(&self, lane: &Lane, delivery: &Delivery, concluded: &Concluded);
    /// Nothing is sent to a lane until the end of this hold. `code` is that of the last failure.
    fn held(&self, lane: &Lane, hold: &Hold, code: &str, at: Ms) {
        let _ = (lane, hold, code, at);
    }
    /// A lane accepts that was reported as held, perhaps by an earlier process.
    fn recovered(&self, lane: &Lane, at: Ms) {
        let _ = (lane, at);
    }
    /// A lane's health. Not called for every attempt, see
    /// [`FailureStreak`](super::FailureStreak).
    fn health(&self, lane: &Lane, health: Health, at: Ms) {
        let _ = (lane, health, at);
    }
    /// Outcomes of deliveries that were served from their queue are durable.
    fn recorded(&self, outcomes: &[(Arc<Event>, DeliveryUpdate)]) {
        let _ = outcomes;
    }
}

/// Makes one attempt and concludes it.
pub async fn run_attempt(
    lane: &Lane,
    mut delivery: Delivery,
    clock: Clock,
    notices: &dyn Notices,
) -> Concluded {
    delivery.resend = if lane.policy.quick_retry { Resend::Allowed } else { Resend::Never };
    let (number, at_ms) = (delivery.attempt, delivery.at_ms);
    let began = Instant::now();
    let mut stack = Stack::clone(&lane.stack);
    let call = async { stack.ready().await?.call(delivery.clone()).await };
    // A panic in a channel costs one delivery its attempt, not the lane its worker.
    let result = AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|_| {
        Err(DeliveryError::retry("internal", "the channel panicked; this is a defect")
            .maybe_accepted(true))
    });
    let (took, now_ms) = (began.elapsed(), clock.now_ms());
    let tried = Tried { number, at_ms, took, now_ms };
    let mut concluded = conclude(&lane.policy, tried, &result, rand::random());

    if let Some(opened) = lane.gate.learn(concluded.judgement, took, now_ms, rand::random()) {
        let (tenant, destination) = (&*lane.key.tenant, &*lane.key.id);
        if opened {
            let code = concluded.attempt.as_ref().map_or("", |attempt| &attempt.code);
            tracing::warn!(tenant, destination, code, "circuit opened: the receiver keeps failing");
            lane.replicas.note_circuit(&lane.key, lane.gate.view(now_ms).open_until);
        } else {
            tracing::info!(tenant, destination, "circuit closed: the receiver accepts again");
            lane.replicas.note_circuit(&lane.key, None);
        }
    }
    if lane.gate.is_superseded() {
        concluded = under_new_settings(concluded, now_ms);
    } else {
        report_hold(lane, &concluded, notices, now_ms);
    }
    if concluded.judgement == Judgement::Gone
        && !lane.gone.swap(true, Ordering::Relaxed)
        && let Err(error) = &result
    {
        notices.destination_gone(lane, &error.code, &error.message);
    }
    if let Some(health) = lane.streak.learn(&concluded, &lane.policy, now_ms) {
        notices.health(lane, health, now_ms);
    }
    if concluded.change.target_kind() == StateKind::Dead {
        notices.delivery_dead(lane, &delivery, &concluded);
    }
    concluded
}

/// The destination was changed or repaired during the attempt. A failure is that of its former
/// settings, so the delivery is due at once under the new ones.
fn under_new_settings(mut concluded: Concluded, now: Ms) -> Concluded {
    if matches!(concluded.change, Change::Retried { .. } | Change::ReceiverGone(_)) {
        concluded.change = Change::Retried { due_ms: now, serve_ms: now };
    }
    concluded.judgement = Judgement::Neutral;
    concluded
}

/// Reports that nothing will be sent to the lane for a while, or that it accepts again.
fn report_hold(lane: &Lane, concluded: &Concluded, notices: &dyn Notices, now: Ms) {
    match concluded.judgement {
        Judgement::Healthy if lane.gate.is_free_again() => notices.recovered(lane, now),
        Judgement::Refused | Judgement::Unhealthy { .. } => {
            let is_ordered = matches!(lane.mode, Mode::Fifo | Mode::Digest(_));
            let wait = concluded.change.serve_ms().filter(|_| is_ordered);
            let order = wait.map(|until| Hold { reason: Reason::Retry, until: Some(until) });
            if let Some(hold) = lane.gate.news(order, now) {
                let code = concluded.attempt.as_ref().map_or("", |attempt| &attempt.code);
                notices.held(lane, &hold, code, now);
            }
        }
        _ => {}
    }
}
