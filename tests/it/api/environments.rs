//! Keys of the test environment: they see and change test things only, and nothing that live events
//! use.

use serde_json::{Value, json};

use super::{Api, fields};
use crate::scene::SOON;
use crate::support::until;

const ACME: &str = "/v1/tenants/acme";

/// A tenant with a live and a test mailbox, a route to each of them, and one to both.
struct World {
    api: Api,
    live: String,
    test: String,
}

impl World {
    fn start() -> Self {
        let api = Api::start();
        for (id, environment) in [("real", "live"), ("trial", "test")] {
            let settings = json!({"environment": environment});
            let body = json!({"channel": "poll", "settings": settings});
            api.put(&format!("{ACME}/destinations/{id}"), &body).is(201);
            let route = json!({"name": id, "events": ["a.*"], "to": [id]});
            api.post(&format!("{ACME}/routes"), &route).is(201);
        }
        let both = json!({"name": "both", "events": ["b.*"], "to": ["real", "trial"]});
        api.post(&format!("{ACME}/routes"), &both).is(201);
        let key = |environment: &str| {
            let body = json!({"role": "admin", "environment": environment});
            let made = api.post(&format!("{ACME}/keys"), &body).is(201);
            made["key"].as_str().expect("shown once").to_owned()
        };
        let (live, test) = (key("live"), key("test"));
        Self { api, live, test }
    }

    /// Sends an event of each environment, and waits until both are delivered.
    fn send(&self) {
        for (key, id) in [(&self.live, "evt_live"), (&self.test, "evt_test")] {
            let event = json!({"id": id, "type": "a.b", "data": {}}).to_string();
            assert_eq!(self.api.server.post_with(key, "/v1/events", &event).status, 202);
        }
        let settled = until(SOON, || {
            let page = self.api.get(&format!("{ACME}/deliveries?environment=all&state=delivered"));
            (page.is(200)["data"].as_array().map(Vec::len) == Some(2)).then_some(())
        });
        settled.expect("both are delivered");
    }

    fn test<T>(&mut self, work: impl FnOnce(&Api) -> T) -> T {
        let key = self.test.clone();
        self.api.with(&key, work)
    }

    fn live<T>(&mut self, work: impl FnOnce(&Api) -> T) -> T {
        let key = self.live.clone();
        self.api.with(&key, work)
    }
}

fn ids(page: &Value, field: &str) -> Vec<String> {
    let items = page["data"].as_array().expect("a list").iter();
    items.map(|one| one[field].as_str().expect("an id").to_owned()).collect()
}

fn names(routes: &Value) -> Vec<(String, Value)> {
    let routes = routes["data"].as_array().expect("routes").iter();
    routes
        .map(|route| (route["name"].as_str().unwrap_or("").to_owned(), route["to"].clone()))
        .collect()
}

