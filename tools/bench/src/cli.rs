//! `fanfare bench`: runs the measurement and prints its table.

use anyhow::Context as _;
use clap::Args as ClapArgs;
use comfy_table::CellAlignment;
use tokio::signal::unix::{SignalKind, signal};

use super::{Done, Failure, output};
use crate::bench::{self, CASES, Figures, Options, Report};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare bench
  fanfare bench --only limit_reqwest,drain_redis --json
  fanfare bench --plot bench.svg
  fanfare bench isolation --store redis

Everything runs on 127.0.0.1 in processes of its own. Close what else runs: the figures are of this
machine as it is now; the ratios, which are taken within a round, travel better. Redis cases need
redis-server (7.0 or later), those of mail Postfix's smtp-source and smtp-sink, in PATH or
target/test-tools/bin. Measure a release build.")]
pub(super) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Small counts and one round: only to see that it works
    #[arg(long)]
    quick: bool,
    /// Cases to run, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each case runs [default: 3]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Draw the ratios too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<std::path::PathBuf>,
}

/// Other questions than how fast.
#[derive(clap::Subcommand)]
enum Other {
    /// Who feels it when others hang, fail and flood: 1,000 destinations of 100 tenants
    #[command(after_help = "Example:\n  fanfare bench isolation --store redis")]
    Isolation(IsolationArgs),
}

#[derive(ClapArgs)]
struct IsolationArgs {
    /// Over which store
    #[arg(long, value_enum, default_value = "embedded")]
    store: Kind,
    /// Events a second of each tenant that does not flood
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How long each of the four runs is measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Embedded,
    Redis,
}

/// Options of the senders' process.
#[derive(ClapArgs)]
pub(super) struct LoadArgs {
    #[command(subcommand)]
    kind: bench::Kind,
}

/// Runs it. A signal ends it in order: what was started dies with what waits for it.
pub(super) async fn run(args: Args) -> Done {
    let interrupted = interrupted().context("signals cannot be waited for")?;
    tokio::select! {
        done = measure(args) => done,
        () = interrupted => Err(Failure::Because("interrupted; nothing was measured".to_owned())),
    }
}

/// Until SIGINT, SIGTERM or SIGHUP.
fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals = kinds.into_iter().map(signal).collect::<std::io::Result<Vec<_>>>()?;
    Ok(async move {
        let came = signals.into_iter().map(|mut one| Box::pin(async move { one.recv().await }));
        futures::future::select_all(came).await;
    })
}

async fn measure(args: Args) -> Done {
    if let Some(Other::Isolation(args)) = args.other {
        return isolation(args).await;
    }
    let known = || CASES.iter().map(|case| case.name);
    if let Some(unknown) = args.only.iter().find(|name| !known().any(|known| known == *name)) {
        let names = known().collect::<Vec<_>>().join(", ");
        return Err(Failure::Because(format!("there is no case `{unknown}`; there are {names}")));
    }
    if cfg!(debug_assertions) && !args.quick {
        output::note("This is a debug build: the figures say little. Build with --release.");
    }
    let default = if args.quick { 1 } else { 3 };
    let rounds = args.rounds.unwrap_or(default).clamp(1, 100);
    let options = Options { quick: args.quick, rounds, only: args.only };
    let report = bench::run(&options, &|line| output::note(line)).await?;
    if args.json {
        output::json(&report);
    } else {
        print(&report);
    }
    // Last: if it cannot be drawn, what was measured is told all the same.
    if let Some(file) = &args.plot {
        bench::plot(&report, file)?;
    }
    Ok(())
}

