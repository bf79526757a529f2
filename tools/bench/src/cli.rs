//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use fanfare_harness::programs;
use tokio::signal::unix::{SignalKind, signal};

use crate::cases::CASES;
use crate::isolation::{self, Isolation};
use crate::run::{self, Options};
use crate::{load, peers, plot, print};

const AFTER_HELP: &str = "Examples:
  cargo xtask bench
  cargo xtask bench --only limit_reqwest,drain_redis --json
  cargo xtask bench --plot bench.svg
  cargo xtask bench isolation --store redis

`cargo xtask bench` builds the release binaries of the router and of this program and runs the
latter. To run it alone, build both: `cargo build --release -p fanfare -p fanfare-bench`.

All processes listen on 127.0.0.1. Close other programs first: the figures describe this machine at
this moment. The ratios, which are taken within a round, vary less. Cases with Redis need
redis-server 7.0 or later, and those with mail need Postfix's smtp-source and smtp-sink, in PATH or
in target/test-tools/bin (`cargo xtask tools` installs them there).

Exit codes: 0 measured, 1 interrupted, 2 wrong command line, 3 the measurement failed.";

/// Measures the router beside the limits of this machine.
#[derive(Parser)]
#[command(name = "fanfare-bench", after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    router: RouterArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Small counts and one round: only to see that it works
    #[arg(long)]
    quick: bool,
    /// Cases to run, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    only: Vec<String>,
    /// How often each case runs [default: 3]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Draw the ratios too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(clap::Args)]
struct RouterArgs {
    /// The router under test; by default the `fanfare` beside this program
    #[arg(long, value_name = "FILE", env = "FANFARE_BENCH_BIN")]
    fanfare: Option<PathBuf>,
}

impl RouterArgs {
    fn binary(self) -> anyhow::Result<PathBuf> {
        self.fanfare.map_or_else(programs::fanfare, Ok)
    }
}

#[derive(clap::Subcommand)]
enum Other {
    /// Measures how much healthy destinations notice when others hang, fail and flood: 1,000
    /// destinations of 100 tenants
    #[command(after_help = "Example:\n  cargo xtask bench isolation --store redis")]
    Isolation(IsolationArgs),
    /// The receiver, in its own process
    #[command(hide = true)]
    Sink,
    /// A sender, in its own process
    #[command(hide = true)]
    Load {
        #[command(subcommand)]
        kind: load::Kind,
    },
}

#[derive(clap::Args)]
struct IsolationArgs {
    #[command(flatten)]
    router: RouterArgs,
    /// The store of the router
    #[arg(long, value_enum, default_value = "embedded")]
    store: StoreKind,
    /// Events a second of each tenant that does not flood
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How many seconds each of the four runs lasts
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StoreKind {
    Embedded,
    Redis,
}

/// How a run ended, if nothing failed.
enum Ended {
    Measured,
    Interrupted,
}

/// Parses the command line and runs it.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match runtime(&args) {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = runtime.block_on(run(args));
    // A blocking read of standard input must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Measured) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => {
            eprintln!("error: interrupted; nothing was measured");
            ExitCode::from(1)
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(3)
}

/// The sink gets one thread: what it costs should not depend on the number of cores.
fn runtime(args: &Args) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if matches!(args.other, Some(Other::Sink)) { 1 } else { cores.min(4) };
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

async fn run(args: Args) -> anyhow::Result<Ended> {
    match args.other {
        Some(Other::Sink) => peers::sink::run().await?,
        Some(Other::Load { kind }) => load::run(kind).await?,
        Some(Other::Isolation(args)) => return unless_interrupted(isolation(args)).await,
        None => return unless_interrupted(measure(args)).await,
    }
    Ok(Ended::Measured)
}

/// A signal ends a measurement in order: dropping it ends every process that it started.
async fn unless_interrupted(
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Ended> {
    let interrupted = interrupted().context("cannot wait for signals")?;
    tokio::select! {
        done = work => done.map(|()| Ended::Measured),
        () = interrupted => Ok(Ended::Interrupted),
    }
}

/// Until SIGINT, SIGTERM or SIGHUP.
fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals = kinds.into_iter().map(signal).collect::<std::io::Result<Vec<_>>>()?;
    Ok(async move {
        let received = signals.into_iter().map(|mut one| Box::pin(async move { one.recv().await }));
        futures::future::select_all(received).await;
    })
}

async fn measure(args: Args) -> anyhow::Result<()> {
    if cfg!(debug_assertions) && !args.quick {
        progress("This is a debug build: the figures say little. Build with --release.");
    }
    let default = if args.quick { 1 } else { 3 };
    let rounds = args.rounds.unwrap_or(default).clamp(1, 100);
    let fanfare = args.router.binary()?;
    let options = Options { fanfare, quick: args.quick, rounds, only: args.only };
    let report = run::run(&options, &progress).await?;
    if args.json {
        print::json(&report)?;
    } else {
        print::report(&report);
    }
    // Last: a plot that cannot be drawn does not hide the figures.
    if let Some(file) = &args.plot {
        plot::plot(&report, file)?;
    }
    Ok(())
}

async fn isolation(args: IsolationArgs) -> anyhow::Result<()> {
    let options = Isolation {
        fanfare: args.router.binary()?,
        redis: args.store == StoreKind::Redis,
        rate: args.rate,
        seconds: args.seconds,
    };
    let isolated = isolation::isolation(&options, &progress).await?;
    if args.json {
        print::json(&isolated)?;
    } else {
        print::isolated(&isolated);
    }
    Ok(())
}

fn progress(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
