//! The authorization matrix: every operation of the API's description × every role × both
//! environments × the own and another tenant, over HTTP. What each call must answer follows from
//! `x-fanfare-roles` and `x-fanfare-environment`, so an operation without them fails the test.

mod things;

use serde_json::Value;

use super::{Api, Said};
use crate::scene::Scene;
use things::{Environment, Things};

const ROLES: [&str; 5] = ["operator", "admin", "publisher", "reader", "consumer"];

/// One operation of the description.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    roles: Vec<String>,
    environment: String,
    pub(super) has_body: bool,
}

impl Operation {
    fn all(api: &Api) -> Vec<Self> {
        let document = api.get("/openapi.json").answer.json();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                operations.push(Self::of(path, method, operation));
            }
        }
        assert!(operations.len() > 60, "only {} operations", operations.len());
        operations
    }

    fn of(path: &str, method: &str, operation: &Value) -> Self {
        let what = format!("{method} {path}");
        let roles = operation["x-fanfare-roles"].as_array();
        let roles = roles.unwrap_or_else(|| panic!("{what} has no `security` with roles"));
        let roles: Vec<String> =
            roles.iter().map(|role| role.as_str().expect("a role").to_owned()).collect();
        assert!(roles.iter().all(|role| ROLES.contains(&role.as_str())), "{what}: {roles:?}");
        let environment = operation["x-fanfare-environment"].as_str().unwrap_or_else(|| {
            panic!(
                "{what} does not declare what a test key may do: add `extensions((\
                 \"x-fanfare-environment\" = json!(\"own\")))`, or \"shared\", or \"live\""
            )
        });
        assert!(["own", "shared", "live"].contains(&environment), "{what}: {environment}");
        Self {
            id: operation["operationId"].as_str().expect("an id").to_owned(),
            method: method.to_uppercase(),
            path: path.to_owned(),
            roles,
            environment: environment.to_owned(),
            has_body: operation.get("requestBody").is_some(),
        }
    }

    fn is_of_a_tenant(&self) -> bool {
        self.path.contains("{tenant}") || self.path == "/v1/events"
    }

    /// Whether its path names something that belongs to an environment.
    fn names_a_thing(&self) -> bool {
        let parameters =
            ["{destination}", "{route}", "{event}", "{delivery}", "{key}", "{suppression}"];
        parameters.iter().any(|parameter| self.path.contains(parameter))
    }

    fn is_for_keys(&self) -> bool {
        self.path.contains("/keys")
    }
}

/// A key of the tenant `acme`, or of an operator.
struct Caller {
    role: &'static str,
    environment: Environment,
    is_portal: bool,
    key: String,
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    /// The tenant `acme`, and there a thing of this environment.
    Own(Environment),
    /// The tenant `globex`.
    Foreign,
}

/// The refusal that a call must get, as status and code. `None` if it must be done.
fn refusal(operation: &Operation, caller: &Caller, target: Target) -> Option<(u16, &'static str)> {
    let is_test = caller.environment == Environment::Test;
    if !operation.roles.iter().any(|role| role == caller.role)
        || (caller.is_portal && operation.is_for_keys())
    {
        return Some((403, "forbidden"));
    }
    if operation.environment == "live" && is_test {
        return Some((403, "live_key_required"));
    }
    if operation.is_of_a_tenant() && target == Target::Foreign && caller.role != "operator" {
        return Some((404, "unknown_tenant"));
    }
    let is_live_thing = operation.names_a_thing() && target == Target::Own(Environment::Live);
    (operation.environment == "own" && is_live_thing && is_test).then_some((404, "not_found"))
}

/// Every call of the matrix.
fn calls<'m>(
    operations: &'m [Operation],
    callers: &'m [Caller],
) -> Vec<(&'m Operation, &'m Caller, Target)> {
    let mut calls = Vec::new();
    for operation in operations {
        for caller in callers {
            let mut targets = vec![Target::Own(Environment::Live)];
            if operation.names_a_thing() {
                targets.push(Target::Own(Environment::Test));
            }
            // An operator has no own tenant, so no other one is foreign.
            if operation.is_of_a_tenant() && caller.role != "operator" {
                targets.push(Target::Foreign);
            }
            calls.extend(targets.into_iter().map(|target| (operation, caller, target)));
        }
    }
    calls
}

fn start() -> (Api, Vec<Caller>) {
    let scene = Scene::embedded();
    let server = scene.launch().for_customers().start();
    let made = scene.json(&["keys", "create", "--role", "operator"]);
    let operator = made["secret"].as_str().expect("a key").to_owned();
    let api = Api { server, scene, key: Some(operator) };
    let known = crate::support::until(crate::scene::SOON, || {
        (api.get("/v1/tenants").answer.status == 200).then_some(())
    });
    known.expect("the key is taken up");
    for id in ["acme", "globex"] {
        api.post("/v1/tenants", &serde_json::json!({"id": id})).is(201);
    }
    let mut callers = Vec::new();
    for environment in [Environment::Live, Environment::Test] {
        for role in ROLES {
            let key = things::key(&api, role, environment, false);
            callers.push(Caller { role, environment, is_portal: false, key });
        }
        let key = things::key(&api, "admin", environment, true);
        callers.push(Caller { role: "admin", environment, is_portal: true, key });
    }
    (api, callers)
}

/// Calls as `caller`, with things and a body made for this call if `fresh`.
fn call(
    api: &mut Api,
    things: &mut Things,
    (operation, caller, target): (&Operation, &Caller, Target),
    fresh: bool,
) -> Said {
    let (tenant, environment) = match target {
        Target::Own(environment) => ("acme", environment),
        Target::Foreign => ("globex", Environment::Live),
    };
    let path = things.path(api, operation, tenant, environment, fresh);
    let body = operation.has_body.then(|| things.body(operation, environment, fresh));
    api.with(&caller.key, |api| api.call(&operation.method, &path, &[], body.as_ref()))
}

#[test]
fn every_operation_answers_every_key_as_its_description_declares() {
    let (mut api, callers) = start();
    let mut things = Things::start(&api);
    let operations = Operation::all(&api);
    let calls = calls(&operations, &callers);
    let (denied, allowed): (Vec<_>, Vec<_>) = calls
        .into_iter()
        .partition(|(operation, caller, target)| refusal(operation, caller, *target).is_some());
    assert!(denied.len() > 700 && allowed.len() > 350, "{} {}", denied.len(), allowed.len());
    let mut wrong = Vec::new();
    let said = |(operation, caller, target): (&Operation, &Caller, Target)| {
        let portal = if caller.is_portal { " of a portal link" } else { "" };
        format!(
            "{} {} as {:?} {}{portal} on {target:?}",
            operation.method, operation.path, caller.environment, caller.role
        )
    };

    let before = things::state(&api);
    for one in denied {
        let expected = refusal(one.0, one.1, one.2).expect("it is denied");
        let answer = call(&mut api, &mut things, one, false).answer;
        let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        if (answer.status, code.as_str()) != expected {
            wrong.push(format!("{}: {expected:?}: {} {}", said(one), answer.status, answer.body));
        }
    }
    assert!(wrong.is_empty(), "{} wrong refusals:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(things::state(&api), before, "a refused request changed something");

    for one in allowed {
        let answer = call(&mut api, &mut things, one, true).answer;
        // Some actions need a state that a delivery does not have any more.
        let is_done = (200..300).contains(&answer.status)
            || (answer.status == 409 && answer.json()["error"]["code"] == "wrong_state");
        if !is_done {
            wrong.push(format!("{}: allowed: {} {}", said(one), answer.status, answer.body));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}
