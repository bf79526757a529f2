//! What should arrive, what arrived, and what to do next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;

use super::super::output;
use super::receivers::Verified;
use crate::app::App;
use fanfare_store::{DeliveryRecord, DeliveryState, StoreError};

/// The deliveries that the routes lead to.
pub(super) struct Expected {
    pub(super) deliveries: usize,
    per_lane: BTreeMap<String, usize>,
}

/// Counts the matched lanes of all events.
pub(super) async fn expected(app: &App, events: &[Arc<Event>]) -> Result<Expected, StoreError> {
    let mut per_lane: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(tenant) = app.registry.find("acme").await?.usable() {
        for event in events {
            for lane in tenant.targets_of(event).0.flat_map(|target| &target.lanes) {
                *per_lane.entry(lane.key.id.to_string()).or_default() += 1;
            }
        }
    }
    Ok(Expected { deliveries: per_lane.values().sum(), per_lane })
}

/// A row of the table.
#[derive(Default)]
struct Row {
    channel: String,
    delivered: usize,
    attempts: usize,
    messages: std::collections::BTreeSet<String>,
    slowest_ms: i64,
}

/// Prints the table and what to try next. Returns whether everything arrived with valid signatures.
pub(super) fn print(
    expected: &Expected,
    deliveries: &[DeliveryRecord],
    verified: &Verified,
    folder: &Path,
    took: Duration,
) -> bool {
    let rows = rows(deliveries);
    let mut table =
        output::table(&["DESTINATION", "CHANNEL", "DELIVERED", "ATTEMPTS", "MESSAGES", "SLOWEST"]);
    let mut complete = verified.invalid.is_empty();
    for (lane, &count) in &expected.per_lane {
        let none = Row::default();
        let row = rows.get(lane).unwrap_or(&none);
        complete &= row.delivered == count;
        table.add_row([
            lane.clone(),
            row.channel.clone(),
            format!("{} of {count}", row.delivered),
            row.attempts.to_string(),
            row.messages.len().to_string(),
            format!("{} ms", row.slowest_ms),
        ]);
    }
    output::line(format!("\n{}", output::bold("Result")));
    output::print_table(&table);
    output::line(format!(
        "\n{} deliveries in {:.1} s. {} of {} webhook requests had two valid signatures.",
        deliveries.len(),
        took.as_secs_f32(),
        verified.requests - verified.invalid.len(),
        verified.requests
    ));
    for reason in &verified.invalid {
        output::error(&format!("a webhook signature is not valid: {reason}"));
    }
    if !complete {
        output::error("not everything arrived; see the column DELIVERED above");
    }
    next(folder);
    complete
}

/// Says where the dashboard is.
pub(super) fn dashboard(address: SocketAddr) {
    output::line(format!("\n{}", output::bold("The dashboard")));
    output::line(format!("  http://{address}/ui/t/acme/overview"));
    output::line(format!("  {}", output::dim("It shows this demo's data until you press Ctrl-C.")));
}

fn rows(deliveries: &[DeliveryRecord]) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for delivery in deliveries {
        let row = rows.entry(delivery.lane.to_string()).or_default();
        row.channel.clone_from(&delivery.channel);
        row.attempts += delivery.attempts.len();
        if delivery.state != DeliveryState::Delivered {
            continue;
        }
        row.delivered += 1;
        if let Some(last) = delivery.attempts.last() {
            let message = last.digest.clone().unwrap_or_else(|| delivery.id.to_string());
            row.messages.insert(message);
            let took = last.at_ms + i64::from(last.took_ms) - delivery.received_ms;
            row.slowest_ms = row.slowest_ms.max(took);
        }
    }
    rows
}

fn next(folder: &Path) {
    let store = folder.join("store");
    let store = store.display();
    output::line(format!("\n{}", output::bold("Look at what arrived")));
    for (what, path) in [
        ("webhook requests", "webhook"),
        ("emails", "mail"),
        ("Slack messages", "slack"),
        ("the tenant file", "acme.toml"),
    ] {
        output::line(format!("  {what:<17} {}", folder.join(path).display()));
    }
    output::line(format!("\n{}", output::bold("Try next")));
    for (what, command) in [
        (
            "Show one event, its deliveries, and their attempts",
            format!("fanfare events --tenant acme evt_03processed --store {store}"),
        ),
        ("List all deliveries", format!("fanfare deliveries --tenant acme --store {store}")),
        (
            "Run the router with this tenant",
            format!("fanfare serve --tenants {} --store {store} --development", folder.display()),
        ),
    ] {
        output::line(format!("  {}", output::dim(&format!("# {what}"))));
        output::line(format!("  {command}"));
    }
}
