//! What the calls of the matrix are about: things of both environments, and valid bodies.

use serde_json::{Value, json};

use super::Operation;
use crate::api::Api;
use crate::scene::SOON;
use crate::support::until;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Environment {
    Live,
    Test,
}

impl Environment {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

const ACME: &str = "/v1/tenants/acme";

/// Creates a key of `acme`, or an operator's.
pub(super) fn key(api: &Api, role: &str, environment: Environment, portal: bool) -> String {
    let made = make_key(api, role, environment, portal);
    made["key"].as_str().expect("shown once").to_owned()
}

fn make_key(api: &Api, role: &str, environment: Environment, portal: bool) -> Value {
    let path = if role == "operator" { "/v1/keys" } else { "/v1/tenants/acme/keys" };
    let body = json!({"role": role, "environment": environment.word(), "portal": portal});
    api.post(path, &body).is(201)
}

/// Everything that a refused request could have changed.
pub(super) fn state(api: &Api) -> Value {
    let get = |path: &str| api.get(path).is(200);
    let mut keys = get("/v1/keys?all=true&limit=1000");
    for key in keys["data"].as_array_mut().expect("keys") {
        key["last_used_ms"] = Value::Null;
    }
    let committed = get(&format!("{ACME}/destinations/box-live/messages?limit=1"));
    json!([
        get("/v1/tenants"),
        get(&format!("{ACME}/document")),
        get(&format!("{ACME}/destinations")),
        get("/v1/tenants/globex/document"),
        get("/v1/event-types"),
        get(&format!("{ACME}/events?environment=all")),
        get(&format!("{ACME}/deliveries?environment=all")),
        committed["committed"],
        keys,
        get(&format!("{ACME}/audit?limit=1000")),
        get("/v1/audit?limit=1000"),
    ])
}

/// The things that the paths of refused calls name, and a number for those made for one call.
pub(super) struct Things {
    routes: [String; 2],
    keys: [String; 2],
    made: usize,
}

impl Things {
    /// A mailbox, a route, an event, a key and a suppression of each environment.
    pub(super) fn start(api: &Api) -> Self {
        let both = [Environment::Live, Environment::Test];
        let routes = both.map(|environment| {
            let word = environment.word();
            let settings = json!({"environment": word});
            let mailbox = json!({"channel": "poll", "settings": settings});
            api.put(&format!("{ACME}/destinations/box-{word}"), &mailbox).is(201);
            off(api, &format!("off-{word}"), environment);
            route(api, environment)
        });
        for environment in both {
            let word = environment.word();
            let event = json!({"id": format!("evt_{word}"), "type": "matrix.sent", "data": {}});
            let publisher = key(api, "publisher", environment, false);
            let sent = api.server.post_with(&publisher, "/v1/events", &event.to_string());
            assert_eq!(sent.status, 202, "{}", sent.body);
            let path = format!("{ACME}/deliveries/dlv_evt_{word}.box-{word}");
            let delivered = until(SOON, || {
                let said = api.get(&path);
                (said.answer.status == 200 && said.is(200)["state"] == "delivered").then_some(())
            });
            delivered.expect("it is in the mailbox");
        }
        let keys = both.map(|environment| {
            let made = make_key(api, "reader", environment, false);
            made["id"].as_str().expect("an id").to_owned()
        });
        Self { routes, keys, made: 0 }
    }

    /// The path of a call. With `fresh`, the things that it names are made for this call alone.
    pub(super) fn path(
        &mut self,
        api: &Api,
        operation: &Operation,
        tenant: &str,
        environment: Environment,
        fresh: bool,
    ) -> String {
        self.made += 1;
        let (word, nth) = (environment.word(), environment as usize);
        let name = format!("{word}-{}", self.made);
        let has = |parameter: &str| operation.path.contains(parameter);
        let mut named = vec![
            ("{tenant}", tenant.to_owned()),
            ("{destination}", format!("box-{word}")),
            ("{route}", self.routes[nth].clone()),
            ("{event}", format!("evt_{word}")),
            ("{delivery}", format!("dlv_evt_{word}.box-{word}")),
            ("{key}", self.keys[nth].clone()),
            ("{suppression}", format!("off-{word}")),
            ("{event_type}", "_default".to_owned()),
            ("{part}", "subject".to_owned()),
            ("{source}", "alertmanager".to_owned()),
        ];
        let mut set = |parameter: &str, value: String| {
            let one = named.iter_mut().find(|(known, _)| *known == parameter);
            one.expect("a known parameter").1 = value;
        };
        if fresh {
            if has("{destination}") {
                destination(api, operation, &name, environment);
                set("{destination}", name.clone());
            }
            if has("{route}") {
                set("{route}", route(api, environment));
            }
            if has("{key}") {
                let made = make_key(api, "reader", environment, false);
                set("{key}", made["id"].as_str().expect("an id").to_owned());
            }
            if has("{suppression}") {
                off(api, &name, environment);
                set("{suppression}", name.clone());
            }
            if operation.path.starts_with("/v1/event-types/") {
                let path = format!("/v1/event-types/matrix.{name}");
                api.put(&path, &json!({"description": "x"})).is(201);
                set("{event_type}", format!("matrix.{name}"));
            }
            if operation.id == "delete_template" {
                let path = format!("{ACME}/templates/matrix.{name}/subject");
                api.put(&path, &json!({"source": "x"})).is(201);
                set("{event_type}", format!("matrix.{name}"));
            }
            if operation.id == "delete_tenant" {
                api.post("/v1/tenants", &json!({"id": name})).is(201);
                set("{tenant}", name.clone());
            }
        }
        let mut path = operation.path.clone();
        for (parameter, value) in named {
            path = path.replace(parameter, &value);
        }
        assert!(!path.contains('{'), "{path} has a parameter that the matrix does not know");
        match operation.id.as_str() {
            "send_events" | "follow_events" | "ingest_events" => path + "?tenant=" + tenant,
            "replace_document" => path + "?dry_run=true",
            _ => path,
        }
    }

