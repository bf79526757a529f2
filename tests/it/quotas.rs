//! Quotas on what producers write to the Redis stream, and in files; and a flood in production.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{SOON, Scene, hooks_at};
use crate::support::{Hook, PATIENCE, Peer, Redis, request, until};
use crate::verifiers::SECRET;

/// Writes events to the stream, as a producer does.
fn write(redis: &Redis, tenant: &str, events: usize) {
    let mut pipeline = redis::pipe();
    for n in 0..events {
        let event = json!({"id": format!("evt_{n}"), "type": "test.numbered", "data": {"n": n}});
        let mut add = redis::cmd("XADD");
        add.arg(&["fanfare:events", "*", "tenant", tenant, "event", &event.to_string()]);
        pipeline.add_command(add);
    }
    let _: redis::Value = pipeline.query(&mut redis.connection()).expect("entries");
}

#[test]
fn stream_entries_beyond_a_rate_wait_and_delay_no_other_tenant() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    scene.tenant("globex", &hooks_at(&hooks.url("/")));
    scene.settings("[quotas]\nevents_per_second = 3\nburst = \"2s\"");
    let router = scene.start();
    // The burst is 6 events. The last of the others may go after 18 seconds.
    write(&redis, "acme", 60);
    let held = until(SOON, || {
        let deliveries = scene.deliveries("acme");
        let held = deliveries.iter().filter(|one| one["reason"] == "quota").count();
        (held > 0).then_some(held)
    });
    held.expect("some of them wait because of the quota");
    write(&redis, "globex", 10);
    scene.settled("globex", 10);
    let waiting = |one: &&Value| one["state"] == "waiting";
    assert!(
        scene.deliveries("acme").iter().any(|one| waiting(&one)),
        "the other tenant did not wait for this one"
    );
    let delivered = scene.settled("acme", 60);
    assert!(delivered.iter().all(|one| one["state"] == "delivered"), "{delivered:#?}");
    assert_eq!(hooks.wait_for::<Hook>(70, PATIENCE).len(), 70);
    let rejected = scene.json(&["events", "--rejected"]);
    assert_eq!(rejected["data"], json!([]));
    drop(router);
}

#[test]
fn stream_entries_beyond_a_rate_become_dead_letters_if_the_settings_say_so() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    scene.tenant("acme", "");
    scene.tenant("globex", "");
    let settings = "events_per_second = 1\nburst = \"20s\"\nstream_over_rate = \"reject\"";
    scene.settings(&format!("[quotas]\n{settings}"));
    let _router = scene.start();
    write(&redis, "acme", 200);
    write(&redis, "globex", 10);
    let rejected = until(SOON, || {
        let page = scene.json(&["events", "--rejected", "--limit", "1000"]);
        let rejected = page["data"].as_array().cloned().unwrap_or_default();
        (rejected.len() + scene.events("acme").len() == 200).then_some(rejected)
    });
    let rejected = rejected.expect("each entry is an event or a dead letter");
    assert!(rejected.len() > 100, "{} dead letters", rejected.len());
    for one in &rejected {
        assert_eq!((&one["tenant"], &one["code"]), (&json!("acme"), &json!("quota_exceeded")));
        let reason = one["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("`events_per_second` is 1 "), "{reason}");
    }
    scene.settled("globex", 10);
}

