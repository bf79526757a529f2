//! Routes as requests and responses show them, and their ids.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::tenant::TenantSpec;
use fanfare_routing::{RouteSpec, exact};

/// A route.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct Route {
    /// The route's id. If it was created without one, its id is derived from its content.
    #[schema(example = "rte_5d41402abc")]
    id: String,
    #[serde(flatten)]
    body: NewRoute,
}

/// The content of a route.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct NewRoute {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "risky sessions")]
    name: Option<String>,
    /// Event type patterns. At least one must match. `*` matches one segment, and `**` matches one
    /// or more.
    #[schema(example = json!(["kyc.session.processed"]))]
    events: Vec<String>,
    /// Event type patterns to exclude. None of them may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["kyc.session.created"]))]
    except: Vec<String>,
    /// A filter on the whole event: an EventBridge event pattern. Without one, all events match.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "exact::deserialize"
    )]
    #[schema(value_type = Option<Object>, example = json!({"data": {"risk_score": [{"numeric": [">=", 70]}]}}))]
    when: Option<Map<String, Value>>,
    /// The ids of the destinations.
    #[schema(example = json!(["support"]))]
    to: Vec<String>,
    /// A disabled route matches nothing. The default is true.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// All routes, in their new order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct RouteTable {
    /// The routes. A route with the `id` of an existing route replaces it.
    #[schema(max_items = 10000)]
    pub(super) routes: Vec<ListedRoute>,
}

/// A route in a list of all routes.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct ListedRoute {
    /// The id of an existing route. Omit it for a new route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Event type patterns. At least one must match.
    events: Vec<String>,
    /// Event type patterns to exclude. None of them may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    except: Vec<String>,
    /// A filter on the whole event: an EventBridge event pattern.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "exact::deserialize"
    )]
    #[schema(value_type = Option<Object>)]
    when: Option<Map<String, Value>>,
    /// The ids of the destinations.
    to: Vec<String>,
    /// A disabled route matches nothing. The default is true.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

impl ListedRoute {
    /// Shows a route with its id, if it has one of its own.
    pub(in crate::api::v1) fn of(spec: &RouteSpec) -> Self {
        let NewRoute { name, events, except, when, to, enabled } = NewRoute::of(spec);
        Self { id: spec.id.clone(), name, events, except, when, to, enabled }
    }

    pub(in crate::api::v1) fn spec(self) -> RouteSpec {
        let (id, body) = self.split();
        body.spec(id)
    }

    /// Its id and its content.
    pub(super) fn split(self) -> (Option<String>, NewRoute) {
        let Self { id, name, events, except, when, to, enabled } = self;
        (id, NewRoute { name, events, except, when, to, enabled })
    }
}

impl NewRoute {
    pub(super) fn of(spec: &RouteSpec) -> Self {
        Self {
            name: spec.name.clone(),
            events: spec.events.clone(),
            except: spec.except.clone(),
            when: spec.when.as_ref().and_then(Value::as_object).cloned(),
            to: spec.to.clone(),
            enabled: spec.enabled,
        }
    }

    pub(super) fn spec(self, id: Option<String>) -> RouteSpec {
        let Self { name, events, except, when, to, enabled } = self;
        RouteSpec { id, name, events, except, when: when.map(Value::Object), to, enabled }
    }
}

/// The id of every route: its own, or one derived from its content. If two routes have the same
/// content, the second id gets a number.
pub(in crate::api::v1) fn ids(spec: &TenantSpec) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let id = |route: &RouteSpec| {
        let id = route.id.clone().unwrap_or_else(|| {
            let text = serde_json::to_string(route).unwrap_or_default();
            format!("rte_{}", hex::encode(&Sha256::digest(text)[..6]))
        });
        let nth = seen.entry(id.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        if *nth == 1 { id } else { format!("{id}-{nth}") }
    };
    spec.routes.iter().map(id).collect()
}

/// All routes with their ids.
pub(super) fn all(spec: &TenantSpec) -> Vec<Route> {
    let routes = ids(spec).into_iter().zip(&spec.routes);
    routes.map(|(id, route)| Route { id, body: NewRoute::of(route) }).collect()
}

/// The position of the route with an id.
pub(super) fn position(spec: &TenantSpec, id: &str) -> Option<usize> {
    ids(spec).iter().position(|known| known == id)
}
