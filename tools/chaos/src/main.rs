//! The command line; `cargo xtask chaos` builds what is needed and runs this.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fanfare_chaos::{Options, Parked, Programs, Retention, Rolling, StoreKind, Storm};

/// Kills Fanfare and its store under load, and counts what arrives.
#[derive(Parser)]
#[command(
    name = "cargo xtask chaos",
    after_help = "Exit codes: 0 nothing lost, 1 something lost, out of order or without excuse twice, 2 it could not be run.",
    args_conflicts_with_subcommands = true
)]
struct Args {
    #[command(flatten)]
    programs: ProgramArgs,
    /// Which store
    #[arg(long, default_value = "both", value_parser = ["embedded", "redis", "both"])]
    store: String,
    /// Events to send; 100000, or 2000 with --quick
    #[arg(long, value_name = "N")]
    events: Option<u32>,
    /// Kills of a router on each store; 30, or 3 with --quick
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// Kills of Redis; 10, or 1 with --quick
    #[arg(long, value_name = "N")]
    redis_kills: Option<u32>,
    /// From which all that is random follows; by default the time
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Keep logs and data in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The short form that the tests run
    #[arg(long)]
    quick: bool,
    /// Runs this many storms on each store instead: some seconds each, with every kind of fault at
    /// random; their seeds follow --seed
    #[arg(long, value_name = "N", conflicts_with_all = ["kills", "redis_kills", "quick"])]
    runs: Option<u64>,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Subcommand)]
enum Other {
    /// Restarts two replicas one after the other, and measures what is held up
    Rolling {
        #[command(flatten)]
        programs: ProgramArgs,
        /// Events a second
        #[arg(long, default_value_t = 500)]
        rate: u32,
        /// How often both are restarted
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// Measures what grows while events come, are kept for a short time, and are removed
    Retention {
        #[command(flatten)]
        programs: ProgramArgs,
        /// Which store
        #[arg(long, default_value = "embedded")]
        store: StoreKind,
        /// Events to send
        #[arg(long, value_name = "N", default_value_t = 2_000_000)]
        events: u32,
        /// Seconds for which they are kept
        #[arg(long, value_name = "S", default_value_t = 30)]
        kept: u64,
        /// Seconds between two looks
        #[arg(long, value_name = "S", default_value_t = 5)]
        every: u64,
        /// Most events a second; as fast as they arrive when left out
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
        /// 60,000 events, kept for 3 s, looked at every second
        #[arg(long)]
        quick: bool,
    },
    /// Measures the router's memory with a million deliveries parked
    Parked {
        #[command(flatten)]
        programs: ProgramArgs,
        /// Which store
        #[arg(long, default_value = "embedded")]
        store: StoreKind,
        /// Deliveries to park
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        deliveries: u32,
        /// 40,000 deliveries
        #[arg(long)]
        quick: bool,
    },
}

/// What is run.
#[derive(clap::Args)]
struct ProgramArgs {
    /// The `fanfare` binary under test; by default the one beside this program
    #[arg(long, value_name = "FILE", env = "FANFARE_CHAOS_BIN")]
    fanfare: Option<PathBuf>,
    /// A `redis-server`; by default the one of target/test-tools or of the PATH
    #[arg(long, value_name = "FILE", env = "FANFARE_CHAOS_REDIS")]
    redis_server: Option<PathBuf>,
}

impl ProgramArgs {
    fn find(&self) -> anyhow::Result<Programs> {
        Programs::find(self.fanfare.clone(), self.redis_server.clone())
    }
}

impl Args {
    fn options(&self, store: StoreKind) -> Options {
        let mut options = if self.quick { Options::quick(store) } else { Options::full(store) };
        options.events = self.events.unwrap_or(options.events);
        options.kills = self.kills.unwrap_or(options.kills);
        options.redis_kills = self.redis_kills.unwrap_or(options.redis_kills);
        options.seed = self.seed.unwrap_or_else(seed_of_the_day);
        options.keep.clone_from(&self.keep);
        options.progress = true;
        options
    }
}

impl Other {
    /// True when the promise held.
    async fn run(&self) -> anyhow::Result<bool> {
        match self {
            Self::Rolling { programs, rate, rounds } => {
                let options = Rolling { rate: *rate, rounds: *rounds };
                let rolled = fanfare_chaos::rolling(&programs.find()?, &options).await?;
                rolled.print();
                Ok(rolled.is_good())
            }
            Self::Retention { programs, store, events, kept, every, rate, quick } => {
                let (events, kept, every) =
                    if *quick { (60_000, 3, 1) } else { (*events, *kept, *every) };
                let options = Retention {
                    store: *store,
                    events,
                    kept: Duration::from_secs(kept.max(1)),
                    every: Duration::from_secs(every.max(1)),
                    rate: rate.or(quick.then_some(3_000)),
                };
                fanfare_chaos::retention(&programs.find()?, &options).await
            }
            Self::Parked { programs, store, deliveries, quick } => {
                let deliveries = if *quick { 40_000 } else { *deliveries };
                let options = Parked { store: *store, deliveries };
                fanfare_chaos::parked(&programs.find()?, &options).await
            }
        }
    }
}

fn seed_of_the_day() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or(Duration::ZERO).as_secs()
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.other {
        None if args.runs.is_some() => storms(&args).await,
        None => chaos(&args).await,
        Some(other) => other.run().await,
    };
    match done {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The stores that are chosen.
fn stores(args: &Args) -> Vec<StoreKind> {
    match args.store.as_str() {
        "embedded" => vec![StoreKind::Embedded],
        "redis" => vec![StoreKind::Redis],
        _ => vec![StoreKind::Embedded, StoreKind::Redis],
    }
}

/// Storms with one seed after another. True when all are good.
async fn storms(args: &Args) -> anyhow::Result<bool> {
    let programs = args.programs.find()?;
    let first = args.seed.unwrap_or_else(seed_of_the_day);
    let (mut bad, mut again, mut most) = (Vec::new(), 0, 0);
    let runs = args.runs.unwrap_or(0);
    for seed in first..first.saturating_add(runs) {
        for store in stores(args) {
            let (events, keep) = (args.events.unwrap_or(300), args.keep.clone());
            let done =
                fanfare_chaos::storm(&programs, &Storm { store, seed, events, keep }).await?;
            eprintln!("{}", done.line());
            again += done.duplicates;
            most = most.max(done.in_flight);
            for failure in &done.failures {
                println!("{} seed {seed}: {failure}", store.name());
            }
            if !done.is_good() {
                bad.push(format!("{} {seed}", store.name()));
            }
        }
    }
    println!(
        "{runs} seeds from {first}: {} runs not good; {again} deliveries came again with a reason; up \
         to {most} were in flight when a fault came",
        bad.len()
    );
    if !bad.is_empty() {
        println!("not good: {}", bad.join(", "));
    }
    Ok(bad.is_empty())
}

/// True when all is well.
async fn chaos(args: &Args) -> anyhow::Result<bool> {
    let programs = args.programs.find()?;
    let mut reports = Vec::new();
    for store in stores(args) {
        let options = args.options(store);
        eprintln!("{}: seed {}", store.name(), options.seed);
        reports.push(fanfare_chaos::run(&programs, &options).await?);
    }
    fanfare_chaos::print(&reports);
    Ok(reports.iter().all(fanfare_chaos::Report::is_good))
}
