//! What holds a destination back, although it is neither paused nor disabled.

use serde::Serialize;
use utoipa::ToSchema;

use crate::agenda::{Lane, holds};
use crate::api::answer::ApiError;
use crate::api::state::ApiState;
use crate::tenant::{TenantSpec, TenantStatus};
use fanfare_store::Reason;

/// Why nothing is sent to a destination for a while, and until when.
#[derive(Clone, Serialize, ToSchema)]
pub(in crate::api::v1) struct Held {
    /// `circuit_open`: the receiver keeps failing. `retry_after`: it asked for a pause. `retry`:
    /// the destination keeps an order, and its first delivery waits for its next attempt.
    #[schema(example = "retry_after")]
    reason: String,
    /// The code of the last failure.
    #[schema(example = "http_503")]
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What to do.
    message: &'static str,
    /// When the next delivery is sent, in Unix milliseconds.
    pub(super) until_ms: i64,
}

/// What holds a lane back now, as this process or another one has noted it.
pub(super) async fn of_lane(
    state: &ApiState,
    spec: &TenantSpec,
    lane: &Lane,
) -> Result<Option<Held>, ApiError> {
    let (key, now) = (&lane.key, state.clock.now_ms());
    let repaired_ms = spec.repaired.get(key.id.destination()).copied().unwrap_or_default();
    let note = holds::find(&*state.store.records, key).await?;
    let note = note.filter(|note| note.until_ms > now && note.at_ms > repaired_ms);
    if let Some(note) = note {
        let message = message(&note.reason);
        let (reason, code, until_ms) = (note.reason, Some(note.code), note.until_ms);
        return Ok(Some(Held { reason, code, message, until_ms }));
    }
    // A hold that is too short for a note.
    let tenant = state.registry.in_memory(&key.tenant).and_then(TenantStatus::usable);
    let here = tenant.as_ref().and_then(|tenant| tenant.lanes.get(&key.id));
    let hold = here.and_then(|lane| lane.gate.hold(now));
    Ok(hold.and_then(|hold| {
        let reason = hold.reason.to_string();
        Some(Held { message: message(&reason), reason, code: None, until_ms: hold.until? })
    }))
}

fn message(reason: &str) -> &'static str {
    if reason == Reason::CircuitOpen.as_text() {
        "the receiver keeps failing; one delivery is sent as a probe at this time"
    } else if reason == Reason::RetryAfter.as_text() {
        "the receiver asked for a pause; enable the destination to send now"
    } else {
        "the first delivery failed and blocks the others until its next attempt"
    }
}

/// What holds a whole destination back: that is so if all of its lanes are held back.
pub(super) fn of_all(lanes: &[Option<Held>]) -> Option<Held> {
    let held: Option<Vec<&Held>> = lanes.iter().map(Option::as_ref).collect();
    held?.into_iter().min_by_key(|held| held.until_ms).cloned()
}
