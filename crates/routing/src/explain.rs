//! Which routes match an event and why the others do not, for `fanfare route` and the API.

use std::fmt;

use fanfare_contract::Event;
use serde::Serialize;

use super::error::headline;
use super::pattern::{MAX_STEPS, Probe, Steps, WhyNot};
use super::table::{Route, Table};

/// Most steps of an explanation. It evaluates every filter, and each of them more than once.
const EXPLAIN_STEPS: usize = 2 * MAX_STEPS;

/// The result of one route on one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The index of the route, from 0.
    pub route: usize,
    /// The route's name, if it has one.
    pub name: Option<String>,
    /// Whether the event goes to the route's destinations.
    pub matched: bool,
    /// The event-type pattern that matched, as written. It is set even if the filter did not match.
    pub matched_by: Option<String>,
    /// Ids of the route's destinations.
    pub to: Vec<String>,
    /// Why the route did not match. `None` if it did.
    pub reason: Option<WhyNot>,
}

impl Table {
    /// One explanation for each route, in the order of the routes.
    pub fn explain(&self, event: &Event) -> Vec<Explanation> {
        let probe = self.probe(event, Steps::new(EXPLAIN_STEPS));
        let routes = self.routes.iter().enumerate();
        routes.map(|(number, route)| self.explain_route(number, route, event, &probe)).collect()
    }

    fn explain_route(
        &self,
        number: usize,
        route: &Route,
        event: &Event,
        probe: &Probe<'_>,
    ) -> Explanation {
        let by = route.events.iter().find(|(_, pattern)| pattern.matches(&event.kind));
        let reason = if !route.enabled {
            Some(WhyNot {
                field: "enabled".to_owned(),
                expected: "an enabled route".to_owned(),
                found: "a disabled route".to_owned(),
            })
        } else if by.is_none() {
            let written = route.events.iter().map(|(written, _)| &**written);
            Some(WhyNot {
                field: "type".to_owned(),
                expected: written.collect::<Vec<_>>().join(" or "),
                found: event.kind.to_string(),
            })
        } else if let Some(exception) = route.excepted(&event.kind) {
            Some(WhyNot {
                field: "type".to_owned(),
                expected: format!("any type but {exception} (`except` of this route)"),
                found: event.kind.to_string(),
            })
        } else {
            route.filter.as_ref().and_then(|filter| filter.why_not(probe))
        };
        Explanation {
            route: number,
            name: route.name.as_deref().map(ToOwned::to_owned),
            matched: reason.is_none(),
            matched_by: by.map(|(written, _)| written.to_string()),
            to: route.to.iter().map(|to| self.destinations[*to as usize].to_string()).collect(),
            reason,
        }
    }
}

/// One line: `route 2 (risky): no, data.risk_score: expected a number >= 70, found 12`.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", headline(self.route, self.name.as_deref()))?;
        match &self.reason {
            None => {
                let by = self.matched_by.as_deref().unwrap_or_default();
                write!(f, "yes, by {by}, to {}", self.to.join(", "))
            }
            Some(why) if why.field == "type" && self.matched_by.is_none() => {
                write!(f, "no, the event's type {} does not match {}", why.found, why.expected)
            }
            Some(why) => write!(f, "no, {why}"),
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.field, self.expected, self.found)
    }
}
