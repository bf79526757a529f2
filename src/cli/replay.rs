//! `fanfare replay` and `fanfare cancel`: what ended goes again, what waits ends.

use std::io::IsTerminal;

use clap::Args as ClapArgs;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::remote::{Api, Ask, Target, Use};
use super::{Done, Failure, output, show};
use crate::agenda::Clock;
use crate::config::Period;
use crate::ops::{self, Counted, Selection};
use crate::store::Ms;

/// Which deliveries.
#[derive(ClapArgs)]
pub(super) struct Choice {
    /// One delivery by its id
    id: Option<String>,
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// Only this destination
    #[arg(long, conflicts_with = "id")]
    destination: Option<String>,
    /// Only this event type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "id")]
    kind: Option<String>,
    /// Only those whose last failure, or reason, is this: `http_500`, `timeout`
    #[arg(long, value_name = "CODE", conflicts_with = "id")]
    error: Option<String>,
    /// Only events received since this long ago (2h, 3d) or this time (RFC 3339)
    #[arg(long, value_name = "WHEN", conflicts_with = "id")]
    since: Option<String>,
    /// Only events received before this long ago or this time
    #[arg(long, value_name = "WHEN", conflicts_with = "id")]
    until: Option<String>,
    /// Count only, change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

/// Options of `replay`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare replay --tenant acme dlv_evt_07review.support
  fanfare replay --tenant acme --destination backoffice --since 2h --dry-run
  fanfare replay --tenant acme --destination backoffice --since 2h
  fanfare replay --tenant acme --error http_500 --rate 20

Without --state: what is dead or suppressed, which is everything that a destination missed, also
while it was disabled. The retry schedule begins anew; the receiver's limits hold as always.")]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Only this state; several times
    #[arg(long, value_parser = ["delivered", "suppressed", "dead"], conflicts_with = "id")]
    state: Vec<String>,
    /// Deliveries put back a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
}

/// Options of `cancel`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare cancel --tenant acme dlv_evt_07review.support
  fanfare cancel --tenant acme --destination backoffice --dry-run

Ends deliveries that wait. They are kept as suppressed (cancelled) and can be replayed.")]
pub(super) struct CancelArgs {
    #[command(flatten)]
    choice: Choice,
}

impl Choice {
    fn selection(&self, states: Vec<String>) -> Result<Selection, Failure> {
        let now = Clock::System.now_ms();
        let time = |text: &Option<String>| text.as_deref().map(|t| when(t, now)).transpose();
        Ok(Selection {
            tenant: self.tenant.clone(),
            id: self.id.clone(),
            states,
            destination: self.destination.clone(),
            kind: self.kind.clone(),
            error: self.error.clone(),
            from_ms: time(&self.since)?,
            to_ms: time(&self.until)?,
            most: None,
        })
    }
}

/// `2h` ago, or a time.
pub(super) fn when(text: &str, now: Ms) -> Result<Ms, Failure> {
    if let Ok(Period(ago)) = text.parse() {
        return Ok(now - Ms::try_from(ago.as_millis()).unwrap_or(now));
    }
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis()).map_err(|_| {
        Failure::Because(format!(
            "`{text}` is no time; write how long ago (2h, 3d) or 2026-11-23T08:00:00Z"
        ))
    })
}

pub(super) async fn run(args: Args) -> Done {
    let states = if args.state.is_empty() {
        vec!["dead".to_owned(), "suppressed".to_owned()]
    } else {
        args.state.clone()
    };
    let selection = args.choice.selection(states)?;
    if args.choice.target.server.is_some() {
        return replay_over_http(&args.choice, &selection).await;
    }
    let (_, store) = args.choice.target.settings.open_existing().await?;
    let counted = ops::count(&store, &selection).await?;
    if report(&counted, &args.choice, "would be put back")? {
        return Ok(());
    }
    let bar = bar(counted.total);
    let now = Clock::System.now_ms();
    let done = |count| bar.set_position(count);
    let count = ops::replay(&store, &selection, now, args.rate, &done).await?;
    finish(&bar, &args.choice, "replayed", count);
    Ok(())
}

