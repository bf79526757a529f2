//! Statistics: what arrived and what became of it, per hour or day, from rollups that the store
//! keeps. No request counts events, so a page can ask for them as often as it likes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::params::TenantPath;
use crate::api::answer::{ApiError, success};
use crate::api::body::{QueryParams, within};
use crate::api::edit::check_known;
use crate::api::environments::{EnvironmentFilter, history};
use crate::api::scope::{By, OperateLive, Read, Scope};
use crate::api::state::ApiState;
use fanfare_routing::type_filter;
use fanfare_store::{HOUR_MS, LATENCY_MS, Ms, Series, StatsQuery, Sums, TypeFilter};

/// Window if the request does not say since when: a day of hours, or 30 days.
const DEFAULT_STEPS: [i64; 2] = [24, 30];
/// Most steps in one answer: 31 days of hours, or two years of days.
const MOST_STEPS: i64 = 744;
/// Series per answer if the caller does not set a limit.
const DEFAULT_SERIES: u64 = 20;
/// Most series in one answer.
const MOST_SERIES: u64 = 200;

/// The length of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// An hour.
    #[default]
    Hour,
    /// A day in UTC.
    Day,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }
}

/// Which statistics of a tenant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsFilter {
    /// From this time, in Unix milliseconds, rounded down to a step. The default is a day ago, or 30
    /// days ago with `step=day`.
    from_ms: Option<i64>,
    /// Up to this time, in Unix milliseconds. The default is now.
    to_ms: Option<i64>,
    /// The length of a step. The default is `hour`.
    #[param(inline)]
    step: Option<Step>,
    /// One series for each of these, separated by commas: `destination`, `channel`, `type`.
    #[param(example = "destination")]
    group_by: Option<String>,
    /// Only deliveries to this destination.
    destination: Option<String>,
    /// Only events of these types: a comma-separated list of event types and patterns.
    #[serde(rename = "type")]
    #[param(example = "kyc.**")]
    kind: Option<String>,
    /// The environment. Without it, a live key gets live events, or the events of the destination
    /// that it names. A test key gets test events.
    environment: Option<EnvironmentFilter>,
    /// Most series to return. The default is 20.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u64>,
}

/// Which statistics of all tenants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AllStatsFilter {
    /// From this time, in Unix milliseconds, rounded down to a step. The default is a day ago, or 30
    /// days ago with `step=day`.
    from_ms: Option<i64>,
    /// Up to this time, in Unix milliseconds. The default is now.
    to_ms: Option<i64>,
    /// The length of a step. The default is `hour`.
    #[param(inline)]
    step: Option<Step>,
    /// `channel` for one series per channel.
    group_by: Option<String>,
    /// The environment. Without it, live events.
    environment: Option<EnvironmentFilter>,
}

/// Statistics over a window of time.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// The beginning of the first step, in Unix milliseconds.
    from_ms: i64,
    /// The end of the window, in Unix milliseconds.
    to_ms: i64,
    /// The length of a step: `hour` or `day`.
    #[schema(example = "hour")]
    step: &'static str,
    /// The upper bounds of the classes of `latency`, in milliseconds. The last class has no bound.
    latency_bounds_ms: Vec<u32>,
    /// The series, the one with most deliveries first.
    series: Vec<StatsSeries>,
    /// Series beyond `limit`, which are left out.
    more_series: usize,
}

/// Counts over time.
#[derive(Serialize, ToSchema)]
pub(super) struct StatsSeries {
    /// The destination, with `group_by=destination`.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    /// The channel, with `group_by=channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// The event type, with `group_by=type`. `*` counts the types of an hour in which the tenant
    /// used thousands of them.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// The whole window.
    total: StatsCounts,
    /// The steps in which something happened, oldest first.
    points: Vec<StatsPoint>,
}

/// One step.
#[derive(Serialize, ToSchema)]
pub(super) struct StatsPoint {
    /// When the step begins, in Unix milliseconds.
    at_ms: i64,
    /// What happened in it.
    #[serde(flatten)]
    counts: StatsCounts,
}

/// An event counts in the hour in which it was received, and a delivery in the hour of its outcome.
#[derive(Serialize, ToSchema)]
pub(super) struct StatsCounts {
    /// Events. Left out if the request is about destinations or channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    /// Events that no route matched. Left out like `received`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unrouted: Option<u64>,
    /// Deliveries that the receiver accepted.
    delivered: u64,
    /// Failed attempts that will be repeated.
    retried: u64,
    /// Deliveries that were deliberately not sent.
    suppressed: u64,
    /// Deliveries that were given up.
    dead: u64,
    /// Attempts.
    attempts: u64,
    /// Time from the receipt of an event to its delivery. Null if nothing was delivered.
    latency: Option<Latency>,
}

