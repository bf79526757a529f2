//! The server: whether it is well, what waits, what is held back, and the settings in force.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_store::Usage;
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::api::answer::{ApiError, success};
use crate::api::scope::{By, Operate};
use crate::api::state::ApiState;
use crate::tenant::Tenant;

/// How long the store may take for each answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Tenants with the largest backlogs.
const BUSIEST: usize = 20;
/// Recipients that are held back and listed.
const HELD: usize = 50;
/// Age of the oldest waiting delivery's event from which a backlog is worth a look. Retries of the
/// channels' schedules wait for up to a day.
const OLD_BACKLOG_MS: i64 = 24 * 3_600_000;

/// The state of the server, as far as the process that answers sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerState {
    /// The version of Fanfare.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// `embedded` or `redis`.
    #[schema(example = "redis")]
    store: &'static str,
    /// What was checked.
    checks: Vec<HealthCheck>,
    /// The number of deliveries that wait in all queues. Null if the store does not answer.
    waiting: Option<u64>,
    /// When the event of the oldest waiting delivery was received, in Unix milliseconds.
    oldest_waiting_ms: Option<i64>,
    /// Tenants in the memory of this process.
    tenants: usize,
    /// Their destinations, counting each recipient.
    lanes: usize,
    /// Attempts in flight in this process.
    in_flight: u64,
    /// Deliveries that wait in the memory of this process for a moment.
    in_line: u64,
    /// The tenants with most waiting deliveries, at most 20 of those in the memory of this process.
    busiest: Vec<TenantLoad>,
    /// Recipients that are held back in this process, at most 50.
    held: Vec<HeldRecipient>,
}

/// One check.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthCheck {
    /// What was checked.
    #[schema(example = "store")]
    name: &'static str,
    /// Whether it is well.
    ok: bool,
    /// The result in words.
    message: String,
}

/// What a tenant holds in the store.
#[derive(Serialize, ToSchema)]
struct TenantLoad {
    /// The tenant's id.
    #[schema(example = "acme")]
    tenant: String,
    /// The number of its waiting deliveries.
    waiting: u64,
    /// The bytes of its events.
    stored_bytes: u64,
}

/// A recipient to which nothing is sent for now.
#[derive(Serialize, ToSchema)]
struct HeldRecipient {
    /// The tenant's id.
    #[schema(example = "acme")]
    tenant: String,
    /// The destination's id.
    #[schema(example = "backoffice")]
    destination: String,
    /// The recipient without secrets.
    #[schema(example = "hooks.acme.example")]
    to: String,
    /// Why: `circuit_open` or `retry_after`.
    #[schema(example = "circuit_open")]
    reason: String,
    /// Until when, in Unix milliseconds.
    until_ms: Option<i64>,
}

/// Get the state of the server
///
/// Counts of memory are those of the process that answers. What waits is that of all replicas.
#[utoipa::path(get, path = "/v1/server", operation_id = "get_server", tag = "Server",
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "The state of the server.", body = ServerState)))]
pub(super) async fn get(
    _: By<Operate>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let now = state.clock.now_ms();
    let tenants: Vec<Arc<Tenant>> = state.registry.all_in_memory();
    let upkeep = &state.store.upkeep;
    let backlog = timeout(STORE_TIMEOUT, upkeep.backlog()).await.ok().and_then(Result::ok);
    let warnings = timeout(STORE_TIMEOUT, upkeep.warnings()).await.unwrap_or_default();
    let ids: Vec<Arc<str>> = tenants.iter().map(|tenant| tenant.id.clone()).collect();
    let usage = timeout(STORE_TIMEOUT, state.store.ledger.usage(&ids)).await;
    let usage = usage.ok().and_then(Result::ok).unwrap_or_default();
    let mut answer = ServerState {
        version: env!("CARGO_PKG_VERSION"),
        store: upkeep.kind(),
        checks: Vec::new(),
        waiting: backlog.map(|backlog| backlog.waiting),
        oldest_waiting_ms: backlog.and_then(|backlog| backlog.oldest_ms),
        tenants: tenants.len(),
        lanes: 0,
        in_flight: 0,
        in_line: 0,
        busiest: busiest(&ids, &usage),
        held: Vec::new(),
    };
    let mut held = 0;
    for lane in tenants.iter().flat_map(|tenant| tenant.lanes.values()) {
        let view = lane.gate.view(now);
        answer.lanes += 1;
        answer.in_flight += u64::from(view.in_flight);
        answer.in_line += view.line as u64;
        let Some(hold) = lane.gate.hold(now) else { continue };
        held += 1;
        if answer.held.len() < HELD {
            answer.held.push(HeldRecipient {
                tenant: lane.key.tenant.to_string(),
                destination: lane.key.id.destination().to_owned(),
                to: lane.label.clone(),
                reason: hold.reason.to_string(),
                until_ms: hold.until,
            });
        }
    }
    answer.checks = checks(&answer, &warnings, held, now);
    Ok(success(StatusCode::OK, answer))
}

