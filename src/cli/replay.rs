//! `fanfare replay` and `fanfare cancel`: what ended goes again, what waits ends.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args as ClapArgs;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use super::remote::{Api, Of, Use};
use super::{Done, Failure, output, show};
use crate::agenda::Clock;
use crate::config::Period;
use fanfare_store::Ms;

/// Most deliveries that the API changes in one request.
const MOST: u32 = 10_000;

/// Which deliveries.
#[derive(ClapArgs)]
pub(super) struct Choice {
    /// One delivery by its id
    id: Option<String>,
    #[command(flatten)]
    of: Of,
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
    /// The filter, as the API takes it.
    fn filter(&self) -> Result<Map<String, Value>, Failure> {
        let now = Clock::System.now_ms();
        let time = |text: &Option<String>| text.as_deref().map(|t| when(t, now)).transpose();
        let filter = json!({
            "destination": self.destination, "type": self.kind, "error": self.error,
            "from_ms": time(&self.since)?, "to_ms": time(&self.until)?,
        });
        let mut filter = filter.as_object().cloned().unwrap_or_default();
        filter.retain(|_, value| !value.is_null());
        Ok(filter)
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
    let work = Work {
        choice: &args.choice,
        action: "replay",
        path: ["dead-letters", "replay"],
        word: "replayed",
        would: "would be put back",
        rate: Some(args.rate),
    };
    let mut filter = args.choice.filter()?;
    if !args.state.is_empty() {
        filter.insert("status".to_owned(), json!(args.state));
    }
    work.run(filter).await
}

pub(super) async fn run_cancel(args: CancelArgs) -> Done {
    let work = Work {
        choice: &args.choice,
        action: "cancel",
        path: ["deliveries", "cancel"],
        word: "cancelled",
        would: "would be ended",
        rate: None,
    };
    work.run(args.choice.filter()?).await
}

/// What is done to what is chosen.
struct Work<'a> {
    choice: &'a Choice,
    action: &'static str,
    path: [&'static str; 2],
    word: &'static str,
    would: &'static str,
    /// So many a second.
    rate: Option<u32>,
}

impl Work<'_> {
    async fn run(&self, filter: Map<String, Value>) -> Done {
        let Choice { of, id, dry_run, .. } = self.choice;
        let api = Api::open(&of.target, Use::Plain).await?;
        match id {
            Some(id) => self.one(&api, id).await,
            None if *dry_run => self.counted(&self.count(&api, &filter).await?),
            None => self.all(&api, filter).await,
        }
    }

    async fn one(&self, api: &Api, id: &str) -> Done {
        let Choice { of, dry_run, .. } = self.choice;
        if *dry_run {
            let one = api.data(of.ask(Method::GET, ["deliveries", id])).await?;
            let destination = one["destination"].as_str().unwrap_or_default();
            let destination = destination.split('~').next().unwrap_or_default();
            let row = json!({
                "destination": destination, "state": one["state"], "reason": one["reason"],
                "count": 1,
            });
            return self.counted(&json!({"found": 1, "counts": [row]}));
        }
        api.call(of.ask(Method::POST, ["deliveries", id, self.action])).await?;
        self.finish(1);
        Ok(())
    }

    async fn count(&self, api: &Api, filter: &Map<String, Value>) -> Result<Value, Failure> {
        let mut body = filter.clone();
        body.insert("dry_run".to_owned(), true.into());
        api.data(self.choice.of.ask(Method::POST, self.path).body(body.into())).await
    }

    /// Request after request, until nothing is left of what there was at first.
    async fn all(&self, api: &Api, mut filter: Map<String, Value>) -> Done {
        let bar = self.bar(api, &filter).await?;
        if let Some(rate) = self.rate {
            // A part takes ten seconds at most.
            filter.insert("limit".to_owned(), rate.saturating_mul(10).min(MOST).into());
            filter.insert("rate".to_owned(), rate.into());
        }
        let (mut done, began) = (0, Instant::now());
        loop {
            let ask = self.choice.of.ask(Method::POST, self.path);
            let report = api.data(ask.body(filter.clone().into())).await?;
            done += report[self.word].as_u64().unwrap_or(0);
            bar.set_position(done);
            if report["left"].as_u64().unwrap_or(0) == 0 {
                break;
            }
            if let Some(rate) = self.rate {
                // What was put back and has ended again is not taken a second time.
                filter
                    .entry("changed_before_ms".to_owned())
                    .or_insert_with(|| report["at_ms"].clone());
                #[expect(clippy::cast_precision_loss, reason = "a time to wait")]
                let due = Duration::from_secs_f64(done as f64 / f64::from(rate));
                sleep_until(began + due).await;
            }
        }
        bar.finish_and_clear();
        self.finish(done);
        Ok(())
    }

    /// Shows how far it is, to people alone: for that all are counted first.
    async fn bar(&self, api: &Api, filter: &Map<String, Value>) -> Result<ProgressBar, Failure> {
        if !std::io::stderr().is_terminal() {
            return Ok(ProgressBar::hidden());
        }
        let found = self.count(api, filter).await?["found"].as_u64().unwrap_or(0);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Ok(ProgressBar::new(found).with_style(style))
    }

    fn counted(&self, report: &Value) -> Done {
        if self.choice.of.target.json {
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
        output::line(format!("{} {}", report["found"], self.would));
        Ok(())
    }

    fn finish(&self, count: u64) {
        if self.choice.of.target.json {
            output::json(&json!({ self.word: count }));
        } else {
            output::line(format!("{count} {}", self.word));
        }
    }
}
