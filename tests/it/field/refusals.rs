//! Receivers that refuse a message are not receivers that are down.

use std::time::{Duration, Instant};

use fanfare_receivers::Reply;
use serde_json::{Value, json};

use super::table;
use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Redis, until};

/// Refuses events whose data says so.
fn picky(status: u16) -> Counter {
    Counter::start(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        Reply::Status(if body["data"]["k"] == "bad" { status } else { 200 })
    })
}

fn bad(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| event(&format!("evt_bad_{n}"), "test.one", &json!({"k": "bad"}))).collect()
}

/// A delivery by its event, once it is in one of these states.
fn ended(scene: &Scene, id: &str, states: &[&str]) -> Value {
    let found = until(SOON, || {
        let found = scene.deliveries("acme").into_iter().find(|one| one["event"] == *id)?;
        states.contains(&found["state"].as_str()?).then_some(found)
    });
    found.unwrap_or_else(|| panic!("{id}: {:#?}", scene.deliveries("acme")))
}

/// Case w1.
#[test]
fn twelve_refused_events_before_a_good_one_do_not_delay_it() {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let receiver = picky(422);
        scene.tenant("acme", &table(&receiver.url(), r#"["1s", "1s", "2s", "1h"]"#, ""));
        let _router = scene.start();
        scene.send("acme", &bad(0..12)).ok();
        until(SOON, || (receiver.requests() >= 12).then_some(())).expect("they are refused");
        let began = Instant::now();
        scene.send("acme", &[event("evt_good", "test.one", &json!({}))]).ok();
        let good = ended(&scene, "evt_good", &["delivered"]);
        assert_eq!(good["attempts"].as_array().map(Vec::len), Some(1), "{good:#}");

        // And with twenty, after their retries as well.
        scene.send("acme", &bad(12..32)).ok();
        until(SOON, || (receiver.requests() >= 33 + 32).then_some(())).expect("they are retried");
        scene.send("acme", &[event("evt_last", "test.one", &json!({}))]).ok();
        let last = ended(&scene, "evt_last", &["delivered"]);
        assert_eq!(last["attempts"].as_array().map(Vec::len), Some(1), "{last:#}");
        // An open circuit would have been a matter of minutes.
        assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    }
}

#[test]
fn a_destination_decides_which_statuses_are_retried() {
    for (settings, status, state, attempts) in [
        (r#"give_up_on = ["4xx"]"#, 422, "dead", 1),
        ("give_up_on = [503]", 503, "dead", 1),
        ("give_up_on = [\"4xx\"]\nretry_on = [404]", 404, "dead", 3),
        ("retry_on = [410]", 410, "dead", 3),
    ] {
        let scene = Scene::embedded();
        let receiver = picky(status);
        scene.tenant("acme", &table(&receiver.url(), r#"["100ms", "100ms"]"#, settings));
        let _router = scene.start();
        scene.send("acme", &bad(0..1)).ok();
        let found = ended(&scene, "evt_bad_0", &["dead", "delivered", "suppressed"]);
        assert_eq!(found["state"], state, "{settings}: {found:#}");
        assert_eq!(found["reason"], format!("http_{status}"), "{settings}");
        assert_eq!(found["attempts"].as_array().map(Vec::len), Some(attempts), "{settings}");
    }
}
