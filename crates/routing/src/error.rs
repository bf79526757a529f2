//! What is wrong with a routing table, precisely enough to mend it without the manual.

use serde::Serialize;

/// One thing wrong with one route. Compiling a table reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}, `{field}`: {message}", headline(*route, name.as_deref()))]
pub struct RouteError {
    /// Which route, counted from 0.
    pub route: usize,
    /// The route's name, if it has one.
    pub name: Option<String>,
    /// Where in the route: `events[1]`, `to[0]`, `when.data.risk_score[0].numeric`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// How a route is called in text: people count from 1.
pub(super) fn headline(route: usize, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("route {} ({name})", route + 1),
        None => format!("route {}", route + 1),
    }
}

/// One thing wrong with a part of a route, before it is known which route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    pub(super) fn of_route(self, route: usize, name: Option<&str>) -> RouteError {
        RouteError {
            route,
            name: name.map(ToOwned::to_owned),
            field: self.field,
            message: self.message,
        }
    }
}
