//! Statistics, searches, and the filters of lists.

use serde_json::{Value, json};

use super::{Api, webhook};
use crate::scene::SOON;
use crate::support::{Peer, until};
use crate::verifiers::SECRET;

const SESSION: &str = "7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11";

fn ids(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().expect("a list");
    items.iter().filter_map(|one| one["id"].as_str()).collect()
}

/// Three events of `acme`, two of which go to `hooks`.
fn with_events(api: &Api) -> Peer {
    let receiver = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    api.put("/v1/tenants/acme/destinations/hooks", &webhook(&receiver.url("/"))).is(201);
    let route = json!({"events": ["kyc.**"], "to": ["hooks"]});
    api.post("/v1/tenants/acme/routes", &route).is(201);
    let events = json!([
        {"id": "evt_1", "type": "kyc.session.created", "data": {"session_id": SESSION}},
        {"id": "evt_2", "type": "kyc.session.done",
            "data": {"session_id": SESSION, "user_id": "u 7&"}},
        {"id": "evt_3", "type": "order.paid", "data": {"session_id": "other"}},
    ]);
    api.post("/v1/events?tenant=acme", &events).is(202);
    let settled = || {
        let list = |status| api.get(&format!("/v1/tenants/acme/events?state={status}")).is(200);
        let (delivered, unrouted) = (list("delivered"), list("unrouted"));
        (ids(&delivered).len() == 2 && ids(&unrouted).len() == 1).then_some(())
    };
    until(SOON, settled).expect("all are settled");
    receiver
}

#[test]
fn statistics_count_what_happened() {
    Api::over_both(|api| {
        let empty = api.get("/v1/tenants/acme/stats").is(200);
        assert_eq!((&empty["series"], &empty["step"]), (&json!([]), &json!("hour")));
        let _receiver = with_events(api);
        let stats = api.get("/v1/tenants/acme/stats").is(200);
        let total = &stats["series"][0]["total"];
        let counts = ["received", "unrouted", "delivered", "dead", "attempts"];
        assert_eq!(counts.map(|name| total[name].as_u64()), [3, 1, 2, 0, 2].map(Some), "{total}");
        assert!(total["latency"]["p99_ms"].is_u64(), "{total}");
        let points = stats["series"][0]["points"].as_array().expect("a list");
        assert!(
            points.iter().all(|one| one["at_ms"].as_i64().is_some_and(|at| at % 3_600_000 == 0))
        );

        let by_type = api.get("/v1/tenants/acme/stats?group_by=type&type=kyc.**&step=day").is(200);
        let series = by_type["series"].as_array().expect("a list");
        let types: Vec<_> = series.iter().map(|one| one["type"].as_str()).collect();
        assert_eq!(types, [Some("kyc.session.created"), Some("kyc.session.done")]);
        let one = api.get("/v1/tenants/acme/stats?group_by=type&limit=1").is(200);
        assert_eq!(
            (one["series"].as_array().map(Vec::len), &one["more_series"]),
            (Some(1), &json!(2))
        );
        let by = api.get("/v1/tenants/acme/stats?group_by=destination,channel").is(200);
        assert_eq!(by["series"][0]["destination"], "hooks");
        assert_eq!(by["series"][0]["channel"], "webhook");
        assert_eq!(by["series"][0]["total"].get("received"), None, "an event has no destination");

        let all = api.get("/v1/stats?group_by=channel").is(200);
        assert_eq!(all["series"][0]["total"]["delivered"], 2);
        assert_eq!(api.get("/v1/tenants/globex/stats").is(200)["series"], json!([]));
        api.get("/v1/tenants/nobody/stats").refused(404, "unknown_tenant");
        for wrong in [
            "group_by=colour",
            "step=week",
            "from_ms=0",
            "from_ms=7200000&to_ms=3600000",
            "limit=0",
        ] {
            assert_eq!(api.get(&format!("/v1/tenants/acme/stats?{wrong}")).answer.status, 422);
        }
        let bearer = format!("Bearer {}", api.key("acme", "reader"));
        let with_key = [("authorization", bearer.as_str())];
        api.call("GET", "/v1/stats", &with_key, None).refused(403, "forbidden");

        let shown = api.scene.run(&["stats", "--tenant", "acme", "--by", "destination"]).ok();
        assert!(shown.contains("hooks") && shown.contains("DELIVERED"), "{shown}");
        let shown = api.scene.json(&["stats"]);
        assert_eq!(shown["series"][0]["total"]["received"], 3);
    });
}

#[test]
fn events_are_found_by_their_values_and_filtered() {
    Api::over_both(|api| {
        let _receiver = with_events(api);
        let get = |query: &str| api.get(&format!("/v1/tenants/acme/events?{query}")).is(200);
        let cases: [(String, &[&str]); 9] = [
            (format!("match[data.session_id]={SESSION}"), &["evt_2", "evt_1"]),
            ("match[data.session_id]=7f6c2a54".to_owned(), &["evt_2", "evt_1"]),
            ("match%5Bdata.user_id%5D=u%207%26".to_owned(), &["evt_2"]),
            ("match[data.user_id]=u+7%26&match[data.session_id]=other".to_owned(), &[]),
            ("match[data.session_id]=7f6c2a54&order=oldest&limit=1".to_owned(), &["evt_1"]),
            ("state=unrouted".to_owned(), &["evt_3"]),
            ("state=delivered&type=kyc.*.other,order.*".to_owned(), &[]),
            ("type=kyc.*.done,order.*".to_owned(), &["evt_3", "evt_2"]),
            ("destination=hooks&order=oldest".to_owned(), &["evt_1", "evt_2"]),
        ];
        for (query, expected) in cases {
            assert_eq!(ids(&get(&query)), expected, "{query}");
        }
        let deliveries = api.get("/v1/tenants/acme/deliveries?type=kyc.**&order=oldest").is(200);
        assert_eq!(ids(&deliveries), ["dlv_evt_1.hooks", "dlv_evt_2.hooks"]);
        let refused = api.get("/v1/tenants/acme/events?match[data.colour]=red");
        let refused = refused.refused(422, "invalid_fields");
        assert_eq!(refused["details"][0]["field"], "match", "{refused}");
        assert_eq!(api.get("/v1/tenants/acme/events?match[data.user_id=x").answer.status, 422);
        for list in ["events", "deliveries"] {
            api.get(&format!("/v1/tenants/nobody/{list}")).refused(404, "unknown_tenant");
        }
        let found = api.scene.json(&[
            "events",
            "--tenant",
            "acme",
            "--where",
            "data.session_id=7f6c2a54",
            "--oldest",
        ]);
        assert_eq!(ids(&found), ["evt_1", "evt_2"]);
        let found = api.scene.json(&["events", "--tenant", "acme", "--state", "unrouted"]);
        assert_eq!(ids(&found), ["evt_3"]);
    });
}