pub(super) async fn run_cancel(args: CancelArgs) -> Done {
    if args.choice.target.server.is_some() {
        return cancel_over_http(&args.choice).await;
    }
    let selection = args.choice.selection(vec!["waiting".to_owned()])?;
    let (_, store) = args.choice.target.settings.open_existing().await?;
    let counted = ops::count(&store, &selection).await?;
    if report(&counted, &args.choice, "would be ended")? {
        return Ok(());
    }
    let bar = bar(counted.total);
    let now = Clock::System.now_ms();
    let done = |count| bar.set_position(count);
    let count = ops::cancel(&store, &selection, now, &done).await?;
    finish(&bar, &args.choice, "cancelled", count);
    Ok(())
}

/// By one delivery's id, or by the filter until nothing is left of what it found.
async fn replay_over_http(choice: &Choice, selection: &Selection) -> Done {
    let api = Api::open(&choice.target, Use::Plain).await?;
    if let Some(id) = &choice.id {
        return one_over_http(&api, choice, id, "replay", "replayed").await;
    }
    let body = json!({
        "status": selection.states, "destination": selection.destination,
        "type": selection.kind, "error": selection.error, "from_ms": selection.from_ms,
        "to_ms": selection.to_ms, "dry_run": choice.dry_run,
    });
    let mut body = body.as_object().cloned().unwrap_or_default();
    body.retain(|_, value| !value.is_null());
    let mut replayed = 0;
    loop {
        let ask = Ask::of(Method::POST, &["tenants", &choice.tenant, "dead-letters", "replay"]);
        let report = api.data(ask.body(body.clone().into())).await?;
        if choice.dry_run {
            return counts(choice, &report);
        }
        replayed += report["replayed"].as_u64().unwrap_or(0);
        if report["left"].as_u64().unwrap_or(0) == 0 {
            break;
        }
    }
    finish(&ProgressBar::hidden(), choice, "replayed", replayed);
    Ok(())
}

fn counts(choice: &Choice, report: &Value) -> Done {
    if choice.target.json {
        output::json(&json!({"total": report["found"], "by": report["counts"]}));
        return Ok(());
    }
    let columns = [
        ("DESTINATION", "destination"),
        ("STATE", "state"),
        ("REASON", "reason"),
        ("COUNT", "count"),
    ];
    show::list(false, &report["counts"], &columns)?;
    output::line(format!("{} would be put back", report["found"]));
    Ok(())
}

async fn cancel_over_http(choice: &Choice) -> Done {
    let Some(id) = &choice.id else {
        return Err(Failure::Because(
            "a server ends one delivery at a time: name it by its id; on the store (--store) \
             many can be chosen"
                .to_owned(),
        ));
    };
    let api = Api::open(&choice.target, Use::Plain).await?;
    one_over_http(&api, choice, id, "cancel", "cancelled").await
}

async fn one_over_http(api: &Api, choice: &Choice, id: &str, action: &str, word: &str) -> Done {
    let path = ["tenants", &choice.tenant, "deliveries", id];
    if choice.dry_run {
        api.call(Ask::of(Method::GET, &path)).await?;
        output::line(format!("1 would be {word}"));
        return Ok(());
    }
    api.call(Ask::of(Method::POST, &[&path[..], &[action]].concat())).await?;
    finish(&ProgressBar::hidden(), choice, word, 1);
    Ok(())
}

/// Shows a dry run's counts; true when that was all.
fn report(counted: &Counted, choice: &Choice, would: &str) -> Result<bool, Failure> {
    if counted.total == 0 && choice.id.is_some() {
        let id = choice.id.as_deref().unwrap_or_default();
        return Err(Failure::Because(format!("tenant {} has no delivery {id}", choice.tenant)));
    }
    if !choice.dry_run {
        return Ok(false);
    }
    if choice.target.json {
        let rows = counted.by.iter().map(|((destination, state, reason), count)| {
            json!({"destination": destination, "state": state, "reason": reason, "count": count})
        });
        output::json(&json!({"total": counted.total, "by": rows.collect::<Vec<_>>()}));
        return Ok(true);
    }
    let mut table = output::table(&["DESTINATION", "STATE", "REASON", "COUNT"]);
    for ((destination, state, reason), count) in &counted.by {
        table.add_row([
            destination.clone(),
            (*state).to_owned(),
            reason.clone(),
            count.to_string(),
        ]);
    }
    output::print_table(&table);
    output::line(format!("{} {would}", counted.total));
    Ok(true)
}

fn bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(total).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn finish(bar: &ProgressBar, choice: &Choice, word: &str, count: u64) {
    bar.finish_and_clear();
    if choice.target.json {
        output::json(&json!({ word: count }));
    } else {
        output::line(format!("{count} {word}"));
    }
}
