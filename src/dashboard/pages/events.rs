//! The list of events, with filters in the address.

use askama::Template;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use super::{Listed, frame, given, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::format::{Time, tone};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Fields, Visit};

/// Events on a page.
pub(super) const PAGE: &str = "50";

/// The filters, as people type them. An empty field is no filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) kind: String,
    pub(super) environment: String,
    /// A state of a delivery, or `unrouted` or `pending`.
    pub(super) state: String,
    pub(super) destination: String,
    /// A time in UTC such as `2026-12-01T08:00`, as `datetime-local` sends it.
    pub(super) from: String,
    pub(super) to: String,
    cursor: String,
}

impl Filter {
    /// Reads the filters of an address.
    pub(super) fn read(raw: Option<&str>) -> Self {
        let fields = Fields::parse(raw.unwrap_or_default().as_bytes());
        let own = |name: &str| fields.get(name).to_owned();
        Self {
            kind: own("type"),
            environment: own("environment"),
            state: own("state"),
            destination: own("destination"),
            from: own("from"),
            to: own("to"),
            cursor: own("cursor"),
        }
    }

    /// Whether there is any filter.
    pub(super) fn is_set(&self) -> bool {
        let all =
            [&self.kind, &self.environment, &self.state, &self.destination, &self.from, &self.to];
        all.iter().any(|text| !text.is_empty())
    }

    /// The filters for an address of the dashboard.
    pub(super) fn address(&self, cursor: Option<&str>) -> String {
        query(&[
            ("type", given(&self.kind)),
            ("environment", given(&self.environment)),
            ("state", given(&self.state)),
            ("destination", given(&self.destination)),
            ("from", given(&self.from)),
            ("to", given(&self.to)),
            ("cursor", cursor),
        ])
    }

    /// Whether deliveries decide, so that the list is made of them.
    fn by_deliveries(&self) -> bool {
        let of_deliveries = ["delivered", "waiting", "suppressed", "dead"];
        !self.destination.is_empty() || of_deliveries.contains(&&*self.state)
    }

    /// The resource of the API that lists what the filters select, and whether it lists deliveries.
    pub(super) fn resource(
        &self,
        tenant: &str,
        limit: &str,
        cursor: Option<&str>,
    ) -> Result<(String, bool), Problem> {
        let (from, to) = (time("from", &self.from)?, time("to", &self.to)?);
        let (from, to) = (from.map(|ms| ms.to_string()), to.map(|ms| ms.to_string()));
        let by_deliveries = self.by_deliveries();
        let mut asked = vec![
            ("type", given(&self.kind)),
            ("environment", given(&self.environment)),
            ("from_ms", from.as_deref()),
            ("to_ms", to.as_deref()),
            ("limit", Some(limit)),
            ("cursor", cursor),
        ];
        if by_deliveries {
            asked
                .extend([("state", given(&self.state)), ("destination", given(&self.destination))]);
        }
        let list = if by_deliveries { "deliveries" } else { "events" };
        Ok((path(&["tenants", tenant, list]) + &query(&asked), by_deliveries))
    }

    /// Events that the API listed and the filter leaves out.
    fn keeps(&self, line: &Line) -> bool {
        !matches!(&*self.state, "unrouted" | "pending") || line.state == self.state
    }
}

/// A time of a filter in Unix milliseconds.
fn time(field: &str, text: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = given(text) else { return Ok(None) };
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let local = local.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let exact = || text.parse::<DateTime<Utc>>().ok().map(|time| time.timestamp_millis());
    let found = local.map(|time| time.and_utc().timestamp_millis()).or_else(exact);
    let message = "is not a time; write it as 2026-12-01T08:00, in UTC";
    found.map(Some).ok_or_else(|| Problem::field(field, message))
}

/// An event in a list.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    received_ms: i64,
    state: String,
    environment: String,
    deliveries: Counts,
}

#[derive(Deserialize, Default)]
struct Counts {
    delivered: u64,
    waiting: u64,
    suppressed: u64,
    dead: u64,
}

impl Line {
    pub(super) fn received(&self) -> Time {
        Time::ms(self.received_ms)
    }

    /// What became of it, with the tone of the worst part.
    pub(super) fn outcome(&self) -> (&'static str, String) {
        let Counts { delivered, waiting, suppressed, dead } = &self.deliveries;
        let parts = [
            (delivered, "delivered"),
            (suppressed, "suppressed"),
            (waiting, "waiting"),
            (dead, "dead"),
        ];
        let present: Vec<_> = parts.into_iter().filter(|(n, _)| **n > 0).collect();
        match present.last() {
            None => (tone(&self.state), self.state.clone()),
            Some((_, worst)) => {
                let words: Vec<_> = present.iter().map(|(n, word)| format!("{n} {word}")).collect();
                (tone(worst), words.join(", "))
            }
        }
    }

    pub(super) fn is_test(&self) -> bool {
        self.environment == "test"
    }
}

