//! Figures: of one run of a case, their medians over the rounds, and the ratios between cases.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::usage::Usage;

/// Figures of one run by name: `per_s`, `p50_ms`, `cpu_s_per_1000_fanfare`, …
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Figures(pub BTreeMap<String, f64>);

impl Figures {
    /// One figure.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// What a process used for so many deliveries.
    pub(crate) fn used(&mut self, process: &str, before: Usage, after: Usage, deliveries: usize) {
        let cpu = (after.cpu_s - before.cpu_s).max(0.0);
        self.set(format!("cpu_s_per_1000_{process}"), cpu * 1_000.0 / float(deliveries.max(1)));
        self.set(format!("peak_mib_{process}"), after.peak_mib);
    }

    /// Percentiles of sorted times in microseconds, as `{prefix}p50_ms` and so on.
    pub(crate) fn times(&mut self, prefix: &str, sorted_us: &[u32]) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            if let Some(us) = percentile(sorted_us, share) {
                self.set(format!("{prefix}{name}_ms"), f64::from(us) / 1_000.0);
            }
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Medians over the rounds, by case.
    pub(crate) cases: BTreeMap<&'static str, Figures>,
    /// `drain_redis/limit_reqwest`, …: medians of the ratios within each round.
    pub(crate) ratios: BTreeMap<String, f64>,
    /// How many rounds.
    pub(crate) rounds: usize,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
}

/// What a case is compared with.
const LIMITS: [&str; 4] = ["limit_hyper", "limit_reqwest", "limit_smtp", "naive_redis"];

impl Report {
    /// From the figures of every round.
    pub(crate) fn of(rounds: &[BTreeMap<&'static str, Figures>], skipped: Vec<String>) -> Self {
        let mut cases = BTreeMap::new();
        for name in rounds.iter().flat_map(BTreeMap::keys) {
            let runs: Vec<&Figures> = rounds.iter().filter_map(|round| round.get(name)).collect();
            let mut figures = Figures::default();
            for figure in runs.iter().flat_map(|run| run.0.keys()) {
                let values = runs.iter().filter_map(|run| run.get(figure)).collect();
                figures.set(figure, median(values));
            }
            cases.insert(*name, figures);
        }
        Self { cases, ratios: ratios(rounds), rounds: rounds.len(), skipped }
    }
}

/// Within a round both sides met the same noise, so the ratio is taken there.
fn ratios(rounds: &[BTreeMap<&'static str, Figures>]) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in rounds {
        for limit in LIMITS {
            let Some(below) = round.get(limit).and_then(|figures| figures.get("per_s")) else {
                continue;
            };
            // Mail is compared with mail.
            let comparable = |name: &str| (name == "email") == (limit == "limit_smtp");
            let cases = round.iter().filter(|(name, _)| !name.starts_with("limit"));
            for (name, figures) in cases.filter(|(name, _)| comparable(name)) {
                let above = figures.get("per_s").filter(|_| *name != limit);
                if let Some(above) = above {
                    values.entry(format!("{name}/{limit}")).or_default().push(above / below);
                }
            }
        }
    }
    values.into_iter().map(|(name, values)| (name, median(values))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the list: between 0 and its length"
)]
fn percentile(sorted: &[u32], share: f64) -> Option<u32> {
    let place = (float(sorted.len()) * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(limit: f64, drain: f64) -> BTreeMap<&'static str, Figures> {
        let figures = |per_s| Figures([("per_s".to_owned(), per_s)].into());
        [("limit_reqwest", figures(limit)), ("drain_redis", figures(drain))].into()
    }

    #[test]
    fn a_ratio_is_the_median_of_those_within_rounds_not_the_ratio_of_medians() {
        let rounds = [round(100.0, 50.0), round(10.0, 6.0), round(200.0, 140.0)];
        let report = Report::of(&rounds, Vec::new());
        assert!((report.ratios["drain_redis/limit_reqwest"] - 0.6).abs() < 1e-9);
        assert_eq!(report.cases["limit_reqwest"].get("per_s"), Some(100.0));
        assert_eq!(report.rounds, 3);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times: Vec<u32> = (1..=1_000).collect();
        assert_eq!(percentile(&times, 0.5), Some(500));
        assert_eq!(percentile(&times, 0.999), Some(999));
        assert_eq!(percentile(&[7], 0.5), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
