//! Compiles a tenant's document into a routing table and lanes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fanfare_contract::{Destination, Environment, Event, FieldError, LaneId, Policy};
use tower::Layer as _;

use super::channels::ChannelEntry;
use super::quotas::document_usage;
use super::{Channels, DestinationSpec, Options, Problem, TenantSpec, Wording};
use crate::agenda::Lane;
use crate::delivery::Stack;
use crate::delivery::layers::DeadlineLayer;
use crate::event;
use crate::quota::{Overrides, Quota};
use fanfare_routing::{Table, Tested, did_you_mean};
use fanfare_store::{LaneKey, Ms};

/// A tenant that can route events.
pub struct Tenant {
    /// The tenant's id.
    pub id: Arc<str>,
    /// What its messages are rendered with. The rest of its document is only in the store.
    pub wording: Arc<Wording>,
    /// The quotas that an operator set for it.
    pub quotas: Option<Overrides>,
    /// What the document uses of its quotas.
    pub usage: [(Quota, u64); 4],
    /// The document's revision in the directory.
    pub revision: u64,
    /// Decides which events go to which of `targets`.
    pub table: Table,
    /// The destinations, in the order of the document.
    pub targets: Vec<Target>,
    /// Every lane by id.
    pub lanes: HashMap<LaneId, Arc<Lane>>,
}

/// A destination with its lanes.
pub struct Target {
    /// The destination's id.
    pub id: Arc<str>,
    /// The environment of the events that it receives.
    pub environment: Environment,
    /// One lane, or one per recipient.
    pub lanes: Vec<Arc<Lane>>,
}

impl Tenant {
    /// Whether a task holds one of its lanes, or a delivery is on its way to one of them.
    pub(super) fn is_in_use(&self) -> bool {
        // `targets` and `lanes` have each lane.
        self.lanes.values().any(|lane| Arc::strong_count(lane) > 2 || lane.gate.is_in_use())
    }

    /// Whether no gate has anything to remember.
    pub(super) fn is_at_rest(&self, now: Ms) -> bool {
        self.lanes.values().all(|lane| lane.gate.is_at_rest(now))
    }

    /// The destinations that receive an event: those of matching routes that have the event's
    /// environment. Also, whether all filters were tested.
    pub fn targets_of(&self, event: &Event) -> (impl Iterator<Item = &Target>, Tested) {
        let environment = event.environment;
        let (matching, tested) = self.matching(event);
        (matching.filter(move |target| target.environment == environment), tested)
    }

    /// The destinations of matching routes, in any environment. Also, whether all filters were
    /// tested.
    pub fn matching(&self, event: &Event) -> (impl Iterator<Item = &Target>, Tested) {
        let mut matched = Vec::new();
        let tested = self.table.matching(event, &mut matched);
        (matched.into_iter().filter_map(|n| self.targets.get(n as usize)), tested)
    }
}

/// Compiles a document, or returns all of its problems at once. Lanes of destinations that were
/// neither changed nor repaired keep their gates from `previous`, so that a reload does not forget
/// an open circuit.
pub fn compile(
    spec: &TenantSpec,
    revision: u64,
    channels: &Channels,
    previous: Option<&Tenant>,
) -> Result<Tenant, Vec<Problem>> {
    let id: Arc<str> = spec.id.as_str().into();
    let mut problems = check_names(spec);
    let mut targets = Vec::with_capacity(spec.destinations.len());
    for destination in &spec.destinations {
        match lanes_of(&id, spec, destination, channels, previous) {
            Ok((environment, lanes)) => {
                targets.push(Target { id: destination.id.as_str().into(), environment, lanes });
            }
            Err(errors) => {
                let place = format!("destination \"{}\"", destination.id);
                problems.extend(
                    errors.into_iter().map(|e| Problem::new(place.clone(), e.field, e.message)),
                );
            }
        }
    }
    let ids: Vec<&str> = spec.destinations.iter().map(|d| d.id.as_str()).collect();
    let table = match Table::compile(&spec.routes, &ids) {
        Ok(table) if problems.is_empty() => table,
        Ok(_) => return Err(problems),
        Err(errors) => {
            problems.extend(errors.into_iter().map(|error| {
                let place = match &error.name {
                    Some(name) => format!("route {} \"{name}\"", error.route + 1),
                    None => format!("route {}", error.route + 1),
                };
                Problem::new(place, error.field, error.message)
            }));
            return Err(problems);
        }
    };
    let lanes = targets.iter().flat_map(|target| &target.lanes);
    let lanes = lanes.map(|lane| (lane.key.id.clone(), lane.clone())).collect();
    let wording = spec.wording();
    let same = previous.map(|tenant| &tenant.wording).filter(|before| ***before == wording);
    // Templates are compiled again if this is another one.
    let wording = same.cloned().unwrap_or_else(|| Arc::new(wording));
    let (quotas, usage) = (spec.quotas.clone(), document_usage(spec));
    Ok(Tenant { id, wording, quotas, usage, revision, table, targets, lanes })
}