    /// A body that the operation accepts.
    pub(super) fn body(&self, operation: &Operation, of: Environment, fresh: bool) -> Value {
        let word = of.word();
        let mailbox = json!({"channel": "poll", "settings": {"environment": word}});
        let route = json!({"events": ["matrix.none"], "to": [format!("box-{word}")]});
        match operation.id.as_str() {
            "create_tenant" => json!({"id": format!("made-{}", self.made)}),
            "update_tenant" => json!({"name": "acme"}),
            "update_destination" => json!({"settings": {"name": "Box"}}),
            "create_destination" => json!({"channel": "poll", "settings": {}}),
            "replace_destination" => mailbox,
            "commit_messages" => json!({"cursor": "0"}),
            "replace_routes" => json!({"routes": []}),
            // Both environments may lead to a test destination.
            "create_route" => json!({"events": ["matrix.none"], "to": ["box-test"]}),
            "try_route" => json!({"route": {"events": ["matrix.none"], "to": ["box-test"]}}),
            "replace_route" => route,
            "update_preferences" => {
                json!({"preferences": {"matrix.preferred": {"box-test": true}}})
            }
            "replace_template" => json!({"source": if fresh { "x" } else { "y" }}),
            "preview_template" => json!({"type": "kyc.session.created"}),
            "replace_event_type" => json!({"description": "y"}),
            "create_key" => json!({"role": "reader"}),
            "create_operator_key" => json!({"role": "operator"}),
            "update_notification_channels" => json!({"batch_notifications_enabled": false}),
            "create_erasure" => {
                json!({"subject": "x", "paths": ["data.nobody"], "dry_run": true})
            }
            "send_events" => json!({"type": "matrix.none", "data": {}}),
            "ingest_events" => json!({"status": "firing", "alerts": []}),
            "replay_deliveries" | "cancel_deliveries" => json!({"dry_run": true}),
            "replace_document"
            | "update_quotas"
            | "rotate_secret"
            | "test_destination"
            | "recover_destination"
            | "lift_suppression" => json!({}),
            other => panic!("the matrix has no body for the new operation {other}; add one"),
        }
    }
}

/// A destination of the kind that the operation needs.
fn destination(api: &Api, operation: &Operation, id: &str, environment: Environment) {
    let word = environment.word();
    let (channel, settings) = match operation.id.as_str() {
        "rotate_secret" => {
            ("webhook", json!({"url": "https://hooks.acme.example/", "environment": word}))
        }
        "send_digest" => {
            let digest = json!({"schedule": "0 8 * * *"});
            ("email", json!({"to": "a@acme.example", "digest": digest, "environment": word}))
        }
        _ => ("poll", json!({"environment": word})),
    };
    let body = json!({"channel": channel, "settings": settings});
    api.put(&format!("{ACME}/destinations/{id}"), &body).is(201);
}

/// A destination that is suppressed.
fn off(api: &Api, id: &str, environment: Environment) {
    let settings = json!({"enabled": false, "environment": environment.word()});
    let body = json!({"channel": "poll", "settings": settings});
    api.put(&format!("{ACME}/destinations/{id}"), &body).is(201);
}

fn route(api: &Api, environment: Environment) -> String {
    let to = format!("box-{}", environment.word());
    let body = json!({"events": ["matrix.sent"], "to": [to]});
    api.post(&format!("{ACME}/routes"), &body).is(201)["id"].as_str().expect("an id").to_owned()
}
