//! What the result of an attempt means for the delivery, its lane and its receiver.

use std::time::Duration;

use fanfare_contract::{DeliveryError, Policy, Receipt, Resent, Verdict};

use super::layers::BUSY;
use super::schedule::next_wait;
use crate::flow::CHANNEL_BUSY_WAIT_MS;
use fanfare_store::{Attempt, Change, Ms, Reason};

/// What the result says about the receiver, for the circuit and the adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It accepted the delivery.
    Healthy,
    /// It is up and refused this message.
    Refused,
    /// The attempt says nothing about its health.
    Neutral,
    /// It is slow or down, or asked for a pause.
    Unhealthy {
        /// The pause that it asked for.
        retry_after: Option<Duration>,
    },
    /// Nothing will reach it until a person repairs it.
    Gone,
}

/// The conclusion from an attempt.
#[derive(Clone, Debug)]
pub struct Concluded {
    /// Requests of this attempt that failed before the last one, for the ledger.
    pub resent: Vec<Attempt>,
    /// The attempt, for the ledger. None if nothing was sent.
    pub attempt: Option<Attempt>,
    /// What it means for the delivery.
    pub change: Change,
    /// What the attempt says about the receiver.
    pub judgement: Judgement,
    /// The address was refused: a hard bounce.
    pub bounced: bool,
}

impl Concluded {
    /// Everything that was sent, in order.
    pub fn attempts(self) -> Vec<Attempt> {
        let mut attempts = self.resent;
        attempts.extend(self.attempt);
        attempts
    }
}

/// The number and the times of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub at_ms: Ms,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub now_ms: Ms,
}

/// Concludes an attempt. `random` in `[0, 1)` is for the jitter of the next one.
pub fn conclude(
    policy: &Policy,
    tried: Tried,
    result: &Result<Receipt, DeliveryError>,
    random: f64,
) -> Concluded {
    let attempt = Attempt {
        number: tried.number,
        at_ms: tried.at_ms,
        took_ms: millis(tried.took),
        code: "ok".to_owned(),
        status: None,
        message: String::new(),
        answer: String::new(),
        remote_id: None,
        digest: None,
        resent: false,
    };
    match result {
        Ok(receipt) => {
            let (resent, attempt) = split(attempt, &receipt.resent);
            Concluded { resent, ..accepted(attempt, receipt) }
        }
        Err(error) => {
            let (resent, attempt) = split(attempt, &error.resent);
            Concluded { resent, ..failed(policy, attempt, tried.now_ms, error, random) }
        }
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// Attempts for the requests before the last one. The rest of the time belongs to the last one.
fn split(mut last: Attempt, resent: &[Resent]) -> (Vec<Attempt>, Attempt) {
    let before = |one: &Resent| Attempt {
        at_ms: one.at_ms,
        took_ms: millis(one.took),
        code: one.code.clone(),
        message: format!("{}; it was sent again at once on a new connection", one.message),
        resent: true,
        ..last.clone()
    };
    let attempts: Vec<Attempt> = resent.iter().map(before).collect();
    let spent = attempts.iter().fold(0_u32, |sum, one| sum.saturating_add(one.took_ms));
    last.at_ms += Ms::from(spent);
    last.took_ms = last.took_ms.saturating_sub(spent);
    (attempts, last)
}

fn accepted(attempt: Attempt, receipt: &Receipt) -> Concluded {
    Concluded {
        attempt: Some(Attempt {
            status: receipt.status,
            message: receipt.remark.clone().unwrap_or_default(),
            answer: receipt.answer.0.clone(),
            remote_id: receipt.remote_id.clone(),
            ..attempt
        }),
        resent: Vec::new(),
        change: Change::Delivered,
        judgement: Judgement::Healthy,
        bounced: false,
    }
}

fn failed(
    policy: &Policy,
    attempt: Attempt,
    now_ms: Ms,
    error: &DeliveryError,
    random: f64,
) -> Concluded {
    if error.code == BUSY {
        let due_ms = now_ms + CHANNEL_BUSY_WAIT_MS;
        let change = Change::Queued { due_ms, serve_ms: due_ms, reason: Reason::Busy };
        return Concluded {
            resent: Vec::new(),
            attempt: None,
            change,
            judgement: Judgement::Neutral,
            bounced: false,
        };
    }
    let attempt = Attempt {
        code: error.code.clone(),
        status: error.status,
        message: error.message.clone(),
        answer: error.answer.0.clone(),
        ..attempt
    };
    let code = || error.code.as_str().into();
    let (change, judgement) = match error.verdict {
        Verdict::Permanent if error.refused => (Change::GivenUp(code()), Judgement::Refused),
        Verdict::Permanent => (Change::GivenUp(code()), Judgement::Neutral),
        Verdict::Disable => (Change::ReceiverGone(code()), Judgement::Gone),
        Verdict::Retry { not_before } => {
            let change = match next_wait(policy, attempt.number, not_before, random) {
                Some(wait) => {
                    let due_ms = now_ms + Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 2);
                    Change::Retried { due_ms, serve_ms: due_ms }
                }
                None => Change::GivenUp(code()),
            };
            let retry_after = not_before.map(|wait| wait.min(policy.retry_after_cap));
            // A pause that comes with a refusal is for this delivery alone.
            let unhealthy = Judgement::Unhealthy { retry_after };
            (change, if error.refused { Judgement::Refused } else { unhealthy })
        }
    };
    let (resent, bounced) = (Vec::new(), error.bounced);
    Concluded { resent, attempt: Some(attempt), change, judgement, bounced }
}

#[cfg(test)]
mod tests;