fn check_names(spec: &TenantSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if event::tenant_id(spec.id.as_bytes()).is_err() {
        problems.push(Problem::new(
            "tenant",
            "id",
            "must be 1 to 64 characters of a-z, 0-9, - and _",
        ));
    }
    let mut seen = HashSet::new();
    for destination in &spec.destinations {
        let place = format!("destination \"{}\"", destination.id);
        if event::tenant_id(destination.id.as_bytes()).is_err() {
            problems.push(Problem::new(
                &*place,
                "id",
                "must be 1 to 64 characters of a-z, 0-9, - and _",
            ));
        }
        if !seen.insert(&destination.id) {
            problems.push(Problem::new(
                place,
                "id",
                "is used twice; give each destination its own id",
            ));
        }
    }
    problems
}

fn lanes_of(
    tenant: &Arc<str>,
    spec: &TenantSpec,
    destination: &DestinationSpec,
    channels: &Channels,
    previous: Option<&Tenant>,
) -> Result<(Environment, Vec<Arc<Lane>>), Vec<FieldError>> {
    let Some(chosen) = channels.get(&destination.channel) else {
        let message = if destination.channel.is_empty() {
            format!("is missing; use one of: {}", channels.names())
        } else {
            let names = channels.names();
            match did_you_mean(&destination.channel, names.split(", ")) {
                hint if hint.is_empty() => format!("is unknown; use one of: {names}"),
                hint => format!("is unknown{hint}"),
            }
        };
        return Err(vec![FieldError::new("channel", message)]);
    };
    let channel = &chosen.channel;
    let (options, settings) = Options::read(&destination.fields, &chosen.policy);
    let (options, lanes) = match (options, channel.prepare(&settings)) {
        (Ok(options), Ok(lanes)) => (options, lanes),
        (options, lanes) => {
            let errors = options.err().into_iter().chain(lanes.err()).flatten();
            return Err(errors.collect());
        }
    };
    let disabled = |id: &str| spec.disabled.get(id).map(|disabled| &*disabled.reason);
    let all_disabled = disabled(&destination.id).or((!options.enabled).then_some("settings"));
    let lane = |lane: fanfare_contract::PreparedLane| {
        let lane_id = LaneId::new(&destination.id, lane.suffix.as_deref());
        let before = previous.and_then(|tenant| tenant.lanes.get(&lane_id));
        let disabled = all_disabled.or_else(|| disabled(&lane_id));
        // A lane that was enabled again starts without its past failures.
        let same = before.filter(|before| before.disabled.as_deref() == disabled);
        let repaired_ms = spec.repaired.get(&destination.id).copied().unwrap_or_default();
        let key = LaneKey { tenant: tenant.clone(), id: lane_id.clone() };
        let replicas = channels.replicas();
        let is_as_before = |before: &&Arc<Lane>| {
            before.policy == options.policy
                && before.pace == lane.pace
                && before.repaired_ms == repaired_ms
        };
        let gate = before.filter(is_as_before).map_or_else(
            || replicas.gate(&key, lane.pace.as_deref(), &options.policy),
            |before| before.gate.clone(),
        );
        Arc::new(Lane {
            key,
            destination: Arc::new(Destination {
                tenant: tenant.clone(),
                lane: lane_id,
                channel: channel.name().into(),
                settings: lane.settings,
            }),
            policy: options.policy.clone(),
            mode: options.mode.clone(),
            environment: options.environment,
            paused: options.paused || spec.held.contains(&destination.id),
            disabled: disabled.map(Into::into),
            streak: same.map(|before| before.streak.clone()).unwrap_or_default(),
            label: lane.label,
            gate,
            repaired_ms,
            pace: lane.pace,
            replicas: replicas.clone(),
            stack: with_timeout(chosen, &options.policy),
            gone: AtomicBool::new(false),
        })
    };
    Ok((options.environment, lanes.into_iter().map(lane).collect()))
}

/// The channel's stack, with the destination's timeout if it is shorter.
fn with_timeout(chosen: &ChannelEntry, policy: &Policy) -> Arc<Stack> {
    if policy.attempt_timeout >= chosen.policy.attempt_timeout {
        return chosen.stack.clone();
    }
    let layer = DeadlineLayer::new(policy.attempt_timeout, "timeout");
    Arc::new(Stack::new(layer.layer(Stack::clone(&chosen.stack))))
}
