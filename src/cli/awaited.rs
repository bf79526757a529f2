//! `fanfare send --wait`: what became of the events that were just sent.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::remote::{Api, Ask};
use super::{Done, Failure, output};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The events, each as soon as nothing of it is under way, or as it is when the time is over.
pub(super) async fn events(
    api: &Api,
    tenant: &str,
    ids: &[String],
    within: Duration,
) -> Result<Vec<Value>, Failure> {
    let until = Instant::now() + within;
    let mut events = Vec::with_capacity(ids.len());
    for id in ids {
        loop {
            let ask = Ask::of(Method::GET, &["tenants", tenant, "events", id]);
            let found = api.find(ask).await?;
            let done = found.as_ref().is_some_and(is_settled);
            if done || Instant::now() >= until {
                // One that was not read from the stream yet is in no list.
                let unread = || json!({"event": {"id": id}, "state": "pending", "deliveries": []});
                events.push(found.unwrap_or_else(unread));
                break;
            }
            sleep(LOOK).await;
        }
    }
    Ok(events)
}

fn deliveries(event: &Value) -> impl Iterator<Item = &Value> {
    event["deliveries"].as_array().into_iter().flatten()
}

fn is_settled(event: &Value) -> bool {
    event["state"] != "pending" && deliveries(event).all(|delivery| delivery["state"] != "waiting")
}

/// Shows them; no success unless every delivery is one.
pub(super) fn report(events: &[Value], as_json: bool) -> Done {
    let mut good = true;
    for event in events {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        good &= event["state"] == "routed";
        good &= deliveries(event).all(|delivery| delivery["state"] == "delivered");
        if as_json {
            continue;
        }
        let id = output::bold(&text(&event["event"]["id"]));
        let state = match event["state"].as_str() {
            Some("unrouted") => "unrouted: no route takes it",
            Some("pending") => {
                "pending: no router has taken it up yet; is `fanfare serve` running?"
            }
            _ => "",
        };
        output::line(format!("{id}  {state}").trim_end());
        for delivery in deliveries(event) {
            let destination = text(&delivery["destination"]);
            let state = output::state(&text(&delivery["state"]));
            let last = delivery["attempts"].as_array().and_then(|attempts| attempts.last());
            let last = last.filter(|last| last["code"] != "ok");
            let why = last.map(|last| format!(": {}", text(&last["code"])));
            output::line(format!("  {destination}  {state}{}", why.unwrap_or_default()));
        }
    }
    if good { Ok(()) } else { Err(Failure::No) }
}
