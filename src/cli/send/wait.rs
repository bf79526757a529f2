//! `fanfare send --wait`: waits for the outcome of the events that were just sent.

use std::time::Duration;

use fanfare_contract::Json;
use fanfare_store::{EventState, StateKind};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::remote::{Api, ApiRequest, Exact};
use super::super::{CommandResult, Failure, output, show};

/// Time between two requests for the same event.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Each event once its deliveries have ended, or as it is when the time is over. Also as JSON, with
/// numbers as they were sent.
pub(super) async fn outcomes(
    api: &Api,
    tenant: &str,
    ids: &[String],
    within: Duration,
) -> Result<(Vec<Value>, Vec<Json>), Failure> {
    let deadline = Instant::now() + within;
    let (mut events, mut shown) = (Vec::with_capacity(ids.len()), Vec::with_capacity(ids.len()));
    for id in ids {
        loop {
            let request = ApiRequest::new(Method::GET, &["tenants", tenant, "events", id]);
            let found = api.find_exact(request).await?;
            let ended = found.as_ref().is_some_and(|found| has_ended(&found.data));
            if ended || Instant::now() >= deadline {
                // An event that no router has read from the stream is not in the ledger yet.
                let unread = json!({"event": {"id": id}, "state": EventState::Pending.as_str(), "deliveries": []});
                let found = found.unwrap_or_else(|| Exact::of(unread));
                events.push(found.data);
                shown.push(found.json);
                break;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
    Ok((events, shown))
}

fn deliveries(event: &Value) -> impl Iterator<Item = &Value> {
    event["deliveries"].as_array().into_iter().flatten()
}

fn has_ended(event: &Value) -> bool {
    let waits = |delivery: &Value| delivery["state"] == StateKind::Waiting.as_str();
    event["state"] != EventState::Pending.as_str() && !deliveries(event).any(waits)
}

fn is_delivered(event: &Value) -> bool {
    let delivered = |delivery: &Value| delivery["state"] == StateKind::Delivered.as_str();
    event["state"] == EventState::Routed.as_str() && deliveries(event).all(delivered)
}

/// Prints the events. A success only if every delivery was delivered.
pub(super) fn report(events: &[Value], as_json: bool) -> CommandResult {
    if !as_json {
        events.iter().for_each(print);
    }
    if events.iter().all(is_delivered) { Ok(()) } else { Err(Failure::Reported) }
}

fn print(event: &Value) {
    let id = output::bold(&show::word(&event["event"]["id"]));
    let state = match &event["state"] {
        state if state == EventState::Unrouted.as_str() => {
            "unrouted: no route matches it; `fanfare route` explains why"
        }
        state if state == EventState::Pending.as_str() => {
            "pending: not processed yet; check that `fanfare serve` is running"
        }
        _ => "",
    };
    output::line(format!("{id}  {state}").trim_end());
    for delivery in deliveries(event) {
        let destination = show::word(&delivery["destination"]);
        let state = output::state(&show::word(&delivery["state"]));
        let last = delivery["attempts"].as_array().and_then(|attempts| attempts.last());
        let failure = last.map(|last| show::word(&last["code"])).filter(|code| code != "ok");
        let failure = failure.map(|code| format!(": {code}")).unwrap_or_default();
        output::line(format!("  {destination}  {state}{failure}"));
    }
}
