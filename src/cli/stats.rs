//! `fanfare stats`: what arrived and what became of it, per hour or day, with a sparkline.

use clap::Args as ClapArgs;
use http::Method;
use serde_json::Value;

use super::options::{Target, Window};
use super::remote::ApiRequest;
use super::{CommandResult, output, show};

/// Bars from none to most.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Steps of a sparkline. Longer ones are shown as their last part.
const LONGEST_LINE: usize = 60;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare stats --tenant acme
  fanfare stats --tenant acme --by destination --since 7d --step day
  fanfare stats --tenant acme --type 'kyc.**' --by type --json
  fanfare stats --by channel")]
pub(super) struct Args {
    /// Tenant id; without it, all tenants together. With --server, `me` is the tenant of the key
    #[arg(long, env = "FANFARE_TENANT", display_order = 0)]
    tenant: Option<String>,
    /// One line for each: destination, channel, type, or several of them with commas
    #[arg(long, value_name = "WHAT")]
    by: Option<String>,
    /// Length of a step
    #[arg(long, value_parser = ["hour", "day"], default_value = "hour")]
    step: String,
    /// Only deliveries to this destination
    #[arg(long, value_name = "DESTINATION", requires = "tenant")]
    destination: Option<String>,
    /// Only events of these types and patterns, separated by commas
    #[arg(long = "type", value_name = "TYPES", requires = "tenant")]
    event_type: Option<String>,
    /// Only events of this environment
    #[arg(long, value_parser = ["live", "test", "all"], default_value = "all")]
    environment: String,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let (from, to) = args.window.bounds();
    let request = match args.tenant.as_deref() {
        Some(tenant) => ApiRequest::new(Method::GET, &["tenants", tenant, "stats"]),
        None => ApiRequest::new(Method::GET, &["stats"]),
    };
    let request = request
        .query("step", Some(&args.step))
        .query("group_by", args.by.as_ref())
        .query("destination", args.destination.as_ref())
        .query("type", args.event_type.as_ref())
        .query("environment", Some(&args.environment))
        .query("from_ms", from)
        .query("to_ms", to);
    let stats = args.target.data(request).await?;
    if args.target.json {
        output::json(&stats);
        return Ok(());
    }
    let step_ms = if args.step == "day" { 24 * 3_600_000 } else { 3_600_000 };
    let headings = [
        "OF",
        "RECEIVED",
        "DELIVERED",
        "RETRIED",
        "SUPPRESSED",
        "DEAD",
        "P50",
        "P99",
        "DELIVERIES",
    ];
    let mut table = output::table(&headings);
    for series in stats["series"].as_array().into_iter().flatten() {
        let total = &series["total"];
        let number = |name: &str| total[name].as_u64().map(|n| n.to_string()).unwrap_or_default();
        table.add_row([
            of(series),
            number("received"),
            number("delivered"),
            number("retried"),
            number("suppressed"),
            number("dead"),
            latency(&total["latency"]["p50_ms"]),
            latency(&total["latency"]["p99_ms"]),
            sparkline(&ended(&stats, series, step_ms)),
        ]);
    }
    output::print_table(&table);
    if let Some(more) = stats["more_series"].as_u64().filter(|more| *more > 0) {
        output::note(format!("{more} more; choose with --destination or --type"));
    }
    Ok(())
}

/// What a series is about.
fn of(series: &Value) -> String {
    let parts = ["destination", "channel", "type"].map(|name| show::word(&series[name]));
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "all".to_owned() } else { parts.join(" ") }
}

fn latency(ms: &Value) -> String {
    match ms.as_u64() {
        None => String::new(),
        Some(ms) if ms < 1_000 => format!("{ms} ms"),
        Some(ms) if ms < 60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        Some(ms) if ms < 3_600_000 => format!("{} m", ms / 60_000),
        Some(ms) => format!("{} h", ms / 3_600_000),
    }
}

/// The deliveries that ended in each step.
fn ended(stats: &Value, series: &Value, step_ms: i64) -> Vec<u64> {
    let (from, to) = (stats["from_ms"].as_i64().unwrap_or(0), stats["to_ms"].as_i64().unwrap_or(0));
    let steps = usize::try_from((to - from + step_ms - 1) / step_ms).unwrap_or(0).min(10_000);
    let mut counts = vec![0; steps];
    for point in series["points"].as_array().into_iter().flatten() {
        let at = (point["at_ms"].as_i64().unwrap_or(from) - from) / step_ms;
        if let Some(count) = usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
            let ended = ["delivered", "suppressed", "dead"].map(|name| point[name].as_u64());
            *count = ended.into_iter().flatten().sum();
        }
    }
    counts
}

/// One bar per step. Only a step with none is empty.
fn sparkline(counts: &[u64]) -> String {
    let shown = &counts[counts.len().saturating_sub(LONGEST_LINE)..];
    let most = shown.iter().max().copied().unwrap_or(0).max(1);
    let top = BARS.len() as u64 - 1;
    let bar = |count: &u64| {
        let height = if *count == 0 { 0 } else { (count * top / most).max(1) };
        usize::try_from(height).ok().and_then(|height| BARS.get(height)).copied().unwrap_or(' ')
    };
    shown.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sparkline_shows_every_step_and_the_last_ones_of_many() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[7; 100]).chars().count(), LONGEST_LINE);
    }

    #[test]
    fn steps_without_a_point_are_zero() {
        let stats = json!({"from_ms": 0, "to_ms": 10_000_000});
        let series = json!({"points": [{"at_ms": 3_600_000, "delivered": 2, "dead": 1}]});
        assert_eq!(ended(&stats, &series, 3_600_000), [0, 3, 0]);
    }

    #[test]
    fn latencies_have_a_unit() {
        let shown = [12, 1_500, 90_000, 7_200_000].map(|ms| latency(&json!(ms)));
        assert_eq!(shown, ["12 ms", "1.5 s", "1 m", "2 h"]);
        assert_eq!(latency(&Value::Null), "");
    }
}
