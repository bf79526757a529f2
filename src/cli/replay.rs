//! `fanfare replay` and `fanfare cancel`: send ended deliveries again, end waiting ones.

use std::time::Duration;

use clap::Args as ClapArgs;
use fanfare_store::StateKind;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use super::options::{TenantTarget, Window, states};
use super::remote::Api;
use super::{CommandResult, Failure, output, progress, show};

/// Maximum number of deliveries that the API changes in one request.
const MAX_PER_REQUEST: u32 = 10_000;
/// How long one request may take because of `--rate`.
const SECONDS_PER_REQUEST: u32 = 10;

/// Which deliveries.
#[derive(ClapArgs)]
#[command(
    mut_arg("since", |arg| arg.conflicts_with("id")),
    mut_arg("until", |arg| arg.conflicts_with("id"))
)]
pub(super) struct Selection {
    /// Only this delivery
    id: Option<String>,
    #[command(flatten)]
    at: TenantTarget,
    /// Only deliveries to this destination
    #[arg(long, value_name = "DESTINATION", conflicts_with = "id")]
    destination: Option<String>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "id")]
    event_type: Option<String>,
    /// Only deliveries whose last failure or reason is this, such as `http_500` or `timeout`
    #[arg(long, value_name = "CODE", conflicts_with = "id")]
    error: Option<String>,
    /// Only events of this environment [default: live, or that of --destination]
    #[arg(long, value_parser = ["live", "test", "all"], conflicts_with = "id")]
    environment: Option<String>,
    #[command(flatten)]
    window: Window,
    /// Count the deliveries and change nothing
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

Puts deliveries back into their queues, oldest first. Without an id or --state, these are the dead \
and suppressed deliveries: everything that a destination missed. Each retry schedule starts from \
the beginning, and the receiver's rate still holds.")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Only deliveries in this state; can be repeated [default: dead and suppressed]
    #[arg(
        long,
        value_name = "STATE",
        value_parser = states(&[StateKind::Delivered, StateKind::Suppressed, StateKind::Dead]),
        conflicts_with = "id"
    )]
    state: Vec<StateKind>,
    /// Maximum number of deliveries to put back per second
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    rate: u32,
}

/// Options of `cancel`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare cancel --tenant acme dlv_evt_07review.support
  fanfare cancel --tenant acme --destination backoffice --dry-run

Cancelled deliveries are `suppressed` with the reason `cancelled`. `fanfare replay` sends them.")]
pub(super) struct CancelArgs {
    #[command(flatten)]
    selection: Selection,
}

impl Selection {
    /// The filter of the API.
    fn filter(&self) -> Map<String, Value> {
        let filter = json!({
            "destination": self.destination, "type": self.event_type, "error": self.error,
            "environment": self.environment,
        });
        let mut filter = filter.as_object().cloned().unwrap_or_default();
        filter.retain(|_, value| !value.is_null());
        self.window.add_to(&mut filter);
        filter
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    let mut filter = args.selection.filter();
    if !args.state.is_empty() {
        filter.insert(
            "state".to_owned(),
            json!(args.state.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()),
        );
    }
    let change = Change {
        selection: &args.selection,
        action: "replay",
        path: ["deliveries", "replay"],
        participle: "replayed",
        rate: Some(args.rate),
    };
    change.run(filter).await
}

pub(super) async fn run_cancel(args: CancelArgs) -> CommandResult {
    let change = Change {
        selection: &args.selection,
        action: "cancel",
        path: ["deliveries", "cancel"],
        participle: "cancelled",
        rate: None,
    };
    change.run(args.selection.filter()).await
}

/// What to do with the selected deliveries.
struct Change<'a> {
    selection: &'a Selection,
    /// The action on one delivery.
    action: &'static str,
    /// The path of the action on many.
    path: [&'static str; 2],
    /// The API's field with the number of deliveries changed.
    participle: &'static str,
    /// Deliveries per second.
    rate: Option<u32>,
}

impl Change<'_> {
    async fn run(&self, filter: Map<String, Value>) -> CommandResult {
        let Selection { at, id, dry_run, .. } = self.selection;
        let api = at.api().await?;
        match (id, dry_run) {
            (Some(id), false) => self.one(&api, id).await,
            (Some(id), true) => self.print_count(&self.count_one(&api, id).await?),
            (None, true) => self.print_count(&self.count(&api, &filter).await?),
            (None, false) => self.all(&api, filter).await,
        }
    }

