//! What a test key sees of a tenant's document, and how its changes return to the whole document.
//!
//! Both environments share one document. A test key works on a reduced one ([`test_view`]): the
//! test destinations, and the routes that lead to them. [`with_test_view`] writes it back. It refuses
//! every change of something that live events use: live destinations, routes that also lead to a
//! live destination, and the tenant's name, links and templates.

use std::collections::{HashSet, VecDeque};

use fanfare_contract::Environment;
use fanfare_routing::RouteSpec;
use serde_json::Value;

use super::{DestinationSpec, TenantSpec};

/// The ids of the destinations and of the route that belong to the notification channels, which are
/// live: webhook, email, Slack, route.
pub const MANAGED: [&str; 4] =
    ["notify-webhook", "notify-email", "notify-slack", "notification-channels"];

/// Why a test key may not make a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// This part of the document is shared: the tenant's name, links or templates.
    Shared(&'static str),
    /// The destination would receive live events.
    Live(String),
    /// A live destination or route has this id, or will have it.
    Taken(String),
    /// The route with these event types also leads to a live destination.
    SharedRoute(Vec<String>),
}

/// The environment of the events that a destination receives.
pub fn environment_of(destination: &DestinationSpec) -> Environment {
    match destination.fields.get("environment").and_then(Value::as_str) {
        Some("test") => Environment::Test,
        _ => Environment::Live,
    }
}

/// A document reduced to what belongs to the test environment. Routes lead to test destinations
/// only. The name, links and templates are shared, and stay.
pub fn test_view(whole: &TenantSpec) -> TenantSpec {
    let tests = test_ids(whole);
    let destinations = whole.destinations.iter().filter(|one| tests.contains(one.id.as_str()));
    let held = whole.held.iter().filter(|id| tests.contains(id.as_str()));
    let disabled = whole.disabled.iter().filter(|(lane, _)| tests.contains(lane.destination()));
    TenantSpec {
        destinations: destinations.cloned().collect(),
        routes: whole.routes.iter().filter_map(|route| leading_to(route, &tests)).collect(),
        held: held.cloned().collect(),
        disabled: disabled.map(|(lane, why)| (lane.clone(), why.clone())).collect(),
        ..whole.clone()
    }
}

fn test_ids(spec: &TenantSpec) -> HashSet<&str> {
    let tests = spec.destinations.iter().filter(|one| !environment_of(one).is_live());
    tests.map(|one| one.id.as_str()).collect()
}

/// A route with only those of its destinations. `None` if it has none of them.
fn leading_to(route: &RouteSpec, ids: &HashSet<&str>) -> Option<RouteSpec> {
    let to: Vec<_> = route.to.iter().filter(|id| ids.contains(id.as_str())).cloned().collect();
    (!to.is_empty()).then(|| RouteSpec { to, ..route.clone() })
}

/// The whole document after a test key changed its view of it to `view`.
pub fn with_test_view(whole: &TenantSpec, mut view: TenantSpec) -> Result<TenantSpec, Crossing> {
    let shared = [
        ("name", view.name != whole.name),
        ("links", view.links != whole.links),
        ("templates", view.templates != whole.templates),
        ("quotas", view.quotas != whole.quotas),
        ("notification channels", view.notify_in_batches != whole.notify_in_batches),
    ];
    if let Some((what, _)) = shared.into_iter().find(|(_, changed)| *changed) {
        return Err(Crossing::Shared(what));
    }
    let tests = test_ids(whole);
    for one in &mut view.destinations {
        if one.fields.get("environment").is_none_or(Value::is_null) {
            one.fields.insert("environment".to_owned(), Environment::Test.word().into());
        }
        let is_live =
            |there: &DestinationSpec| there.id == one.id && environment_of(there).is_live();
        let is_new = !tests.contains(one.id.as_str());
        if whole.destinations.iter().any(is_live) || (is_new && MANAGED.contains(&&*one.id)) {
            return Err(Crossing::Taken(one.id.clone()));
        }
        if environment_of(one).is_live() {
            return Err(Crossing::Live(one.id.clone()));
        }
    }
    let routes = routes(whole, &view, &tests)?;
    let is_live = |id: &str| !tests.contains(id);
    let live = whole.disabled.iter().filter(|(lane, _)| is_live(lane.destination()));
    let live = live.map(|(lane, why)| (lane.clone(), why.clone()));
    let held = whole.held.iter().filter(|id| is_live(id)).cloned();
    let repaired = view.repaired.into_iter().filter(|(id, _)| !is_live(id));
    Ok(TenantSpec {
        held: held.chain(view.held).collect(),
        disabled: live.chain(view.disabled).collect(),
        repaired: whole.repaired.clone().into_iter().chain(repaired).collect(),
        destinations: in_their_places(
            whole.destinations.iter().map(|one| (one, is_live(&one.id))),
            view.destinations,
        ),
        routes,
        journal: view.journal,
        ..whole.clone()
    })
}

/// All routes after the change. A route that also leads to live destinations only loses the test
/// destinations that no longer exist.
fn routes(
    whole: &TenantSpec,
    view: &TenantSpec,
    tests: &HashSet<&str>,
) -> Result<Vec<RouteSpec>, Crossing> {
    let left = test_ids(view);
    let mut changed: Vec<RouteSpec> = view.routes.clone();
    let mut old = Vec::with_capacity(whole.routes.len());
    for route in &whole.routes {
        let is_live = route.to.iter().any(|id| !tests.contains(id.as_str()));
        let mut route = route.clone();
        if is_live {
            if let Some(shown) = leading_to(&route, &left) {
                let at = changed.iter().position(|one| *one == shown);
                let at = at.ok_or_else(|| Crossing::SharedRoute(route.events.clone()))?;
                changed.remove(at);
            }
            route.to.retain(|id| !tests.contains(id.as_str()) || left.contains(id.as_str()));
        }
        old.push((route, is_live));
    }
    let taken = |id: &String| {
        let live = |(route, is_live): &(RouteSpec, bool)| *is_live && route.id.as_ref() == Some(id);
        let is_new = !whole.routes.iter().any(|route| route.id.as_ref() == Some(id));
        old.iter().any(live) || (is_new && MANAGED.contains(&id.as_str()))
    };
    if let Some(id) = changed.iter().filter_map(|route| route.id.as_ref()).find(|id| taken(id)) {
        return Err(Crossing::Taken(id.clone()));
    }
    Ok(in_their_places(old.iter().map(|(route, is_live)| (route, *is_live)), changed))
}

/// `new` takes the places of the old items that are not kept. What is left over follows.
fn in_their_places<'a, T: Clone + 'a>(
    old: impl Iterator<Item = (&'a T, bool)>,
    new: Vec<T>,
) -> Vec<T> {
    let mut new = VecDeque::from(new);
    let mut all = Vec::new();
    for (item, is_kept) in old {
        all.extend(if is_kept { Some(item.clone()) } else { new.pop_front() });
    }
    all.extend(new);
    all
}

#[cfg(test)]
mod tests;