/// Percentiles are estimates within a class.
#[derive(Serialize, ToSchema)]
struct Latency {
    /// Half of the deliveries took at most this long, in milliseconds.
    p50_ms: Option<u64>,
    /// 95 % of the deliveries took at most this long, in milliseconds.
    p95_ms: Option<u64>,
    /// 99 % of the deliveries took at most this long, in milliseconds.
    p99_ms: Option<u64>,
    /// Deliveries by class; see `latency_bounds_ms`.
    classes: Vec<u64>,
}

impl StatsCounts {
    fn of(sums: &Sums, has_events: bool) -> Self {
        let latency = (sums.delivered > 0).then(|| Latency {
            p50_ms: sums.latency_ms(0.5),
            p95_ms: sums.latency_ms(0.95),
            p99_ms: sums.latency_ms(0.99),
            classes: sums.latency.to_vec(),
        });
        Self {
            received: has_events.then_some(sums.received),
            unrouted: has_events.then_some(sums.unrouted),
            delivered: sums.delivered,
            retried: sums.retried,
            suppressed: sums.suppressed,
            dead: sums.dead,
            attempts: sums.attempts,
            latency,
        }
    }
}

/// Get statistics
///
/// Returns counts per hour or day: events, deliveries by outcome, attempts and latencies. They are
/// kept longer than events (`stats_retention`).
#[utoipa::path(get, path = "/v1/tenants/{tenant}/stats", operation_id = "get_stats", tag = "Statistics", params(TenantPath, StatsFilter),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The statistics.", body = Stats)))]
pub(super) async fn of_tenant(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(filter): QueryParams<StatsFilter>,
) -> Result<Response, ApiError> {
    let window = Window::new(filter.from_ms, filter.to_ms, filter.step, state.clock.now_ms())?;
    let groups = Groups::parse(filter.group_by.as_deref(), &["destination", "channel", "type"])?;
    let limit = within("limit", filter.limit, 1..=MOST_SERIES)?.unwrap_or(DEFAULT_SERIES);
    let names_destination = filter.destination.is_some();
    let query = StatsQuery {
        tenant: Some(scope.tenant.clone()),
        environment: history(&scope.principal, filter.environment, names_destination)?,
        destination: filter.destination,
        kind: types(filter.kind.as_deref())?,
        by_destination: groups.has("destination"),
        by_channel: groups.has("channel"),
        by_type: groups.has("type"),
        ..window.query()
    };
    let found = state.store.rollups.stats(&query).await?;
    if found.is_empty() {
        check_known(&state, &scope).await?;
    }
    Ok(answer(&window, &query, found, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Get statistics of all tenants
///
/// Returns the counts of all tenants together, per hour or day.
#[utoipa::path(get, path = "/v1/stats", operation_id = "get_all_stats", tag = "Statistics", params(AllStatsFilter),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])), responses((status = 200, description = "The statistics.", body = Stats)))]
pub(super) async fn of_all(
    By(principal, _): By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    QueryParams(filter): QueryParams<AllStatsFilter>,
) -> Result<Response, ApiError> {
    let window = Window::new(filter.from_ms, filter.to_ms, filter.step, state.clock.now_ms())?;
    let groups = Groups::parse(filter.group_by.as_deref(), &["channel"])?;
    let query = StatsQuery {
        environment: history(&principal, filter.environment, false)?,
        by_channel: groups.has("channel"),
        ..window.query()
    };
    let found = state.store.rollups.stats(&query).await?;
    Ok(answer(&window, &query, found, usize::MAX))
}

/// A filter from a comma-separated list of event types and patterns.
pub(super) fn types(list: Option<&str>) -> Result<Option<TypeFilter>, ApiError> {
    let Some(list) = list else { return Ok(None) };
    let filter = type_filter(list).map_err(|wrong| ApiError::field("type", wrong))?;
    Ok(Some(TypeFilter::new(filter)))
}

fn answer(window: &Window, query: &StatsQuery, found: Vec<Series>, limit: usize) -> Response {
    let has_events = !(query.destination.is_some() || query.by_destination || query.by_channel);
    let text = |part: Option<Arc<str>>| part.map(|text| text.to_string());
    let more_series = found.len().saturating_sub(limit);
    let series = found.into_iter().take(limit).map(|one| {
        let point = |(at_ms, sums): &(Ms, Sums)| StatsPoint {
            at_ms: *at_ms,
            counts: StatsCounts::of(sums, has_events),
        };
        StatsSeries {
            destination: text(one.key.destination),
            channel: text(one.key.channel),
            kind: text(one.key.kind),
            total: StatsCounts::of(&one.total, has_events),
            points: one.points.iter().map(point).collect(),
        }
    });
    let stats = Stats {
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        step: window.step.word(),
        latency_bounds_ms: LATENCY_MS.to_vec(),
        series: series.collect(),
        more_series,
    };
    success(StatusCode::OK, stats)
}

/// The steps of an answer.
struct Window {
    from_ms: Ms,
    to_ms: Ms,
    step: Step,
}

impl Window {
    fn new(
        from_ms: Option<Ms>,
        to_ms: Option<Ms>,
        step: Option<Step>,
        now: Ms,
    ) -> Result<Self, ApiError> {
        let step = step.unwrap_or_default();
        let step_ms = step.hours() * HOUR_MS;
        let to_ms = to_ms.unwrap_or(now);
        let steps = DEFAULT_STEPS[usize::from(step == Step::Day)];
        let from_ms = from_ms.unwrap_or(to_ms.saturating_sub(steps * step_ms));
        let from_ms = from_ms.div_euclid(step_ms).saturating_mul(step_ms);
        if to_ms <= from_ms {
            return Err(ApiError::field("to_ms", "must be after `from_ms`"));
        }
        if (to_ms.saturating_sub(from_ms) - 1) / step_ms >= MOST_STEPS {
            let message = format!(
                "is too early: an answer has up to {MOST_STEPS} steps; choose a shorter window or \
                 `step=day`"
            );
            return Err(ApiError::field("from_ms", message));
        }
        Ok(Self { from_ms, to_ms, step })
    }

    fn query(&self) -> StatsQuery {
        StatsQuery {
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            step_hours: self.step.hours(),
            ..StatsQuery::default()
        }
    }
}

/// What the series are about.
struct Groups<'a>(Vec<&'a str>);

impl<'a> Groups<'a> {
    fn parse(list: Option<&'a str>, known: &[&str]) -> Result<Self, ApiError> {
        let words = list.map(|list| list.split(',').map(str::trim).collect::<Vec<_>>());
        let words = words.unwrap_or_default();
        match words.iter().find(|word| !known.contains(word)) {
            None => Ok(Self(words)),
            Some(word) => {
                let message = format!("has `{word}`; use {}", known.join(", "));
                Err(ApiError::field("group_by", message))
            }
        }
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_900_000_000_000;

    fn message(window: Result<Window, ApiError>) -> String {
        window.err().map(|error| error.message.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_window_is_a_day_of_hours_or_thirty_days_by_default() {
        let hours = Window::new(None, None, None, NOW).expect("a window");
        assert_eq!((hours.from_ms % HOUR_MS, hours.to_ms), (0, NOW));
        assert_eq!((NOW - hours.from_ms) / HOUR_MS, 24);
        let days = Window::new(None, None, Some(Step::Day), NOW).expect("a window");
        assert_eq!((NOW - days.from_ms) / (24 * HOUR_MS), 30);
        assert_eq!(days.from_ms % (24 * HOUR_MS), 0);
    }

    #[test]
    fn a_window_without_end_or_with_too_many_steps_is_refused() {
        assert!(message(Window::new(Some(NOW), Some(NOW - HOUR_MS), None, NOW)).contains("to_ms"));
        assert!(message(Window::new(Some(0), None, None, NOW)).contains("step=day"));
        let month = Some(NOW - 30 * 24 * HOUR_MS);
        assert!(Window::new(month, None, None, NOW).is_ok(), "a month of hours");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(Window::new(Some(extreme), None, None, NOW).is_err());
            assert!(Window::new(Some(0), Some(extreme), Some(Step::Day), NOW).is_err());
        }
    }

    #[test]
    fn an_unknown_group_is_named() {
        assert!(Groups::parse(Some("destination, type"), &["destination", "type"]).is_ok());
        let wrong = Groups::parse(Some("tenant"), &["channel"]).err().expect("refused");
        assert!(wrong.message.contains("`tenant`") && wrong.message.contains("channel"));
    }
}
