//! Numbers are the producer's in every view of an event: of the API, of the command line, in exports.

use serde_json::json;

use crate::api::Api;
use crate::scene::SOON;
use crate::support::{request, until};

const NUMBERS: [&str; 8] = [
    "12345678901234567890123",
    "18446744073709551616",
    "300.00000000000001",
    "1e-400",
    "1.50",
    "1E5",
    "1e5",
    "-0.0",
];

/// An event with every number, in its data and beside it.
fn event(id: &str) -> String {
    let list = NUMBERS.join(",");
    format!(
        r#"{{"id":"{id}","type":"k.x","created":7,"data":{{"v":[{list}]}},"extra":{{"w":{}}}}}"#,
        NUMBERS[0]
    )
}

/// Sends bytes as they are.
fn send(api: &Api, body: &str) {
    let headers = [("content-type", "application/json")];
    let path = "/v1/events?tenant=acme";
    let answer = request(api.server.address(), "POST", path, &headers, body.as_bytes());
    let answer = answer.expect("fanfare answers");
    assert_eq!(answer.status, 202, "{}", answer.body);
}

#[test]
fn every_view_of_an_event_shows_the_producers_numbers() {
    Api::over_both(|api| {
        api.put("/v1/tenants/acme/destinations/box", &json!({"channel": "poll", "settings": {}}))
            .is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["k.*"], "to": ["box"]})).is(201);
        let event = event("evt_1");
        send(api, &event);
        let list = format!("[{}]", NUMBERS.join(","));

        let views = [
            "/v1/tenants/acme/destinations/box/messages?wait=20",
            "/v1/events?tenant=acme&wait=20",
            "/v1/tenants/acme/events/evt_1",
        ];
        for view in views {
            let answer = api.get(view);
            answer.is(200);
            assert!(answer.answer.body.contains(&event), "{view}: {}", answer.answer.body);
        }
        let exported = until(SOON, || {
            let lines = api.get("/v1/tenants/acme/export").answer.body;
            lines.lines().find(|line| line.starts_with(r#"{"kind":"event""#)).map(str::to_owned)
        });
        let exported = exported.expect("the event is exported");
        assert!(exported.contains(&event), "{exported}");

        let scene = &api.scene;
        let shown = scene.run(&["events", "--tenant", "acme", "evt_1"]).ok();
        assert!(shown.contains(&format!("body      {event}")), "{shown}");
        let compact = |text: String| text.split_whitespace().collect::<String>();
        let as_json = compact(scene.run(&["events", "--tenant", "acme", "evt_1", "--json"]).ok());
        assert!(as_json.contains(&event), "{as_json}");
        let messages = ["destinations", "messages", "--tenant", "acme", "box"];
        let as_json = compact(scene.run(&[&messages[..], &["--json"]].concat()).ok());
        assert!(as_json.contains(&event), "{as_json}");
        let text = scene.run(&messages).ok();
        assert!(text.contains(&NUMBERS.join(", ")), "{text}");
        let again = api.scene.file("again.ndjson", self::event("evt_2"));
        let wait = ["send", "--tenant", "acme", "--wait", "--json", &again];
        let sent = compact(scene.run(&wait).ok());
        assert!(sent.contains(&list), "{sent}");
        let export = scene.run(&["export", "--tenant", "acme"]).ok();
        assert!(export.contains(&list), "{export}");
    });
}

#[test]
fn an_event_is_one_line_of_an_export_however_it_is_written() {
    let api = Api::start();
    send(&api, "{\"id\": \"evt_1\",\n \"type\": \"k.x\",\n \"data\": {\"n\": 1.50}\n}");
    let export = until(SOON, || {
        let lines = api.get("/v1/tenants/acme/export").answer.body;
        lines.lines().find(|line| line.starts_with(r#"{"kind":"event""#)).map(str::to_owned)
    });
    assert!(export.expect("the event is exported").contains(r#""data":{"n":1.50}"#));
}

#[test]
fn a_filter_keeps_every_digit_wherever_it_is_stored_and_shown() {
    let api = Api::start();
    api.put("/v1/tenants/acme/destinations/box", &json!({"channel": "poll", "settings": {}}))
        .is(201);
    let body = r#"{"events":["k.*"],"to":["box"],"when":{"data":{"v":[20000000000000000001]}}}"#;
    let headers = [("content-type", "application/json")];
    let path = "/v1/tenants/acme/routes";
    let made = request(api.server.address(), "POST", path, &headers, body.as_bytes());
    let made = made.expect("fanfare answers");
    assert_eq!(made.status, 201, "{}", made.body);
    let shown = json!({"data": {"v": [{"$number": "20000000000000000001"}]}});
    let made = made.json()["data"].clone();
    assert_eq!(made["when"], shown);
    // What is shown can be sent back.
    let id = made["id"].as_str().expect("an id");
    let mut route = made.clone();
    route.as_object_mut().expect("a route").remove("id");
    let again = api.put(&format!("{path}/{id}"), &route).is(200);
    assert_eq!(again["when"], shown);
    // The command line reads the number as it is typed.
    let when = r#"{"data":{"w":[300.00000000000001]}}"#;
    let create = ["routes", "create", "--tenant", "acme", "--events", "k.*", "--to", "box"];
    api.scene.run(&[&create[..], &["--when", when]].concat()).ok();

    // The server learns of the second route within half a second, so each try is a new event.
    let mut tries = 0;
    for (field, n, state) in [
        ("v", "20000000000000000001", "routed"),
        ("v", "2.0000000000000000001E19", "routed"),
        ("w", "300.00000000000001", "routed"),
        ("v", "20000000000000000000", "unrouted"),
        ("w", "300", "unrouted"),
    ] {
        let expected = until(SOON, || {
            tries += 1;
            let id = format!("evt_{tries}");
            send(&api, &format!(r#"{{"id":"{id}","type":"k.x","data":{{"{field}":{n}}}}}"#));
            let settled = until(SOON, || {
                let event = api.get(&format!("/v1/tenants/acme/events/{id}"));
                let event = (event.answer.status == 200).then(|| event.is(200))?;
                (event["state"] != "pending").then(|| event["state"].clone())
            });
            (settled == Some(json!(state))).then_some(())
        });
        assert!(expected.is_some(), "{field}: {n} is not {state}");
    }
}
