//! Following events, and mailboxes.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Api, webhook};
use crate::scene::SOON;
use crate::support::until;

fn send(api: &Api, id: &str, kind: &str) {
    api.post("/v1/events?tenant=acme", &json!({"id": id, "type": kind, "data": {}})).is(202);
}

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().expect("a list");
    data.iter().map(|one| one["event"]["id"].as_str().expect("an id").to_owned()).collect()
}

/// Follows from a place until there are so many.
fn collect(api: &Api, path: &str, mut after: String, count: usize) -> (Vec<String>, String) {
    let mut seen = Vec::new();
    let all = until(SOON, || {
        let page = api.get(&format!("{path}&after={after}&wait=1")).is(200);
        seen.extend(ids(&page));
        page["next_cursor"].as_str().expect("always").clone_into(&mut after);
        (seen.len() >= count).then_some(())
    });
    assert!(all.is_some(), "only {seen:?}");
    (seen, after)
}

#[test]
fn events_are_followed_oldest_first_by_type_and_from_a_cursor() {
    Api::over_both(|api| {
        for n in 0..5 {
            send(api, &format!("evt_{n}"), if n % 2 == 0 { "k.even" } else { "k.odd.one" });
        }
        let path = "/v1/events?tenant=acme&limit=2";
        let (all, end) = collect(api, path, "0".to_owned(), 5);
        assert_eq!(all, ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"]);
        let odd = "/v1/events?tenant=acme&types=nothing,k.odd.*";
        assert_eq!(collect(api, odd, "0".to_owned(), 2).0, ["evt_1", "evt_3"]);
        let page = api.get(&format!("{path}&after={end}")).is(200);
        assert_eq!((ids(&page).len(), &page["more"]), (0, &json!(false)));
        send(api, "evt_5", "k.even");
        assert_eq!(collect(api, path, end, 1).0, ["evt_5"]);
        api.get("/v1/events?tenant=acme&after=nonsense").refused(422, "invalid_fields");
        api.get("/v1/events?tenant=acme&wait=61").refused(422, "invalid_fields");
        api.get("/v1/events?tenant=nobody").refused(404, "unknown_tenant");
    });
}

#[test]
fn a_waiting_request_is_answered_as_soon_as_there_is_an_event() {
    Api::over_both(|api| {
        let began = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| api.get("/v1/events?tenant=acme&wait=25").is(200));
            send(api, "evt_1", "k.x");
            assert_eq!(ids(&waiting.join().expect("an answer")), ["evt_1"]);
        });
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}

#[test]
fn a_follower_misses_no_event_of_concurrent_producers() {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    Api::over_both(|api| {
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                scope.spawn(move || {
                    for n in 0..EACH {
                        send(api, &format!("evt_{sender}_{n}"), "k.x");
                    }
                });
            }
            let path = "/v1/events?tenant=acme&limit=7";
            let (seen, _) = collect(api, path, "0".to_owned(), SENDERS * EACH);
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), SENDERS * EACH);
            assert_eq!(seen.len(), SENDERS * EACH, "none twice");
        });
    });
}

#[test]
fn undelivered_events_of_a_destination_are_followed_and_delivered_ones_are_not() {
    Api::over_both(|api| {
        let off = json!({"enabled": false, "url": "http://127.0.0.1:9/", "secret": crate::verifiers::SECRET});
        api.put(
            "/v1/tenants/acme/destinations/off",
            &json!({"channel": "webhook", "settings": off}),
        )
        .is(201);
        api.put("/v1/tenants/acme/destinations/box", &json!({"channel": "poll", "settings": {}}))
            .is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["k.*"], "to": ["off", "box"]}))
            .is(201);
        send(api, "evt_1", "k.x");
        send(api, "evt_2", "other");
        send(api, "evt_3", "k.y");
        let missed = "/v1/events?tenant=acme&undelivered_to=off";
        let (ids, _) = collect(api, missed, "0".to_owned(), 2);
        assert_eq!(ids, ["evt_1", "evt_3"]);
        let page = api.get(missed).is(200);
        assert_eq!(page["data"][0]["delivery"]["state"], "suppressed");
        let got = until(SOON, || {
            let page = api.get("/v1/events?tenant=acme&undelivered_to=box").is(200);
            page["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
        assert!(got.is_some(), "the mailbox has got everything");
    });
}

#[test]
fn each_mailbox_consumer_reads_in_order_and_continues_after_its_commit() {
    Api::over_both(|api| {
        api.put("/v1/tenants/acme/destinations/box", &json!({"channel": "poll", "settings": {}}))
            .is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["k.*"], "to": ["box"]})).is(201);
        for n in 0..4 {
            send(api, &format!("evt_{n}"), "k.x");
            send(api, &format!("not_{n}"), "other");
        }
        let messages = "/v1/tenants/acme/destinations/box/messages";
        let commit = "/v1/tenants/acme/destinations/box/commit";
        let all = until(SOON, || {
            let page = api.get(messages).is(200);
            (ids(&page).len() == 4).then_some(page)
        });
        let all = all.expect("all are in the mailbox");
        assert_eq!(ids(&all), ["evt_0", "evt_1", "evt_2", "evt_3"]);
        // Not committed: given again.
        assert_eq!(ids(&api.get(messages).is(200)).len(), 4);
        let second = all["data"][1]["cursor"].clone();
        let done = api.post(commit, &json!({"cursor": second})).is(200);
        assert_eq!((&done["consumer"], &done["committed"]), (&json!("default"), &second));
        assert_eq!(ids(&api.get(messages).is(200)), ["evt_2", "evt_3"]);
        // Others have a place of their own, and no commit goes back unasked.
        assert_eq!(ids(&api.get(&format!("{messages}?consumer=other")).is(200)).len(), 4);
        api.post(commit, &json!({"cursor": "1"})).is(200);
        assert_eq!(ids(&api.get(messages).is(200)), ["evt_2", "evt_3"]);
        api.post(commit, &json!({"cursor": "0", "back": true})).is(200);
        assert_eq!(ids(&api.get(messages).is(200)).len(), 4);
        let end = all["next_cursor"].clone();
        api.post(commit, &json!({"cursor": end})).is(200);
        assert_eq!(ids(&api.get(messages).is(200)).len(), 0);

        // Held back, it comes when it is let go, and before what came later.
        api.post("/v1/tenants/acme/destinations/box/pause", &json!({})).is(200);
        send(api, "evt_4", "k.x");
        let path = "/v1/tenants/acme/deliveries/dlv_evt_4.box";
        until(SOON, || (api.get(path).answer.status == 200).then_some(())).expect("it waits");
        assert_eq!(ids(&api.get(messages).is(200)).len(), 0);
        api.post("/v1/tenants/acme/destinations/box/resume", &json!({})).is(200);
        let page = until(SOON, || {
            let page = api.get(&format!("{messages}?wait=1")).is(200);
            (!ids(&page).is_empty()).then_some(page)
        });
        assert_eq!(ids(&page.expect("it came")), ["evt_4"]);
        api.put("/v1/tenants/acme/destinations/hooks", &webhook("http://127.0.0.1:9/")).is(201);
        let hooks = api.get("/v1/tenants/acme/destinations/hooks/messages");
        hooks.refused(409, "no_mailbox");
    });
}
