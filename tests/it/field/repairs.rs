//! What a person repairs works at once: over the API, the command line and tenant files, on every
//! server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fanfare_receivers::{Reply, SmtpReceiver, SmtpReply, Stage};
use serde_json::{Value, json};

use super::table;
use crate::api::{Api, webhook};
use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Redis, request, until};

/// Far less than the two hours that the receiver asks for, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Asks for two hours until it is switched.
struct Busy {
    receiver: Counter,
    is_back: Arc<AtomicBool>,
}

impl Busy {
    fn start() -> Self {
        let is_back = Arc::new(AtomicBool::new(false));
        let back = is_back.clone();
        let receiver = Counter::start(move |_| {
            if back.load(Ordering::SeqCst) {
                return Reply::Status(200);
            }
            let headers = vec![("retry-after".to_owned(), "7200".to_owned())];
            Reply::Full { status: 503, headers, body: bytes::Bytes::new() }
        });
        Self { receiver, is_back }
    }

    fn is_back(&self) {
        self.is_back.store(true, Ordering::SeqCst);
    }
}

fn send(api: &Api, id: &str) {
    let event = json!({"id": id, "type": "test.one", "created": 7, "data": {}});
    api.post("/v1/events?tenant=acme", &event).is(202);
}

/// Two events for a receiver that asks for two hours.
fn held(api: &Api) -> Busy {
    let busy = Busy::start();
    api.put("/v1/tenants/acme/destinations/hooks", &webhook(&busy.receiver.url())).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["test.**"], "to": ["hooks"]})).is(201);
    send(api, "evt_1");
    until(SOON, || (busy.receiver.requests() >= 1).then_some(())).expect("the first request");
    until(SOON, || (shown(api)["state"] == "held").then_some(())).expect("it is held");
    send(api, "evt_2");
    busy
}

fn shown(api: &Api) -> Value {
    api.get("/v1/tenants/acme/destinations/hooks").is(200)
}

/// Case w2.
#[test]
fn a_changed_url_gets_what_waits_for_the_old_one() {
    Api::over_both(|api| {
        let busy = held(api);
        let other = Counter::start(|_| Reply::Status(200));
        let began = Instant::now();
        let settings =
            json!({"settings": {"url": other.url(), "secret": crate::verifiers::SECRET}});
        api.patch("/v1/tenants/acme/destinations/hooks", &settings).is(200);
        send(api, "evt_3");
        other.wait_for(3, AT_ONCE);
        assert!(began.elapsed() < AT_ONCE);
        assert_eq!(shown(api)["state"], "active");
        assert_eq!(busy.receiver.distinct(), 1, "nothing more was sent to the old URL");
    });
}

#[test]
fn enabling_resuming_recovering_and_a_successful_test_lift_a_hold() {
    for action in ["enable", "resume", "recover", "test"] {
        let api = Api::start();
        let busy = held(&api);
        busy.is_back();
        if action == "resume" {
            api.post("/v1/tenants/acme/destinations/hooks/pause", &json!({})).is(200);
            assert_eq!(shown(&api)["state"], "paused");
        }
        api.post(&format!("/v1/tenants/acme/destinations/hooks/{action}"), &json!({})).is(200);
        until(AT_ONCE, || {
            let ids = busy.receiver.ids();
            ["evt_1", "evt_2"].iter().all(|id| ids.contains(*id)).then_some(())
        })
        .unwrap_or_else(|| panic!("{action}: {:?}", busy.receiver.ids()));
        until(AT_ONCE, || (shown(&api)["state"] == "active").then_some(())).expect(action);
    }
}

#[test]
fn what_holds_a_destination_back_is_shown_with_its_end() {
    Api::over_both(|api| {
        let _busy = held(api);
        let shown = shown(api);
        let held = &shown["held"];
        assert_eq!((&held["reason"], &held["code"]), (&json!("retry_after"), &json!("http_503")));
        let listed = api.get("/v1/tenants/acme/destinations").is(200);
        assert_eq!(listed["data"][0]["state"], "held");
        let lane = &listed["data"][0]["lanes"][0];
        assert_eq!(lane["held"]["reason"], "retry_after", "{listed}");
        let until_ms = lane["held"]["until_ms"].as_i64().expect("a time");
        let now_ms = chrono::Utc::now().timestamp_millis();
        assert!((7_000_000..7_300_000).contains(&(until_ms - now_ms)), "{until_ms}");
        let said = api.scene.run(&["destinations", "list", "--tenant", "acme"]).ok();
        assert!(said.contains("held until") && said.contains("(retry_after)"), "{said}");
        // The tenant can route a notice of it.
        let notices = || api.get("/v1/tenants/acme/events?type=fanfare.destination.held").is(200);
        let found = until(SOON, || {
            let found = notices();
            (found["data"].as_array()?.len() == 1).then_some(found)
        });
        found.unwrap_or_else(|| panic!("{}", notices()));
    });
}

