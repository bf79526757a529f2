//! A document with live and test destinations, and with a route to both.

use serde_json::json;

use super::*;

fn whole() -> TenantSpec {
    let route = |id: &str, to: &[&str]| json!({"id": id, "events": [format!("{id}.*")], "to": to});
    let document = json!({
        "id": "acme", "name": "Acme", "templates": {"email/x/subject.txt.hbs": "s"},
        "destinations": [
            {"id": "real", "channel": "poll"},
            {"id": "trial", "channel": "poll", "environment": "test"},
            {"id": "other", "channel": "poll", "environment": "live"},
            {"id": "second", "channel": "poll", "environment": "test"},
        ],
        "routes": [
            route("live", &["real"]), route("test", &["trial"]),
            route("both", &["real", "trial"]), route("tests", &["trial", "second"]),
        ],
        "held": ["real", "trial"],
    });
    serde_json::from_value(document).unwrap()
}

fn ids(spec: &TenantSpec) -> Vec<&str> {
    spec.destinations.iter().map(|one| one.id.as_str()).collect()
}

fn routes(spec: &TenantSpec) -> Vec<(&str, String)> {
    spec.routes.iter().map(|one| (one.id.as_deref().unwrap_or(""), one.to.join(" "))).collect()
}

fn of(spec: &TenantSpec, is_test: bool) -> Vec<&DestinationSpec> {
    let chosen = spec.destinations.iter().filter(|one| environment_of(one).is_live() != is_test);
    chosen.collect()
}

#[test]
fn a_test_key_sees_test_destinations_and_the_routes_to_them() {
    let view = test_view(&whole());
    assert_eq!(ids(&view), ["trial", "second"]);
    let expected = [("test", "trial"), ("both", "trial"), ("tests", "trial second")];
    assert_eq!(routes(&view), expected.map(|(id, to)| (id, to.to_owned())));
    assert_eq!(view.held.iter().collect::<Vec<_>>(), ["trial"]);
    assert_eq!(view.templates, whole().templates, "shared");
}

#[test]
fn a_view_that_did_not_change_changes_nothing() {
    assert_eq!(with_test_view(&whole(), test_view(&whole())), Ok(whole()));
}

#[test]
fn what_a_test_key_changes_takes_its_place_and_live_things_stay() {
    let mut view = test_view(&whole());
    view.destinations.remove(1);
    let new = json!({"id": "new", "channel": "poll"});
    view.destinations.push(serde_json::from_value(new).unwrap());
    view.routes[0].to = vec!["new".to_owned()];
    view.routes[2].to = vec!["new".to_owned(), "trial".to_owned()];
    view.held.clear();
    let after = with_test_view(&whole(), view).unwrap();
    assert_eq!(ids(&after), ["real", "trial", "other", "new"]);
    assert_eq!(of(&after, false), of(&whole(), false));
    assert_eq!(after.destinations[3].fields["environment"], "test", "without a word about it");
    let expected =
        [("live", "real"), ("test", "new"), ("both", "real trial"), ("tests", "new trial")];
    assert_eq!(routes(&after), expected.map(|(id, to)| (id, to.to_owned())));
    assert_eq!(after.held.iter().collect::<Vec<_>>(), ["real"]);
}

#[test]
fn a_test_destination_that_is_deleted_leaves_shared_routes_too() {
    let mut view = test_view(&whole());
    view.destinations.retain(|one| one.id != "trial");
    view.routes.retain(|route| route.id.as_deref() == Some("tests"));
    view.routes[0].to = vec!["second".to_owned()];
    let after = with_test_view(&whole(), view).unwrap();
    let expected = [("live", "real"), ("tests", "second"), ("both", "real")];
    assert_eq!(routes(&after), expected.map(|(id, to)| (id, to.to_owned())));
}

#[test]
fn a_test_key_changes_nothing_that_live_events_use() {
    let crossing = |change: fn(&mut TenantSpec)| {
        let mut view = test_view(&whole());
        change(&mut view);
        with_test_view(&whole(), view).unwrap_err()
    };
    assert_eq!(crossing(|view| view.name = "B".into()), Crossing::Shared("name"));
    assert_eq!(crossing(|view| view.templates.clear()), Crossing::Shared("templates"));
    let live = |view: &mut TenantSpec| {
        view.destinations[0].fields.insert("environment".into(), "live".into());
    };
    assert_eq!(crossing(live), Crossing::Live("trial".into()));
    for id in ["real", "notify-webhook"] {
        let mut view = test_view(&whole());
        let new = json!({"id": id, "channel": "poll", "environment": "test"});
        view.destinations.push(serde_json::from_value(new).unwrap());
        assert_eq!(with_test_view(&whole(), view).unwrap_err(), Crossing::Taken(id.into()));
    }
    let shared = Crossing::SharedRoute(vec!["both.*".into()]);
    assert_eq!(crossing(|view| _ = view.routes.remove(1)), shared);
    assert_eq!(crossing(|view| view.routes[1].events.push("x".into())), shared);
    assert_eq!(crossing(|view| view.routes[1].to.push("second".into())), shared);
    let taken = |view: &mut TenantSpec| view.routes[0].id = Some("live".into());
    assert_eq!(crossing(taken), Crossing::Taken("live".into()));
}