#[test]
fn a_test_key_sees_test_events_and_a_live_key_sees_live_ones_unless_it_asks() {
    let mut world = World::start();
    world.send();
    let list = |api: &Api, path: &str, field: &str| ids(&api.get(path).is(200), field);
    for (path, field) in [("/events", "id"), ("/deliveries", "event")] {
        let path = format!("{ACME}{path}");
        let live = world.live(|api| list(api, &path, field));
        let test = world.live(|api| list(api, &format!("{path}?environment=test"), field));
        let mut all = world.live(|api| list(api, &format!("{path}?environment=all"), field));
        all.sort();
        assert_eq!((live, test), (vec!["evt_live".into()], vec!["evt_test".into()]), "{path}");
        assert_eq!(all, ["evt_live", "evt_test"], "{path}");
        for asked in ["", "?environment=all", "?environment=test"] {
            let got = world.test(|api| list(api, &format!("{path}{asked}"), field));
            assert_eq!(got, ["evt_test"], "{path}{asked}");
        }
        let refused = world.test(|api| {
            api.get(&format!("{path}?environment=live")).refused(422, "invalid_fields")
        });
        assert_eq!(fields(&refused), ["environment"]);
    }
    let named = format!("{ACME}/deliveries?destination=trial");
    assert_eq!(
        world.live(|api| list(api, &named, "event")),
        ["evt_test"],
        "it named the destination"
    );

    let feed = |api: &Api, query: &str| -> Vec<String> {
        let page = api.get(&format!("/v1/events?tenant=acme{query}")).is(200);
        let events = page["data"].as_array().expect("events").iter();
        events.map(|one| one["event"]["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(world.live(|api| feed(api, "")), ["evt_live"]);
    assert_eq!(world.live(|api| feed(api, "&environment=all")), ["evt_live", "evt_test"]);
    assert_eq!(world.test(|api| feed(api, "")), ["evt_test"]);
    world.test(|api| {
        api.get("/v1/events?tenant=acme&undelivered_to=real").refused(404, "not_found");
        api.get(&format!("{ACME}/events/evt_live")).refused(404, "not_found");
        api.get(&format!("{ACME}/destinations/real/messages")).refused(404, "not_found");
        let own = api.get(&format!("{ACME}/events/evt_test")).is(200);
        let routes = own["routes"].as_array().expect("routes").iter();
        let routes: Vec<_> = routes.map(|one| (&one["name"], &one["to"])).collect();
        let trial = json!(["trial"]);
        assert_eq!(routes, [(&json!("trial"), &trial), (&json!("both"), &trial)]);
    });
}

#[test]
fn many_deliveries_are_replayed_and_cancelled_in_one_environment() {
    let mut world = World::start();
    world.send();
    let replay = format!("{ACME}/deliveries/replay");
    let count = |api: &Api, more: Value| {
        let mut body = json!({"dry_run": true, "state": ["delivered"]});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        api.post(&replay, &body).is(200)["found"].clone()
    };
    assert_eq!(world.live(|api| count(api, json!({}))), 1);
    assert_eq!(world.live(|api| count(api, json!({"environment": "all"}))), 2);
    assert_eq!(world.test(|api| count(api, json!({}))), 1);
    assert_eq!(world.test(|api| count(api, json!({"destination": "real"}))), 0);
    world.test(|api| {
        let real = format!("{ACME}/destinations/real");
        for action in ["pause", "resume", "enable", "recover", "test"] {
            api.post(&format!("{real}/{action}"), &json!({})).refused(404, "not_found");
        }
        api.post(&format!("{ACME}/deliveries/dlv_evt_live.real/replay"), &json!({}))
            .refused(404, "not_found");
    });
}

#[test]
fn a_test_key_configures_test_things_only() {
    let mut world = World::start();
    let before = world.live(|api| api.get(&format!("{ACME}/document")).is(200));
    world.test(|api| {
        assert_eq!(ids(&api.get(&format!("{ACME}/destinations")).is(200), "id"), ["trial"]);
        let routes = names(&api.get(&format!("{ACME}/routes")).is(200));
        let trial = json!(["trial"]);
        assert_eq!(routes, [("trial".into(), trial.clone()), ("both".into(), trial)]);
        assert_eq!(api.get(ACME).is(200)["destinations"], 1);

        let real = format!("{ACME}/destinations/real");
        api.get(&real).refused(404, "not_found");
        api.patch(&real, &json!({"settings": {"rate": "1/s"}})).refused(404, "not_found");
        api.delete(&real).refused(404, "not_found");
        let mailbox = json!({"channel": "poll", "settings": {}});
        api.put(&real, &mailbox).refused(404, "not_found");
        let taken = json!({"id": "real", "channel": "poll", "settings": {}});
        api.post(&format!("{ACME}/destinations"), &taken).refused(409, "exists");

        // It becomes a test destination without a word about it, and never a live one.
        let made = api.put(&format!("{ACME}/destinations/mine"), &mailbox).is(201);
        assert_eq!(made["settings"]["environment"], "test");
        for (path, body) in [
            ("trial", json!({"channel": "poll", "settings": {"environment": "live"}})),
            ("new", json!({"channel": "poll", "settings": {"environment": "live"}})),
        ] {
            let refused = api.put(&format!("{ACME}/destinations/{path}"), &body);
            let refused = refused.refused(422, "invalid_fields");
            assert_eq!(fields(&refused), ["settings.environment"], "{path}");
        }
        api.delete(&format!("{ACME}/destinations/mine")).is(204);

        // A route to a live destination cannot be made, and a shared one cannot be changed.
        let route = json!({"events": ["c.*"], "to": ["real"]});
        api.post(&format!("{ACME}/routes"), &route).refused(422, "invalid_fields");
        let both = api.get(&format!("{ACME}/routes")).is(200)["data"][1]["id"].clone();
        let both = format!("{ACME}/routes/{}", both.as_str().expect("an id"));
        let changed = json!({"events": ["c.*"], "to": ["trial"]});
        api.put(&both, &changed).refused(403, "live_key_required");
        api.delete(&both).refused(403, "live_key_required");
        let off = json!({"preferences": {"b.x": {"trial": false}}});
        api.patch(&format!("{ACME}/preferences"), &off).refused(403, "live_key_required");
        let cell = json!({"preferences": {"b.x": {"real": false}}});
        api.patch(&format!("{ACME}/preferences"), &cell).refused(422, "invalid_fields");

        // What both environments use.
        for (method, path, body) in [
            ("PATCH", String::new(), json!({"name": "Other"})),
            ("PUT", "/templates/a.b/subject".to_owned(), json!({"source": "x"})),
            (
                "PATCH",
                "/notification-channels".to_owned(),
                json!({"notification_emails": ["a@b.example"]}),
            ),
        ] {
            let said = api.call(method, &format!("{ACME}{path}"), &[], Some(&body));
            said.refused(403, "live_key_required");
        }
        let document = format!("{ACME}/document");
        let own = api.get(&document).is(200);
        assert_eq!(own["destinations"].as_array().map(Vec::len), Some(1), "{own}");
        assert_eq!(api.put(&document, &own).is(200)["outcome"], "unchanged");
        let mut renamed = own.clone();
        renamed["name"] = "Other".into();
        api.put(&document, &renamed).refused(403, "live_key_required");
    });
    let after = world.live(|api| api.get(&format!("{ACME}/document")).is(200));
    assert_eq!(after, before, "nothing is left of it");
}

#[test]
fn a_test_keys_document_replaces_test_things_and_leaves_live_ones() {
    let mut world = World::start();
    let document = format!("{ACME}/document");
    world.test(|api| {
        let mut own = api.get(&document).is(200);
        own["destinations"] = json!([{"id": "fresh", "channel": "poll", "settings": {}}]);
        own["routes"] = json!([{"events": ["x.*"], "to": ["fresh"]}]);
        own.as_object_mut().unwrap().retain(|key, _| ["destinations", "routes"].contains(&&**key));
        let planned = api.put(&format!("{document}?dry_run=true"), &own).is(200);
        assert_eq!(api.put(&document, &own).is(200)["changes"], planned["changes"]);
    });
    world.live(|api| {
        let mut destinations = ids(&api.get(&format!("{ACME}/destinations")).is(200), "id");
        destinations.sort();
        assert_eq!(destinations, ["fresh", "real"]);
        let routes = names(&api.get(&format!("{ACME}/routes")).is(200));
        let to: Vec<_> = routes.iter().map(|(name, to)| (name.as_str(), to)).collect();
        let (real, fresh) = (json!(["real"]), json!(["fresh"]));
        assert_eq!(to, [("real", &real), ("", &fresh), ("both", &real)]);
    });
}

#[test]
fn a_test_admin_sees_makes_and_revokes_test_keys_only() {
    let mut world = World::start();
    let keys = format!("{ACME}/keys");
    let all = world.live(|api| api.get(&keys).is(200));
    let live = all["data"].as_array().expect("keys").iter();
    let live = live.filter(|key| key["environment"] == "live").map(|key| &key["id"]);
    let live = live.map(|id| id.as_str().expect("an id").to_owned()).collect::<Vec<_>>();
    assert!(!live.is_empty());
    world.test(|api| {
        let listed = api.get(&keys).is(200);
        assert!(listed["data"].as_array().unwrap().iter().all(|key| key["environment"] == "test"));
        for id in &live {
            api.delete(&format!("{keys}/{id}")).refused(404, "not_found");
        }
        let asked = json!({"role": "reader", "environment": "live"});
        api.post(&keys, &asked).refused(403, "live_key_required");
        let made = api.post(&keys, &json!({"role": "reader"})).is(201);
        assert_eq!(made["environment"], "test", "like the key that makes it");
        api.delete(&format!("{keys}/{}", made["id"].as_str().expect("an id"))).is(204);
    });
    let left = world.live(|api| api.get(&keys).is(200));
    assert_eq!(left, all_but_uses(&all, &left), "no live key is gone");
}

/// `now`, with the ids and environments of `before`.
fn all_but_uses(before: &Value, now: &Value) -> Value {
    assert_eq!(ids(before, "id"), ids(now, "id"));
    now.clone()
}

#[test]
fn a_test_keys_export_and_audit_trail_hold_nothing_live() {
    let mut world = World::start();
    world.send();
    let pause = format!("{ACME}/destinations/real/pause");
    world.live(|api| api.post(&pause, &json!({})).is(200));
    let pause = format!("{ACME}/destinations/trial/pause");
    world.test(|api| api.post(&pause, &json!({})).is(200));
    let export = world.test(|api| api.get(&format!("{ACME}/export")).answer.body);
    let lines: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("destination"), of("event"), of("end")), (1, 1, 1), "{export}");
    assert_eq!(of("key"), 1, "{export}");
    for live in ["evt_live", "\"real\"", "real/", "sk_live"] {
        assert!(!export.contains(live), "{live} in {export}");
    }
    let trail = world.test(|api| api.get(&format!("{ACME}/audit")).is(200));
    let lines = trail["data"].as_array().expect("lines");
    assert_eq!(lines.len(), 1, "{trail}");
    assert_eq!(lines[0]["resource"], "destinations/trial");
    assert_eq!(lines[0]["environment"], "test");
    let all = world.live(|api| api.get(&format!("{ACME}/audit")).is(200));
    assert!(all["data"].as_array().is_some_and(|lines| lines.len() > 5), "{all}");
}

#[test]
fn a_reader_commits_no_messages_and_a_consumer_does_nothing_else() {
    let mut world = World::start();
    world.send();
    let mailbox = format!("{ACME}/destinations/real");
    let (reader, consumer) = (world.api.key("acme", "reader"), world.api.key("acme", "consumer"));
    let commit = format!("{mailbox}/commit");
    let messages = format!("{mailbox}/messages");
    world.api.with(&reader, |api| {
        let cursor = api.get(&messages).is(200)["next_cursor"].clone();
        for consumer in ["default", "billing"] {
            let body = json!({"consumer": consumer, "cursor": cursor});
            api.post(&commit, &body).refused(403, "forbidden");
        }
        assert_eq!(api.get(&messages).is(200)["committed"], "0");
    });
    world.api.with(&consumer, |api| {
        let cursor = api.get(&messages).is(200)["next_cursor"].clone();
        assert_eq!(api.post(&commit, &json!({"cursor": cursor})).is(200)["committed"], cursor);
        api.get(&mailbox).refused(403, "forbidden");
        api.get(&format!("{ACME}/events")).refused(403, "forbidden");
    });
}