#[test]
fn a_repair_on_one_server_lifts_the_holds_of_another() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let busy = Busy::start();
    scene.tenant("acme", &table(&busy.receiver.url(), r#"["1h"]"#, ""));
    let servers = [scene.start(), scene.start()];
    // Each server learns that the receiver asks for a pause.
    for (nth, server) in servers.iter().enumerate() {
        for n in 0..4 {
            let body = event(&format!("evt_{nth}_{n}"), "test.one", &json!({}));
            let headers = [("content-type", "application/json")];
            let path = "/v1/events?tenant=acme";
            let answer = request(server.address(), "POST", path, &headers, body.as_bytes());
            assert_eq!(answer.expect("it answers").status, 202);
        }
    }
    until(SOON, || (busy.receiver.requests() >= 1).then_some(())).expect("the first request");
    until(SOON, || {
        let waiting = scene.deliveries("acme");
        (waiting.len() == 8 && waiting.iter().all(|one| one["state"] == "waiting")).then_some(())
    })
    .expect("all of them wait");
    busy.is_back();
    let path = "/v1/tenants/acme/destinations/hooks/enable";
    let headers = [("content-type", "application/json")];
    let answer = request(servers[0].address(), "POST", path, &headers, b"{}");
    assert_eq!(answer.expect("it answers").status, 200);
    busy.receiver.wait_for(8, AT_ONCE);
    until(SOON, || {
        let found = scene.deliveries("acme");
        found.iter().all(|one| one["state"] == "delivered").then_some(())
    })
    .unwrap_or_else(|| panic!("{:#?}", scene.deliveries("acme")));
}

/// Case e1: the address in the file was wrong, and is corrected.
#[test]
fn a_replay_reaches_the_present_recipients() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("one");
    let smtp = runtime.block_on(SmtpReceiver::start(|stage, mail, _| match stage {
        Stage::Rcpt if mail.contains("old@") => SmtpReply::Code(550, "5.1.1 no such user".into()),
        _ => SmtpReply::Ok,
    }));
    let smtp = smtp.expect("a mail server");
    let scene = Scene::embedded();
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         from = \"kyc@acme.example\"\n",
        smtp.addr().port()
    ));
    let to = |address: &str| {
        format!(
            "[[destination]]\nid = \"mail\"\nchannel = \"email\"\nto = [\"{address}@acme.example\"]\n\
             [[route]]\nevents = [\"test.**\"]\nto = [\"mail\"]\n"
        )
    };
    scene.tenant("acme", &to("old"));
    let router = scene.start();
    let events: Vec<String> =
        (0..5).map(|n| event(&format!("evt_{n}"), "test.one", &json!({}))).collect();
    scene.send("acme", &events).ok();
    let ended = until(SOON, || {
        let found = scene.deliveries("acme");
        let ended = |one: &Value| one["state"] == "dead" || one["state"] == "suppressed";
        (found.len() == 5 && found.iter().all(ended)).then_some(())
    });
    ended.expect("all of them are refused");
    scene.tenant("acme", &to("new"));
    until(SOON, || {
        let listed = scene.json(&["destinations", "list", "--tenant", "acme"]);
        listed["data"][0]["lanes"][0]["to"].as_str()?.starts_with('n').then_some(())
    })
    .expect("the file is read");
    let which = ["--tenant", "acme", "--destination", "mail", "--since", "1h"];
    let replayed = scene.json(&[&["replay"][..], &which].concat());
    assert_eq!(replayed, json!({"replayed": 5}));
    let mails = runtime.block_on(smtp.wait_for(5, SOON));
    assert_eq!(mails.len(), 5);
    until(SOON, || {
        let found = scene.deliveries("acme");
        (found.iter().filter(|one| one["state"] == "delivered").count() == 5).then_some(())
    })
    .expect("they are delivered");

    // Once they have it, nothing is left to replay, and the command says why.
    let said = scene.run(&[&["replay"][..], &which].concat());
    assert!(said.err.contains("5 were not replayed"), "{said:?}");
    assert_eq!(smtp.count(), 5);
    let one = scene.run(&["replay", "--tenant", "acme", &first_dead(&scene)]);
    assert!(one.refused(1).contains("removed"));
    drop(router);
}

fn first_dead(scene: &Scene) -> String {
    let found = scene.deliveries("acme").into_iter().find(|one| one["state"] != "delivered");
    found.expect("the old ones stay")["id"].as_str().expect("an id").to_owned()
}