    async fn one(&self, api: &Api, id: &str) -> CommandResult {
        let request = self.selection.at.request(Method::POST, ["deliveries", id, self.action]);
        api.call(request).await?;
        self.print_done(1, 0);
        Ok(())
    }

    /// The same report for one delivery as the API's for many.
    async fn count_one(&self, api: &Api, id: &str) -> Result<Value, Failure> {
        let request = self.selection.at.request(Method::GET, ["deliveries", id]);
        let delivery = api.data(request).await?;
        let lane = delivery["destination"].as_str().unwrap_or_default();
        let destination = lane.split('~').next().unwrap_or_default();
        let row = json!({
            "destination": destination, "state": delivery["state"], "reason": delivery["reason"],
            "count": 1,
        });
        Ok(json!({"found": 1, "counts": [row]}))
    }

    async fn count(&self, api: &Api, filter: &Map<String, Value>) -> Result<Value, Failure> {
        let mut body = filter.clone();
        body.insert("dry_run".to_owned(), true.into());
        api.data(self.selection.at.request(Method::POST, self.path).body(body)).await
    }

    /// Repeats the request until nothing is left of what there was at first.
    async fn all(&self, api: &Api, mut filter: Map<String, Value>) -> CommandResult {
        let bar = self.bar(api, &filter).await?;
        if let Some(rate) = self.rate {
            let limit = rate.saturating_mul(SECONDS_PER_REQUEST).min(MAX_PER_REQUEST);
            filter.insert("limit".to_owned(), limit.into());
            filter.insert("rate".to_owned(), rate.into());
        }
        let (mut done, began) = (0, Instant::now());
        let skipped = loop {
            let request = self.selection.at.request(Method::POST, self.path);
            let report = api.data(request.body(filter.clone())).await?;
            done += report[self.participle].as_u64().unwrap_or(0);
            bar.set_position(done);
            if report["left"].as_u64().unwrap_or(0) == 0 {
                // The last request has seen all of them.
                break report["skipped"].as_u64().unwrap_or(0);
            }
            if let Some(rate) = self.rate {
                // Do not replay a second time what has ended again since the first request.
                filter
                    .entry("changed_before_ms".to_owned())
                    .or_insert_with(|| report["at_ms"].clone());
                #[expect(clippy::cast_precision_loss, reason = "a time to wait")]
                let due = Duration::from_secs_f64(done as f64 / f64::from(rate));
                sleep_until(began + due).await;
            }
        };
        bar.finish_and_clear();
        self.print_done(done, skipped);
        Ok(())
    }

    /// A progress bar. Its length costs a request, so there is none without a terminal.
    async fn bar(&self, api: &Api, filter: &Map<String, Value>) -> Result<ProgressBar, Failure> {
        let found = if progress::is_shown() {
            self.count(api, filter).await?["found"].as_u64().unwrap_or(0)
        } else {
            0
        };
        Ok(progress::bar(found, "{bar:30} {pos}/{len} {eta}"))
    }

    fn print_count(&self, report: &Value) -> CommandResult {
        if self.selection.at.json() {
            output::json(report);
            return Ok(());
        }
        let columns = [
            ("DESTINATION", "destination"),
            ("STATE", "state"),
            ("REASON", "reason"),
            ("COUNT", "count"),
        ];
        show::list(false, &report["counts"], &columns)?;
        output::line(format!("{} would be {} (dry run)", report["found"], self.participle));
        Ok(())
    }

    fn print_done(&self, count: u64, skipped: u64) {
        if self.selection.at.json() {
            let mut report = json!({ self.participle: count });
            if skipped > 0 {
                report["skipped"] = skipped.into();
            }
            output::json(&report);
        } else {
            output::line(format!("{count} {}", self.participle));
            show::skipped(skipped);
        }
    }
}
