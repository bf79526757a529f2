//! `fanfare bench`: how fast this machine can be, how fast what people write themselves is, and how
//! fast Fanfare is, in one go.
//!
//! Every part is a process of its own: the `sink` that receives, the `load`s that send (the
//! limits and the naive consumer among them), a real `redis-server`, and the router under test, which
//! is this very program as `fanfare serve`, with everything switched on. Everything stays on
//! 127.0.0.1. The cases take turns, round by round, so that noise of the machine meets all of them;
//! what is reported is the median, and a ratio is taken within a round.

mod actors;
mod cases;
mod isolation;
mod load;
mod mail;
mod plot;
mod process;
mod report;
mod rest;

use std::collections::BTreeMap;

pub use cases::CASES;
pub(crate) use fanfare_peers::sink::run as run_sink;
pub use isolation::{Isolated, Isolation, RUNS, isolation};
pub(crate) use load::{Kind, run as run_load};
pub use plot::plot;
pub use report::{Figures, Report};

use cases::{Case, Sizes};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Small counts, one round: does it work?
    pub quick: bool,
    /// How often each case runs.
    pub rounds: usize,
    /// Names of cases; none is all.
    pub only: Vec<String>,
}

/// Measures. `progress` is told of every case as it ends.
pub async fn run(options: &Options, progress: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let wanted =
        |case: &&Case| options.only.is_empty() || options.only.iter().any(|n| n == case.name);
    let mut skipped = Vec::new();
    let mut chosen: Vec<&Case> = CASES.iter().filter(wanted).collect();
    for case in chosen.extract_if(.., |case| case.needs.missing().is_some()) {
        let missing = case.needs.missing().unwrap_or_default();
        let why = format!("{}: no {missing} in PATH or target/test-tools/bin", case.name);
        progress(&why);
        skipped.push(why);
    }
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let mut figures = BTreeMap::new();
        for case in &chosen {
            let run = case.run(sizes).await.map_err(|error| error.context(case.name))?;
            let result = match run.get("per_s") {
                Some(per_s) => format!("{per_s:>9.0}/s"),
                None => format!("{:>9.0} ms to ready", run.get("ready_ms").unwrap_or_default()),
            };
            progress(&format!("round {round}/{}  {:<16} {result}", options.rounds, case.name));
            figures.insert(case.name, run);
        }
        rounds.push(figures);
    }
    Ok(Report::of(&rounds, skipped))
}
