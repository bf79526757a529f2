//! Mistakes in a routing table: the route, the field, what is wrong, and what to write instead.

use serde::Serialize;

/// One mistake in one route. Compiling a table reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}, `{field}`: {message}", headline(*route, name.as_deref()))]
pub struct RouteError {
    /// The index of the route, from 0.
    pub route: usize,
    /// The route's name, if it has one.
    pub name: Option<String>,
    /// The place in the route: `events[1]`, `to[0]`, `when.data.risk_score[0].numeric`.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// The name of a route in text, which counts from 1.
pub(super) fn headline(route: usize, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("route {} ({name})", route + 1),
        None => format!("route {}", route + 1),
    }
}

/// One mistake in a part of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same mistake, in this route.
    pub(super) fn of_route(self, route: usize, name: Option<&str>) -> RouteError {
        RouteError {
            route,
            name: name.map(ToOwned::to_owned),
            field: self.field,
            message: self.message,
        }
    }
}
