//! Deliveries that failed for good: filtered, counted, and sent again together.

use askama::Template;
use axum::extract::{Path, RawQuery};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::event::Delivery;
use super::{Listed, done, frame, given, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::flash::Flash;
use crate::dashboard::format::{count, destination, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Fields, Posted, Visit};

/// The filters, as people type them. An empty field is no filter.
#[derive(Clone, Debug, Default)]
struct Filter {
    destination: String,
    kind: String,
    error: String,
    /// `dead` or `suppressed`.
    state: String,
}

impl Filter {
    fn of(fields: &Fields) -> Self {
        let own = |name: &str| fields.get(name).to_owned();
        let state = if fields.get("state") == "suppressed" { "suppressed" } else { "dead" };
        Self {
            destination: own("destination"),
            kind: own("type"),
            error: own("error"),
            state: state.to_owned(),
        }
    }

    fn read(raw: Option<&str>) -> Self {
        Self::of(&Fields::parse(raw.unwrap_or_default().as_bytes()))
    }

    /// The filters for an address, without the state `dead`, which is the default.
    fn address(&self, cursor: Option<&str>) -> String {
        query(&[
            ("destination", given(&self.destination)),
            ("type", given(&self.kind)),
            ("error", given(&self.error)),
            ("state", given(&self.state).filter(|state| *state != "dead")),
            ("cursor", cursor),
        ])
    }

    /// The filters for the API's replay.
    fn body(&self, dry_run: bool) -> Value {
        let mut body = json!({"state": [self.state], "dry_run": dry_run});
        for (name, text) in
            [("destination", &self.destination), ("type", &self.kind), ("error", &self.error)]
        {
            if let Some(text) = given(text) {
                body[name] = json!(text);
            }
        }
        body
    }

    /// What is selected, in words.
    fn words(&self) -> String {
        let part = |text: &str, before: &str| {
            given(text).map(|text| format!(" {before} {text}")).unwrap_or_default()
        };
        [
            part(&self.destination, "to"),
            part(&self.kind, "of type"),
            part(&self.error, "with the error"),
        ]
        .concat()
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    deliveries: Vec<Delivery>,
    next: Option<String>,
}

impl Page {
    fn count_at(&self) -> String {
        self.frame.at("dead-letters/replay") + &self.filter.address(None)
    }
}

/// Lists the dead letters.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    let filter = Filter::read(raw.as_deref());
    let fields = Fields::parse(raw.as_deref().unwrap_or_default().as_bytes());
    let asked = query(&[
        ("limit", Some("50")),
        ("state", Some(&filter.state)),
        ("destination", given(&filter.destination)),
        ("type", given(&filter.kind)),
        ("error", given(&filter.error)),
        ("cursor", fields.given("cursor")),
    ]);
    let all = path(&["tenants", &tenant, "deliveries"]) + &asked;
    let shown = visit.api.get::<Listed<Delivery>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Dead letters", "dead-letters");
        let next = found.next_cursor.map(|cursor| filter.address(Some(&cursor)));
        page(&Page { frame, filter, deliveries: found.data, next })
    });
    or_problem(&visit, &tenant, shown)
}

/// How many deliveries an action would change.
#[derive(Deserialize)]
struct Counted {
    found: u64,
    counts: Vec<CountLine>,
}

#[derive(Deserialize)]
struct CountLine {
    destination: String,
    reason: String,
    count: u64,
}

impl CountLine {
    fn destination(&self) -> &str {
        destination(&self.destination)
    }

    fn count(&self) -> String {
        number(self.count)
    }
}

#[derive(Template)]
#[template(path = "replay.html")]
struct CountPage {
    frame: Frame,
    filter: Filter,
    counted: Counted,
}

impl CountPage {
    fn heading(&self) -> String {
        let what = count(self.counted.found, "delivery");
        format!("Send {what}{} again?", self.filter.words())
    }

    fn back(&self) -> String {
        self.frame.at("dead-letters") + &self.filter.address(None)
    }
}

/// Counts what the filters select before it is sent again.
pub(in crate::dashboard) async fn count_first(
    visit: Visit,
    Path((tenant, _)): Path<(String, String)>,
    RawQuery(raw): RawQuery,
) -> Response {
    let filter = Filter::read(raw.as_deref());
    let resource = path(&["tenants", &tenant, "deliveries", "replay"]);
    let answer = visit.api.send(Method::POST, &resource, Some(&filter.body(true))).await;
    let counted = answer
        .and_then(|answer| serde_json::from_value::<Counted>(answer).map_err(Problem::internal));
    let shown = counted.map(|counted| {
        let frame = frame(&visit, &tenant, "Send again", "dead-letters");
        page(&CountPage { frame, filter, counted })
    });
    or_problem(&visit, &tenant, shown)
}

/// Sends what the filters select again.
pub(in crate::dashboard) async fn act(
    Path((tenant, action)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let filter = Filter::of(&posted.fields);
    let to = visit.frame(&tenant, "", "").at("dead-letters") + &filter.address(None);
    if action != "replay" {
        return Redirect::to(&to).into_response();
    }
    let resource = path(&["tenants", &tenant, "deliveries", "replay"]);
    let answer = visit.api.send(Method::POST, &resource, Some(&filter.body(false))).await;
    let flash = answer.map(|answer| {
        let read = |name: &str| answer[name].as_u64().unwrap_or_default();
        let rest = match read("left") {
            0 => String::new(),
            left => format!(" {} more are left. Send them in the same way.", number(left)),
        };
        let sent = count(read("replayed"), "delivery");
        let verb = if read("replayed") == 1 { "is" } else { "are" };
        Flash::from(format!("{sent} {verb} queued to be sent again.{rest}"))
    });
    done(visit, &to, flash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_what_is_sent() {
        let filter = Filter::read(Some("destination=down&type=kyc.x&error=http_500&state=dead"));
        let expected = json!({
            "state": ["dead"], "destination": "down", "type": "kyc.x", "error": "http_500",
        });
        for dry_run in [true, false] {
            let mut expected = expected.clone();
            expected["dry_run"] = json!(dry_run);
            assert_eq!(filter.body(dry_run), expected);
        }
        assert_eq!(filter.words(), " to down of type kyc.x with the error http_500");
        assert_eq!(filter.address(None), "?destination=down&type=kyc.x&error=http_500");
        assert_eq!(Filter::read(Some("state=everything")).body(true)["state"], json!(["dead"]));
    }
}
