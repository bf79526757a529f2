//! What was to arrive, what arrived, and what to do next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;

use super::super::output;
use super::receivers::Verified;
use crate::app::App;
use fanfare_store::{DeliveryRecord, DeliveryState};

/// What the routing table says must come of the events.
pub(super) struct Expected {
    pub(super) deliveries: usize,
    per_lane: BTreeMap<String, usize>,
}

/// Counts matched lanes of all events.
pub(super) fn expected(app: &App, events: &[Arc<Event>]) -> Expected {
    let mut per_lane: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(tenant) = app.registry.tenant("acme") {
        for event in events {
            for lane in tenant.targets_of(event).flat_map(|target| &target.lanes) {
                *per_lane.entry(lane.key.id.to_string()).or_default() += 1;
            }
        }
    }
    Expected { deliveries: per_lane.values().sum(), per_lane }
}

/// One line of the table.
#[derive(Default)]
struct Line {
    channel: String,
    delivered: usize,
    attempts: usize,
    messages: std::collections::BTreeSet<String>,
    slowest_ms: i64,
}

/// Prints the table and what to try next. True when everything arrived and verified.
pub(super) fn print(
    expected: &Expected,
    deliveries: &[DeliveryRecord],
    verified: &Verified,
    folder: &Path,
    took: Duration,
) -> bool {
    let lines = lines(deliveries);
    let mut table = output::table(&[
        "\nDESTINATION",
        "\nCHANNEL",
        "EVENTS\nDELIVERED",
        "\nMESSAGES",
        "\nATTEMPTS",
        "SLOWEST\nms",
    ]);
    let mut complete = verified.wrong.is_empty();
    for (lane, &count) in &expected.per_lane {
        let empty = Line::default();
        let line = lines.get(lane).unwrap_or(&empty);
        complete &= line.delivered == count;
        table.add_row([
            lane.clone(),
            line.channel.clone(),
            format!("{} of {count}", line.delivered),
            line.messages.len().to_string(),
            line.attempts.to_string(),
            line.slowest_ms.to_string(),
        ]);
    }
    output::line("");
    output::print_table(&table);
    output::line("");
    let signatures = verified.requests - verified.wrong.len();
    output::line(format!(
        "{signatures} of {} webhook requests verified, both signatures of each; {} deliveries in {:.1} s",
        verified.requests,
        deliveries.len(),
        took.as_secs_f32()
    ));
    for wrong in &verified.wrong {
        output::error(wrong);
    }
    if !complete {
        output::error("not everything arrived; the table above tells what is missing");
    }
    next(folder);
    complete
}

fn lines(deliveries: &[DeliveryRecord]) -> BTreeMap<String, Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for delivery in deliveries {
        let line = lines.entry(delivery.lane.to_string()).or_default();
        line.channel.clone_from(&delivery.channel);
        line.attempts += delivery.attempts.len();
        if delivery.state != DeliveryState::Delivered {
            continue;
        }
        line.delivered += 1;
        if let Some(last) = delivery.attempts.last() {
            let message = last.digest.clone().unwrap_or_else(|| delivery.id.to_string());
            line.messages.insert(message);
            let took = last.at_ms + i64::from(last.took_ms) - delivery.received_ms;
            line.slowest_ms = line.slowest_ms.max(took);
        }
    }
    lines
}

fn next(folder: &Path) {
    let store = folder.join("store");
    let store = store.display();
    output::line(format!("\n{}", output::bold("To look at")));
    for (what, path) in [
        ("mail (.eml, .html, .txt)", "mail"),
        ("Slack messages (.json)", "slack"),
        ("webhook requests (.http)", "webhook"),
        ("the tenant's table", "acme.toml"),
    ] {
        output::line(format!("  {what:<26} {}", folder.join(path).display()));
    }
    output::line(format!("\n{}", output::bold("To try next")));
    for (what, command) in [
        (
            "one event's whole path",
            format!("fanfare events --tenant acme evt_03processed --store {store}"),
        ),
        ("everything that happened", format!("fanfare deliveries --tenant acme --store {store}")),
        (
            "run the router yourself",
            "fanfare serve --tenants config/tenants --development".to_owned(),
        ),
    ] {
        output::line(format!("  {}", output::dim(&format!("# {what}"))));
        output::line(format!("  {command}"));
    }
}
