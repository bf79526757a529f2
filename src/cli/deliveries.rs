//! `fanfare deliveries`: what went where, what waits, what was given up.

use clap::Args as ClapArgs;
use fanfare_contract::DeliveryId;

use super::remote::Of;
use super::{Done, Failure, events, lookups, output};
use crate::store::{DeliveryQuery, DeliveryRecord, DeliveryState};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare deliveries --tenant acme
  fanfare deliveries --tenant acme --state dead --destination backoffice
  fanfare deliveries --tenant acme dlv_evt_07review.support")]
pub(super) struct Args {
    /// One delivery: shows its attempts
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) of: Of,
    /// Only this state
    #[arg(long, value_parser = ["delivered", "waiting", "suppressed", "dead"])]
    pub(super) state: Option<String>,
    /// Only this destination
    #[arg(long)]
    pub(super) destination: Option<String>,
    /// Only this event type
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kind: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) limit: u16,
    /// Where the page before ended
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

pub(super) async fn run(args: Args) -> Done {
    let target = &args.of.target;
    if target.server.is_some() {
        return lookups::deliveries(&args).await;
    }
    let (_, store) = target.settings.open_existing().await?;
    let tenant = args.of.tenant.clone().unwrap_or_default();
    if let Some(id) = &args.id {
        let id = DeliveryId::from(id.as_str());
        let Some((event, destination)) = id.parts() else {
            return Err(Failure::Because(format!(
                "`{id}` is no delivery id; they look like dlv_evt_07review.support"
            )));
        };
        let record = store.ledger.event(&tenant, event).await?;
        let delivery = record
            .and_then(|record| record.deliveries.into_iter().find(|d| d.destination == destination))
            .ok_or_else(|| Failure::Because(format!("tenant {tenant} has no delivery {id}")))?;
        if target.json {
            output::json(&delivery);
        } else {
            print(&delivery);
        }
        return Ok(());
    }
    let query = DeliveryQuery {
        tenant,
        state: args.state.clone(),
        destination: args.destination.clone(),
        kind: args.kind.clone(),
        cursor: args.cursor.clone(),
        limit: args.limit.into(),
        ..DeliveryQuery::default()
    };
    let page = store.ledger.deliveries(&query).await?;
    if target.json {
        output::json(&page);
        return Ok(());
    }
    let mut table = output::table(&["DELIVERY", "TYPE", "CHANNEL", "STATE", "TRIES", "LAST"]);
    for delivery in &page.items {
        let last = delivery.attempts.last().map_or("", |attempt| attempt.code.as_str());
        table.add_row([
            delivery.id.to_string(),
            events::of(&delivery.kind, delivery.environment),
            delivery.channel.clone(),
            state(delivery),
            delivery.attempts.len().to_string(),
            last.to_owned(),
        ]);
    }
    output::print_table(&table);
    events::more(page.next.as_deref());
    Ok(())
}

fn state(delivery: &DeliveryRecord) -> String {
    match delivery.state.reason() {
        Some(reason) => format!("{} ({reason})", delivery.state.word()),
        None => delivery.state.word().to_owned(),
    }
}

/// One delivery with its attempts.
pub(super) fn print(delivery: &DeliveryRecord) {
    output::line(format!(
        "{}  {}  {}",
        output::bold(delivery.id.as_str()),
        delivery.channel,
        output::state(delivery.state.word())
    ));
    match &delivery.state {
        DeliveryState::Waiting { due_ms, reason, .. } => {
            output::line(format!("  waits ({reason}) until {}", output::time(*due_ms)));
        }
        DeliveryState::Suppressed { reason } | DeliveryState::Dead { reason } => {
            output::line(format!("  because: {reason}"));
        }
        DeliveryState::Delivered => {}
    }
    for attempt in &delivery.attempts {
        let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
        let mut line = format!(
            "  attempt {} at {}: {}{status} in {} ms",
            attempt.number,
            output::time(attempt.at_ms),
            attempt.code,
            attempt.took_ms
        );
        for (name, text) in [("", &attempt.message), ("answer: ", &attempt.answer)] {
            if !text.is_empty() {
                line = format!("{line}\n    {name}{text}");
            }
        }
        output::line(line);
    }
}
