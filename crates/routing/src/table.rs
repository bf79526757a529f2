//! The compiled routing table: from an event to its destinations.

use std::collections::{HashMap, HashSet};

use fanfare_contract::Event;

use super::error::Fault;
use super::index::{FilterIndex, IndexBudget, NumberSet};
use super::pattern::{self, Budget, Pattern, Probe, Steps, WildcardSet};
use super::type_index::TypeIndex;
use super::type_pattern::TypePattern;
use super::{RouteError, RouteSpec};
use fanfare_contract::did_you_mean;

/// Most routes of one tenant.
pub(super) const MAX_ROUTES: usize = 100_000;
/// Most event-type patterns of one route.
const MAX_EVENTS: usize = 1_000;

/// All routes of one tenant, compiled. A table is immutable: a change of a route replaces it.
#[derive(Debug)]
pub struct Table {
    pub(super) routes: Vec<Route>,
    pub(super) destinations: Vec<Box<str>>,
    types: TypeIndex,
    /// One for each pattern, at its number in `types`.
    entries: Vec<Entry>,
    wildcards: Box<[WildcardSet]>,
}

/// Whether all filters that an event had to be tested with were tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Tested {
    /// Every one.
    All,
    /// The work for one event reached its limit ([`pattern::MAX_STEPS`]). Routes that were not tested
    /// by then do not match. The same table and the same event always stop at the same place, and
    /// [`Table::explain`] says so.
    Some,
}

/// One compiled route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: Option<Box<str>>,
    pub(super) enabled: bool,
    /// The patterns, as written and compiled.
    pub(super) events: Vec<(Box<str>, TypePattern)>,
    /// The patterns under `except`, as written and compiled.
    pub(super) except: Vec<(Box<str>, TypePattern)>,
    pub(super) filter: Option<Pattern>,
    /// The indexes of destinations, ascending, each once.
    pub(super) to: Vec<u32>,
}

/// The routes of one event-type pattern.
#[derive(Debug, Default)]
struct Entry {
    /// The destinations of the routes without a filter, ascending, each once.
    direct: Vec<u32>,
    /// The routes with a filter.
    filtered: Option<Box<FilterIndex>>,
    /// The numbers of the routes with `except`, with or without a filter.
    excepting: Vec<u32>,
}

impl Table {
    /// Compiles the routes of a tenant with these destinations. Returns all errors at once, in the
    /// order of the routes.
    pub fn compile(routes: &[RouteSpec], destinations: &[&str]) -> Result<Self, Vec<RouteError>> {
        if routes.len() > MAX_ROUTES {
            let count = routes.len();
            let message =
                format!("a tenant has at most {MAX_ROUTES} routes, but this one has {count}");
            return Err(vec![Fault::new("route", message).of_route(MAX_ROUTES, None)]);
        }
        let known: HashMap<&str, u32> = destinations.iter().copied().zip(0..).collect();
        let mut errors = Vec::new();
        let mut compiled = Vec::with_capacity(routes.len());
        let mut budget = Budget::new();
        for (number, spec) in routes.iter().enumerate() {
            let mut faults = Vec::new();
            compiled.push(Route::compile(spec, &known, &mut budget, &mut faults));
            let name = spec.name.as_deref();
            errors.extend(faults.into_iter().map(|fault| fault.of_route(number, name)));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let (types, entries) = index(&compiled);
        let destinations = destinations.iter().map(|id| (*id).into()).collect();
        let wildcards = budget.into_wildcards();
        Ok(Self { routes: compiled, destinations, types, entries, wildcards })
    }

    /// Replaces the content of `out` with the destinations of `event`: indexes into the list that the
    /// table was compiled with, ascending, each once.
    ///
    /// The event's JSON is parsed only if a filtered route of its type needs it.
    pub fn matching(&self, event: &Event, out: &mut Vec<u32>) -> Tested {
        out.clear();
        let mut sources = 0;
        let mut candidates = NumberSet::default();
        let mut probe = None;
        self.types.lookup(&event.kind, |number| {
            let entry = &self.entries[number as usize];
            if !entry.direct.is_empty() {
                out.extend_from_slice(&entry.direct);
                sources += 1;
            }
            if let Some(filtered) = &entry.filtered {
                let probe = probe.get_or_insert_with(|| self.probe(event, Steps::for_event()));
                filtered.candidates(probe, &mut candidates);
            }
            for number in &entry.excepting {
                if self.routes[*number as usize].excepted(&event.kind).is_none() {
                    candidates.add(*number);
                }
            }
        });
        if sources > 1 {
            out.sort_unstable();
            out.dedup();
        }
        if !candidates.members().is_empty() {
            let probe = probe.get_or_insert_with(|| self.probe(event, Steps::for_event()));
            self.evaluate(&candidates, probe, out);
        }
        match probe {
            Some(probe) if probe.steps.exhausted() => Tested::Some,
            _ => Tested::All,
        }
    }

    /// Evaluates filters on an event, with this many steps for all of them.
    pub(super) fn probe<'t>(&'t self, event: &'t Event, steps: Steps) -> Probe<'t> {
        Probe::new(event.json(), &self.wildcards, steps)
    }

    /// Adds the destinations of the candidates that match. A candidate whose destinations already get
    /// the event is not evaluated.
    fn evaluate(&self, candidates: &NumberSet, probe: &Probe<'_>, out: &mut Vec<u32>) {
        let mut reached = NumberSet::default();
        for to in out.iter() {
            reached.add(*to);
        }
        for number in candidates.members() {
            let route = &self.routes[*number as usize];
            if route.to.iter().all(|to| reached.has(*to)) {
                continue;
            }
            let matches = route.filter.as_ref().map(|filter| filter.matches(probe));
            if matches.is_none_or(|matches| matches == Some(true)) {
                route.to.iter().for_each(|to| reached.add(*to));
            }
        }
        out.clear();
        out.extend_from_slice(reached.members());
        out.sort_unstable();
    }
}

impl Route {
    fn compile(
        spec: &RouteSpec,
        known: &HashMap<&str, u32>,
        budget: &mut Budget,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let filter = spec.when.as_ref().and_then(|when| match pattern::parse(when, budget) {
            Ok(filter) => Some(filter),
            Err(found) => {
                faults.extend(found);
                None
            }
        });
        Self {
            name: spec.name.as_deref().map(Into::into),
            enabled: spec.enabled,
            events: events(&spec.events, faults),
            except: types("except", &spec.except, faults),
            filter,
            to: to(&spec.to, known, faults),
        }
    }

