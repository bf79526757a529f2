//! The measurement: cases take turns, round by round.
//!
//! Noise of the machine then meets all cases alike. The report holds medians over the rounds, and
//! ratios are taken within a round.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cases::{CASES, Case, Setup, Sizes};
use crate::report::Report;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The router under test.
    pub(crate) fanfare: PathBuf,
    /// Small counts: only to see that it works.
    pub(crate) quick: bool,
    /// How often each case runs.
    pub(crate) rounds: usize,
    /// Names of cases; all when empty.
    pub(crate) only: Vec<String>,
}

/// Measures. `progress` gets a line for every case that ends.
pub(crate) async fn run(options: &Options, progress: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let setup = Setup { fanfare: options.fanfare.clone(), sizes };
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
            let run = case.run(&setup).await.map_err(|error| error.context(case.name))?;
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