/// A delivery in a list, from which the line of its event is made.
#[derive(Deserialize)]
struct DeliveryLine {
    event: String,
    #[serde(rename = "type")]
    kind: String,
    destination: String,
    state: String,
    environment: String,
    received_ms: i64,
}

impl DeliveryLine {
    /// Its event as far as this delivery says.
    fn line(self) -> Line {
        let mut deliveries = Counts::default();
        match &*self.state {
            "delivered" => deliveries.delivered = 1,
            "waiting" => deliveries.waiting = 1,
            "suppressed" => deliveries.suppressed = 1,
            _ => deliveries.dead = 1,
        }
        let state = format!("{} {}", self.destination, self.state);
        let Self { event: id, kind, environment, received_ms, .. } = self;
        Line { id, kind, received_ms, state, environment, deliveries }
    }
}

/// Reads what the filters select: events, newest first, and the next cursor.
pub(super) async fn select(
    visit: &Visit,
    tenant: &str,
    filter: &Filter,
    limit: &str,
) -> Result<(Vec<Line>, Option<String>), Problem> {
    let (resource, by_deliveries) = filter.resource(tenant, limit, given(&filter.cursor))?;
    if by_deliveries {
        let found: Listed<DeliveryLine> = visit.api.get(&resource).await?;
        let mut lines: Vec<Line> = Vec::with_capacity(found.data.len());
        for line in found.data.into_iter().map(DeliveryLine::line) {
            match lines.last_mut().filter(|last| last.id == line.id) {
                Some(last) => last.deliveries.add(&line.deliveries),
                None => lines.push(line),
            }
        }
        return Ok((lines, found.next_cursor));
    }
    let found: Listed<Line> = visit.api.get(&resource).await?;
    let kept = found.data.into_iter().filter(|line| filter.keeps(line)).collect();
    Ok((kept, found.next_cursor))
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.waiting += other.waiting;
        self.suppressed += other.suppressed;
        self.dead += other.dead;
    }
}

/// The lines alone, for the live tail.
#[derive(Template)]
#[template(path = "event_rows.html")]
pub(super) struct Rows<'p> {
    pub(super) frame: &'p Frame,
    pub(super) events: &'p [Line],
}

#[derive(Template)]
#[template(path = "events.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    events: Vec<Line>,
    next: Option<String>,
    destinations: Vec<String>,
    /// The first page, which can follow new events.
    is_newest: bool,
    wrong: Option<String>,
}

impl Page {
    fn csv(&self) -> String {
        self.frame.at("events.csv") + &self.filter.address(None)
    }

    fn ndjson(&self) -> String {
        self.frame.at("events.ndjson") + &self.filter.address(None)
    }

    fn live(&self) -> String {
        self.frame.at("live") + &self.filter.address(None)
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// Lists events, newest first.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    let filter = Filter::read(raw.as_deref());
    let shown = read(&visit, &tenant, filter).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, filter: Filter) -> Result<Response, Problem> {
    let all = path(&["tenants", tenant, "destinations"]) + "?limit=200";
    let destinations: Listed<Named> = visit.api.get(&all).await?;
    let (found, wrong) = match select(visit, tenant, &filter, PAGE).await {
        Ok(found) => (found, None),
        Err(problem) if problem.is_about_the_form() => {
            ((Vec::new(), None), Some(problem.in_words()))
        }
        Err(problem) => return Err(problem),
    };
    let (events, next) = found;
    let next = next.as_deref().map(|cursor| filter.address(Some(cursor)));
    Ok(page(&Page {
        frame: frame(visit, tenant, "Events", "events"),
        is_newest: filter.cursor.is_empty(),
        filter,
        events,
        next,
        destinations: destinations.data.into_iter().map(|one| one.id).collect(),
        wrong,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_in_the_address_and_reach_the_api() {
        let filter = Filter::read(Some("type=kyc.x&from=2026-12-01T08:00&state=dead&to="));
        assert_eq!(filter.address(None), "?type=kyc.x&state=dead&from=2026-12-01T08%3A00");
        let (resource, by_deliveries) = filter.resource("acme", "50", None).unwrap();
        let expected =
            "/tenants/acme/deliveries?type=kyc.x&from_ms=1796112000000&limit=50&state=dead";
        assert_eq!((resource.as_str(), by_deliveries), (expected, true));
        let filter = Filter::read(Some("environment=test&state=unrouted"));
        let (resource, by_deliveries) = filter.resource("acme", "50", Some("c")).unwrap();
        let expected = "/tenants/acme/events?environment=test&limit=50&cursor=c";
        assert_eq!((resource.as_str(), by_deliveries), (expected, false));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_named() {
        let filter = Filter::read(Some("from=yesterday"));
        let problem = filter.resource("acme", "50", None).unwrap_err();
        assert_eq!(problem.details[0].field, "from");
        assert_eq!(time("to", "2026-12-01T08:00:00Z").unwrap(), Some(1_796_112_000_000));
    }
}