fn busiest(ids: &[Arc<str>], usage: &[Usage]) -> Vec<TenantLoad> {
    let mut all: Vec<_> = ids.iter().zip(usage).filter(|(_, usage)| usage.waiting > 0).collect();
    all.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.waiting));
    let load = |(id, usage): (&Arc<str>, &Usage)| TenantLoad {
        tenant: id.to_string(),
        waiting: usage.waiting,
        stored_bytes: usage.stored_bytes,
    };
    all.into_iter().take(BUSIEST).map(load).collect()
}

/// What an operator should know, in words.
fn checks(answer: &ServerState, warnings: &[String], held: usize, now: i64) -> Vec<HealthCheck> {
    let check = |name, ok, message: String| HealthCheck { name, ok, message };
    let store = answer.waiting.is_some();
    let mut checks = vec![check(
        "store",
        store,
        if store {
            "The store answers.".to_owned()
        } else {
            format!("The store did not answer within {} s.", STORE_TIMEOUT.as_secs())
        },
    )];
    checks.extend(warnings.iter().map(|warning| check("durability", false, warning.clone())));
    let age = answer.oldest_waiting_ms.map_or(0, |oldest| now - oldest);
    let backlog = match (answer.waiting, age / 3_600_000) {
        (None | Some(0), _) => "Nothing waits.".to_owned(),
        (Some(_), 0) => "The oldest waiting delivery is less than an hour old.".to_owned(),
        (Some(_), 1) => "The oldest waiting delivery is one hour old.".to_owned(),
        (Some(_), hours) => format!("The oldest waiting delivery is {hours} hours old."),
    };
    checks.push(check("backlog", age < OLD_BACKLOG_MS, backlog));
    let receivers = match held {
        0 => "No receiver is held back.".to_owned(),
        1 => "One receiver is held back. It delays no other one.".to_owned(),
        n => format!("{n} receivers are held back. They delay no others."),
    };
    checks.push(check("receivers", held == 0, receivers));
    checks
}

/// The settings in force.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerSettings {
    /// Every setting, in the order of the settings file.
    settings: Vec<ServerSetting>,
}

/// A setting.
#[derive(Serialize, ToSchema)]
struct ServerSetting {
    /// Its key in the settings file.
    #[schema(example = "http.burst")]
    key: String,
    /// Its value. Secrets are left out.
    #[schema(example = json!(5000))]
    value: Value,
    /// Where it comes from: `default`, `file`, or `option` for a command-line option or an
    /// environment variable.
    #[schema(example = "file")]
    source: &'static str,
}

/// Get the settings in force
///
/// Returns the settings of the process that answers, and where each comes from. Secrets are left
/// out. The list is empty if no server runs.
#[utoipa::path(get, path = "/v1/server/settings", operation_id = "get_server_settings", tag = "Server",
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "The settings.", body = ServerSettings)))]
pub(super) async fn settings(_: By<Operate>, State(state): State<Arc<ApiState>>) -> Response {
    let settings = state.settings.iter().map(|setting| ServerSetting {
        key: setting.key.clone(),
        value: setting.value.clone(),
        source: setting.source,
    });
    success(StatusCode::OK, ServerSettings { settings: settings.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(waiting: Option<u64>, oldest_waiting_ms: Option<i64>) -> ServerState {
        ServerState {
            version: "",
            store: "embedded",
            checks: Vec::new(),
            waiting,
            oldest_waiting_ms,
            tenants: 0,
            lanes: 0,
            in_flight: 0,
            in_line: 0,
            busiest: Vec::new(),
            held: Vec::new(),
        }
    }

    fn wrong(answer: &ServerState, warnings: &[String], held: usize) -> Vec<&'static str> {
        let checks = checks(answer, warnings, held, 100 * 3_600_000);
        checks.into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
    }

    #[test]
    fn each_check_fails_for_its_own_reason() {
        let hour = 3_600_000;
        assert_eq!(wrong(&answer(Some(0), None), &[], 0), Vec::<&str>::new());
        assert_eq!(wrong(&answer(Some(5), Some(99 * hour)), &[], 0), Vec::<&str>::new());
        assert_eq!(wrong(&answer(Some(5), Some(76 * hour)), &[], 0), ["backlog"]);
        assert_eq!(wrong(&answer(None, None), &[], 0), ["store"]);
        assert_eq!(
            wrong(&answer(Some(1), None), &["x".to_owned()], 2),
            ["durability", "receivers"]
        );
    }

    #[test]
    fn the_largest_backlog_comes_first_and_an_empty_one_is_left_out() {
        let ids: Vec<Arc<str>> = ["a", "b", "c"].map(Into::into).to_vec();
        let usage = |waiting| Usage { waiting, stored_bytes: 1 };
        let found = busiest(&ids, &[usage(1), usage(0), usage(9)]);
        let found: Vec<_> = found.iter().map(|load| (&*load.tenant, load.waiting)).collect();
        assert_eq!(found, [("c", 9), ("a", 1)]);
    }
}