async fn isolation(args: IsolationArgs) -> Done {
    let redis = args.store == Kind::Redis;
    let options = bench::Isolation { redis, rate: args.rate, seconds: args.seconds };
    let isolated = bench::isolation(&options, &|line| output::note(line)).await?;
    if args.json {
        output::json(&isolated);
        return Ok(());
    }
    let mut table =
        output::table(&["run", "healthy", "p50 ms", "p99 ms", "p99.9 ms", "p99 ×", "MiB"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (name, ..) in bench::RUNS {
        let Some(figures) = isolated.cases.get(name) else { continue };
        table.add_row([
            name.replace('_', " "),
            number(figures.get("measured"), 0),
            number(figures.get("p50_ms"), 2),
            number(figures.get("p99_ms"), 2),
            number(figures.get("p999_ms"), 2),
            number(isolated.ratios.get(name).copied(), 2),
            number(figures.get("peak_mib_fanfare"), 0),
        ]);
    }
    output::print_table(&table);
    Ok(())
}

pub(super) async fn sink() -> Done {
    Ok(bench::run_sink().await?)
}

pub(super) async fn load(args: LoadArgs) -> Done {
    Ok(bench::run_load(args.kind).await?)
}

fn print(report: &Report) {
    let head =
        ["case", "per second", "of reqwest", "p50 ms", "p99 ms", "CPU s/1,000", "MiB", "what"];
    let mut table = output::table(&head);
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for case in &CASES {
        let Some(figures) = report.cases.get(case.name) else { continue };
        let ratio = report.ratios.get(&format!("{}/limit_reqwest", case.name));
        let ours = ["fanfare", "sender"];
        let of = |what: &str| ours.iter().find_map(|name| figures.get(&format!("{what}_{name}")));
        table.add_row([
            case.name.to_owned(),
            number(figures.get("per_s"), 0),
            number(ratio.copied(), 2),
            number(figures.get("p50_ms"), 2),
            number(figures.get("p99_ms"), 2),
            number(of("cpu_s_per_1000"), 3),
            number(of("peak_mib"), 0),
            case.about.to_owned(),
        ]);
    }
    output::line("");
    output::print_table(&table);
    print_open_loops(report);
    print_rest(report);
    for why in &report.skipped {
        output::line(format!("left out: {why}"));
    }
    output::line(format!("\nMedians of {} rounds. Everything is in --json.", report.rounds));
}

fn print_open_loops(report: &Report) {
    let lines = report.cases.iter().flat_map(|(name, figures)| {
        ["100", "1000"].into_iter().filter_map(|rate| open_loop(name, rate, figures))
    });
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        output::line(format!("\nFrom ingest to arrival\n{}", lines.join("\n")));
    }
}

fn open_loop(name: &str, rate: &str, figures: &Figures) -> Option<String> {
    let of = |what: &str| figures.get(&format!("open_{rate}_{what}_ms"));
    let (p50, p99, p999) = (of("p50")?, of("p99")?, of("p999")?);
    Some(format!(
        "  {name:<14} at {rate:>4}/s   p50 {p50:.2} ms   p99 {p99:.2} ms   p99.9 {p999:.2} ms"
    ))
}

fn print_rest(report: &Report) {
    let lines = report.cases.iter().filter_map(|(name, figures)| rest(name, figures));
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        output::line(format!("\nWith nothing to do\n{}", lines.join("\n")));
    }
}

fn rest(name: &str, figures: &Figures) -> Option<String> {
    let of = |what: &str| figures.get(what);
    let (idle, binary) = (of("idle_cpu_percent")?, of("binary_mib")?);
    let (ready, resident) = (of("ready_ms")?, of("resident_mib")?);
    let (tenants, ready_many) = (of("tenants_many")?, of("ready_many_ms")?);
    let (new, resident_many) = (of("ready_many_new_ms")?, of("resident_many_mib")?);
    Some(format!(
        "  {name:<14} ready in {ready:.0} ms, {resident:.0} MiB, {idle:.2} % of a core; with {tenants:.0} \
         tenants {ready_many:.0} ms ({new:.0} when they are new), {resident_many:.0} MiB; the program \
         itself {binary:.1} MiB"
    ))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}