#[test]
fn files_are_checked_against_the_quotas_by_every_command() {
    let scene = Scene::embedded();
    let destination = |id: &str| format!("\n[[destination]]\nid = \"{id}\"\nchannel = \"poll\"\n");
    let two = destination("one") + &destination("two");
    scene.settings("[quotas]\ndestinations = 1");
    let file = scene.tenant("acme", &two).display().to_string();
    let settings = scene.path("fanfare.toml").display().to_string();
    let checked = crate::scene::said(&["check", &file, "--config", &settings]).refused(1);
    let expected = "would be 2, and the tenant's quota `destinations` is 1";
    assert!(checked.contains(expected) && checked.contains("acme.toml"), "{checked}");
    let applied = scene.run(&["apply", &file]).refused(1);
    assert!(applied.contains(expected) && applied.contains("acme.toml"), "{applied}");
    let refused = scene.launch().refused();
    assert!(refused.contains(expected), "{refused}");

    // The operator who applies the file may set the quotas in it.
    let file = scene.tenant("acme", &format!("{two}\n[quotas]\ndestinations = 2\n"));
    let file = file.display().to_string();
    crate::scene::said(&["check", &file, "--config", &settings]).ok();
    let applied = scene.run(&["apply", &file]).ok();
    assert!(applied.contains("~ quotas: destinations"), "{applied}");
    let shown = scene.json(&["tenants", "quotas", "acme"]);
    assert_eq!(shown["quotas"]["destinations"], json!({"limit": 2, "used": 2, "source": "tenant"}));

    // A file without quotas leaves them alone, and one with an empty table restores the defaults.
    let file = scene.tenant("acme", &two).display().to_string();
    scene.run(&["apply", &file]).ok();
    let set = ["tenants", "set-quota", "acme", "keys=7", "routes=unlimited"];
    let table = scene.run(&set).ok();
    assert!(table.contains("destinations") && table.contains("unlimited"), "{table}");
    let limits = |name: &str| scene.json(&["tenants", "quotas", "acme"])["quotas"][name].clone();
    assert_eq!(limits("keys"), json!({"limit": 7, "used": 0, "source": "tenant"}));
    assert_eq!(limits("routes")["limit"], Value::Null);
    let file = scene.tenant("acme", &format!("{}\n[quotas]\n", destination("one")));
    scene.run(&["apply", &file.display().to_string()]).ok();
    assert_eq!(limits("destinations"), json!({"limit": 1, "used": 1, "source": "default"}));
    let wrong = ["tenants", "set-quota", "acme", "key=7"];
    assert!(scene.run(&wrong).refused(2).contains("events_per_second"));
}

/// Eight senders with batches of 1,000, as fast as they can: refused with the time to wait, while
/// another tenant's events are accepted.
#[test]
fn a_flood_of_batches_in_production_is_refused_and_another_tenant_is_served() {
    let scene = Scene::embedded();
    for tenant in ["acme", "globex"] {
        scene.tenant(tenant, "");
    }
    // A test build is slower than the default, so the quota is lower as well. Keys have no limit of
    // their own here: refusals are so quick that they would reach it.
    scene.settings(
        "[http]\nrequests_per_second = 0\n[quotas]\nevents_per_second = 2000\nburst = \"1s\"",
    );
    let server = scene.launch().for_customers().start();
    let key = |tenant: &str| {
        let made = scene.json(&["keys", "create", "--tenant", tenant, "--role", "publisher"]);
        made["secret"].as_str().expect("a key").to_owned()
    };
    let (flooding, healthy) = (key("acme"), key("globex"));
    let known = until(SOON, || {
        let answer = server.post_with(&healthy, "/v1/events", r#"{"type":"a.b","data":{}}"#);
        (answer.status == 202).then_some(())
    });
    known.expect("the keys are taken up");
    let began = Instant::now();
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let batch: Vec<_> =
                    (0..1_000).map(|n| json!({"type": "a.b", "data": {"n": n}})).collect();
                let batch = json!(batch).to_string();
                let bearer = format!("Bearer {flooding}");
                let headers = [("authorization", &*bearer), ("content-type", "application/json")];
                while began.elapsed() < Duration::from_secs(5) {
                    let answer =
                        request(server.address(), "POST", "/v1/events", &headers, batch.as_bytes());
                    let answer = answer.expect("fanfare answers");
                    match answer.status {
                        202 => _ = accepted.fetch_add(1_000, Ordering::Relaxed),
                        429 => {
                            assert!(answer.header("retry-after").is_some(), "{}", answer.head);
                            assert_eq!(answer.json()["error"]["code"], "quota_exceeded");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other}: {}", answer.body),
                    }
                }
            });
        }
        while began.elapsed() < Duration::from_secs(5) {
            let answer = server.post_with(&healthy, "/v1/events", r#"{"type":"a.b","data":{}}"#);
            assert_eq!(answer.status, 202, "{}", answer.body);
            thread::sleep(Duration::from_millis(50));
        }
    });
    let seconds = began.elapsed().as_secs() + 1;
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    // The burst, the rate, and a batch of each sender that finds the last token.
    let most = 2_000 + seconds * 2_000 + 8_000;
    assert!(refused > 0 && accepted <= most, "{accepted} of at most {most}, {refused} refused");
    let stored = until(SOON, || {
        let all = scene.json(&["audit", "--tenant", "acme"]);
        (all[0]["found"]["received"] == accepted).then_some(())
    });
    stored.expect("each accepted event is there");
}