    /// The pattern under `except` that excludes a type, as written.
    pub(super) fn excepted(&self, kind: &str) -> Option<&str> {
        let by = self.except.iter().find(|(_, pattern)| pattern.matches(kind));
        by.map(|(written, _)| &**written)
    }
}

fn events(written: &[String], faults: &mut Vec<Fault>) -> Vec<(Box<str>, TypePattern)> {
    if written.is_empty() {
        let message = "is empty, so no event can match; add event types, or write [\"**\"] for all";
        faults.push(Fault::new("events", message));
    }
    types("events", written, faults)
}

fn types(field: &str, written: &[String], faults: &mut Vec<Fault>) -> Vec<(Box<str>, TypePattern)> {
    if written.len() > MAX_EVENTS {
        let message = format!("has {} patterns; the limit is {MAX_EVENTS}", written.len());
        faults.push(Fault::new(field, message));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(written.len());
    for (i, text) in written.iter().enumerate() {
        match TypePattern::parse(text) {
            Ok(pattern) => read.push((text.as_str().into(), pattern)),
            Err(message) => faults.push(Fault::new(format!("{field}[{i}]"), message)),
        }
    }
    read
}

fn to(written: &[String], known: &HashMap<&str, u32>, faults: &mut Vec<Fault>) -> Vec<u32> {
    if written.is_empty() {
        let message = "is empty; add the id of a destination";
        faults.push(Fault::new("to", message));
    }
    let mut read = Vec::with_capacity(written.len());
    for (i, id) in written.iter().enumerate() {
        match known.get(id.as_str()) {
            Some(index) => read.push(*index),
            None => faults.push(Fault::new(format!("to[{i}]"), unknown(id, known))),
        }
    }
    read.sort_unstable();
    read.dedup();
    read
}

fn unknown(id: &str, known: &HashMap<&str, u32>) -> String {
    if known.is_empty() {
        return format!("there is no destination `{id}`; add a [[destination]] with this id");
    }
    // Sorted, so the suggestion does not depend on the order of the hash map.
    let mut ids: Vec<_> = known.keys().copied().collect();
    ids.sort_unstable();
    let near = did_you_mean(id, ids.iter().copied());
    if near.is_empty() {
        let listed = ids.iter().take(10).copied().collect::<Vec<_>>().join(", ");
        let more = if ids.len() > 10 { ", …" } else { "" };
        return format!("there is no destination `{id}`; the destinations are {listed}{more}");
    }
    format!("there is no destination `{id}`{near}")
}

/// Groups the routes by their event-type patterns.
fn index(routes: &[Route]) -> (TypeIndex, Vec<Entry>) {
    let mut types = TypeIndex::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut filtered: Vec<Vec<u32>> = Vec::new();
    for (route, number) in routes.iter().zip(0..).filter(|(route, _)| route.enabled) {
        let numbers: HashSet<u32> =
            route.events.iter().map(|(_, pattern)| types.insert(pattern)).collect();
        for at in numbers.into_iter().map(|number| number as usize) {
            if at >= entries.len() {
                entries.resize_with(at + 1, Entry::default);
                filtered.resize(at + 1, Vec::new());
            }
            if !route.except.is_empty() {
                entries[at].excepting.push(number);
            } else if route.filter.is_none() {
                entries[at].direct.extend_from_slice(&route.to);
            } else {
                filtered[at].push(number);
            }
        }
    }
    let mut budget = IndexBudget::new();
    for (entry, numbers) in entries.iter_mut().zip(filtered) {
        entry.direct.sort_unstable();
        entry.direct.dedup();
        entry.direct.shrink_to_fit();
        for number in numbers {
            let route = &routes[number as usize];
            // A filter is skipped if all its destinations already get every event of the type.
            let adds = route.to.iter().any(|to| entry.direct.binary_search(to).is_err());
            if let Some(filter) = route.filter.as_ref().filter(|_| adds) {
                entry.filtered.get_or_insert_default().add(number, filter, &mut budget);
            }
        }
    }
    entries.shrink_to_fit();
    (types, entries)
}
