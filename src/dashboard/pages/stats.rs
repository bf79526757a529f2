//! Counts over time, as the overview and the operators' page show them.

use axum::http::StatusCode;
use serde::Deserialize;

use crate::dashboard::chart::Spark;
use crate::dashboard::client::{Problem, query};
use crate::dashboard::format::{duration, number};
use crate::dashboard::visit::Visit;

const HOUR_MS: i64 = 3_600_000;

/// A window of time: name in the address, words, step, and number of steps.
pub(super) const WINDOWS: [(&str, &str, &str, i64); 3] = [
    ("24h", "24 hours", "hour", 24),
    ("7d", "7 days", "hour", 7 * 24),
    ("30d", "30 days", "day", 30),
];

/// The window of this name, or the first one.
pub(super) fn window(name: &str) -> usize {
    WINDOWS.iter().position(|(known, ..)| *known == name).unwrap_or(0)
}

#[derive(Deserialize)]
struct Stats {
    series: Vec<Series>,
}

/// One series.
#[derive(Deserialize, Default)]
pub(super) struct Series {
    #[serde(default)]
    pub(super) channel: Option<String>,
    pub(super) total: Counts,
    #[serde(default)]
    points: Vec<Point>,
}

#[derive(Deserialize, Default)]
pub(super) struct Counts {
    #[serde(default)]
    pub(super) received: Option<u64>,
    #[serde(default)]
    pub(super) delivered: u64,
    #[serde(default)]
    pub(super) retried: u64,
    #[serde(default)]
    pub(super) dead: u64,
    #[serde(default)]
    latency: Option<Latency>,
}

#[derive(Deserialize)]
struct Latency {
    p50_ms: Option<u64>,
    p95_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Point {
    at_ms: i64,
    #[serde(flatten)]
    counts: Counts,
}

impl Counts {
    /// The share of deliveries that were accepted: `99.6 %`.
    pub(super) fn share(&self) -> String {
        let all = self.delivered + self.dead;
        if all == 0 {
            return "–".to_owned();
        }
        // Rounded down, so that only a window without a dead delivery shows 100 %.
        let tenths = self.delivered * 1_000 / all;
        if tenths == 1_000 {
            "100 %".to_owned()
        } else {
            format!("{}.{} %", tenths / 10, tenths % 10)
        }
    }

    pub(super) fn delivered(&self) -> String {
        number(self.delivered)
    }

    pub(super) fn dead(&self) -> String {
        number(self.dead)
    }

    pub(super) fn retried(&self) -> String {
        number(self.retried)
    }

    pub(super) fn received(&self) -> String {
        self.received.map_or_else(|| "–".to_owned(), number)
    }

    pub(super) fn all(&self) -> String {
        number(self.delivered + self.dead)
    }

    /// Half of the deliveries took at most this long.
    pub(super) fn median(&self) -> String {
        let ms = self.latency.as_ref().and_then(|latency| latency.p50_ms);
        ms.map_or_else(|| "–".to_owned(), duration)
    }

    /// 95 % of the deliveries took at most this long.
    pub(super) fn slow(&self) -> String {
        let ms = self.latency.as_ref().and_then(|latency| latency.p95_ms);
        ms.map_or_else(|| "–".to_owned(), duration)
    }
}

impl Series {
    /// A chart of one count over the window that ends now.
    pub(super) fn spark(
        &self,
        what: &str,
        window: usize,
        now_ms: i64,
        value: impl Fn(&Counts) -> u64,
    ) -> Spark {
        let (.., step, steps) = WINDOWS[window];
        let step_ms = if step == "day" { 24 * HOUR_MS } else { HOUR_MS };
        let last = now_ms.div_euclid(step_ms);
        let mut values = vec![0; usize::try_from(steps).unwrap_or(1)];
        for point in &self.points {
            let ago = last - point.at_ms.div_euclid(step_ms);
            let place = usize::try_from(steps - 1 - ago).ok();
            if let Some(place) = place.and_then(|place| values.get_mut(place)) {
                *place += value(&point.counts);
            }
        }
        Spark::new(what, &values)
    }
}

/// Reads the statistics of a window. `resource` is a tenant's, or that of all tenants. `None` if the
/// server keeps none.
pub(super) async fn read(
    visit: &Visit,
    resource: &str,
    window: usize,
    group_by: Option<&str>,
) -> Result<Option<Vec<Series>>, Problem> {
    let (.., step, steps) = WINDOWS[window];
    let hours = if step == "day" { 24 * steps } else { steps };
    let from = (visit.now_ms() - (hours - 1) * HOUR_MS).to_string();
    let asked = query(&[("from_ms", Some(&*from)), ("step", Some(step)), ("group_by", group_by)]);
    match visit.api.get::<Stats>(&format!("{resource}{asked}")).await {
        Ok(stats) => Ok(Some(stats.series)),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(None),
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_placed_in_their_steps_and_missing_steps_are_zero() {
        let now_ms = 1_796_112_000_000 + 30 * 60_000;
        let hour = |ago: i64, delivered: u64| Point {
            at_ms: (now_ms / HOUR_MS - ago) * HOUR_MS,
            counts: Counts { delivered, ..Counts::default() },
        };
        let points = vec![hour(24, 99), hour(23, 1), hour(0, 3)];
        let series = Series { points, ..Series::default() };
        let spark = series.spark("Delivered", 0, now_ms, |counts| counts.delivered);
        assert_eq!(spark.label, "Delivered over time: at most 3, most recently 3");
        assert!(spark.line.starts_with("M0.0 23.3"), "{}", spark.line);
    }

    #[test]
    fn only_a_window_without_dead_deliveries_shows_100_percent() {
        let share = |delivered, dead| Counts { delivered, dead, ..Counts::default() }.share();
        assert_eq!(share(0, 0), "–");
        assert_eq!(share(10, 0), "100 %");
        assert_eq!(share(99_999, 1), "99.9 %");
        assert_eq!(share(0, 3), "0.0 %");
    }
}
