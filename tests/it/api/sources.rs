//! Producers that cannot shape their body: built-in sources, sources of the settings, compressed
//! bodies, and a real Alertmanager.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Api;
use crate::scene::{SOON, Scene};
use crate::support::{Process, bin, command, request, until};

const SETTINGS: &str = "[ingest.sources.github]\nsecret = 'gh-secret'\n\n\
    [ingest.sources.shop]\ntype = 'shop'\ntype_path = 'event.name'\nid_path = 'event.id'\n\
    created_path = 'event.time'\nevents_path = 'items'\nsignature_header = 'X-Shop-Signature'\n\
    secret = 'shop-secret'\n";

/// Sends bytes, and returns the status and the data or the error.
fn post(api: &Api, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let answer = request(api.server.address(), "POST", path, headers, body).expect("an answer");
    let json = answer.json();
    let part = if answer.status < 400 { &json["data"] } else { &json["error"] };
    (answer.status, part.clone())
}

/// The event as receivers get it.
fn stored(api: &Api, id: &str) -> Value {
    let found = until(SOON, || {
        let found = api.get(&format!("/v1/tenants/acme/events/{id}"));
        (found.answer.status == 200).then(|| found.is(200)["event"].clone())
    });
    found.unwrap_or_else(|| panic!("{id} is not stored"))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn hex_hmac(secret: &str, body: &[u8]) -> String {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[test]
fn compressed_bodies_are_accepted_and_bounded_after_decompression() {
    let api = Api::start();
    let event = |id: &str| json!({"id": id, "type": "a.b", "data": {"n": 1}}).to_string();
    let zstd = |text: &[u8]| compress_to_vec(text, CompressionLevel::Fastest);
    let path = "/v1/events?tenant=acme";
    let (status, sent) =
        post(&api, path, &[("content-encoding", "gzip")], &gzip(event("evt_gz").as_bytes()));
    assert_eq!((status, &sent["outcome"]), (202, &json!("accepted")), "{sent}");
    let (status, sent) =
        post(&api, path, &[("content-encoding", "zstd")], &zstd(event("evt_zs").as_bytes()));
    assert_eq!((status, &sent["outcome"]), (202, &json!("accepted")), "{sent}");
    assert_eq!(stored(&api, "evt_gz")["data"], stored(&api, "evt_zs")["data"]);

    // 64 MiB of zeros are a few KiB on the wire.
    let zeros = vec![0; 64 << 20];
    for (coding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let (status, error) = post(&api, path, &[("content-encoding", coding)], &body);
        assert_eq!((status, &error["code"]), (413, &json!("bad_body")), "{coding} {error}");
    }
    let (status, error) = post(&api, path, &[("content-encoding", "gzip")], b"{}");
    assert_eq!((status, &error["code"]), (422, &json!("bad_encoding")), "{error}");
    let (status, error) = post(&api, path, &[("content-encoding", "br")], b"{}");
    assert_eq!((status, &error["code"]), (415, &json!("unsupported_encoding")), "{error}");
    let json = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let (status, error) = post(&api, "/v1/tenants", &json, &gzip(b"{\"id\":\"x\"}"));
    assert_eq!((status, &error["code"]), (415, &json!("unsupported_encoding")), "{error}");
}

#[test]
fn the_batch_limit_holds_for_decompressed_batches() {
    let scene = Scene::embedded();
    scene.settings("[events]\nmax_batch = 2\n");
    let api = Api::on(scene);
    let lines = "{\"type\":\"a\",\"data\":{}}\n".repeat(3);
    let headers = [("content-type", "application/jsonl"), ("content-encoding", "gzip")];
    let (status, error) = post(&api, "/v1/events?tenant=acme", &headers, &gzip(lines.as_bytes()));
    assert_eq!((status, &error["code"]), (422, &json!("bad_batch")), "{error}");
    let batch = [("content-type", "application/cloudevents-batch+json")];
    let (status, error) = post(&api, "/v1/events?tenant=acme", &batch, b"[{},{},{}]");
    assert_eq!((status, &error["code"]), (422, &json!("bad_batch")), "{error}");
}

#[test]
fn cloud_events_are_accepted_in_all_forms_and_the_same_one_only_once() {
    let api = Api::start();
    let event = json!({
        "specversion": "1.0", "id": "A1", "source": "/shop", "type": "com.shop.order",
        "time": "2024-12-26T16:00:00Z", "data": {"n": 1},
    });
    let structured = [("content-type", "application/cloudevents+json")];
    let path = "/v1/events?tenant=acme";
    let (status, sent) = post(&api, path, &structured, event.to_string().as_bytes());
    assert_eq!((status, &sent["outcome"]), (202, &json!("accepted")), "{sent}");
    let kept = stored(&api, sent["id"].as_str().expect("an id"));
    assert_eq!(kept["type"], "com.shop.order");
    assert_eq!(kept["created"], 1_735_228_800);
    assert_eq!(kept["cloudevent"]["source"], "/shop");

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "A1"),
        ("ce-source", "/shop"),
        ("ce-type", "com.shop.order"),
        ("ce-time", "2024-12-26T16:00:00Z"),
    ];
    let source = "/v1/ingest/cloudevents?tenant=acme";
    let (status, again) = post(&api, source, &binary, br#"{"n":1}"#);
    assert_eq!((status, &again["outcome"]), (202, &json!("duplicate")), "{again}");
    assert_eq!(again["id"], sent["id"]);

    let batch = [("content-type", "application/cloudevents-batch+json")];
    let body = json!([event, {"specversion": "1.0"}]).to_string();
    let (status, several) = post(&api, source, &batch, body.as_bytes());
    assert_eq!(status, 202, "{several}");
    assert_eq!((&several["duplicates"], &several["refused"]), (&json!(1), &json!(1)));
}

#[test]
fn a_source_with_a_secret_accepts_signed_bodies_only() {
    let scene = Scene::embedded();
    scene.settings(SETTINGS);
    let api = Api::on(scene);
    let body = br#"{"action":"opened","number":17}"#;
    let signature = format!("sha256={}", hex_hmac("gh-secret", body));
    let headers = |signature: &'_ str| {
        [
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-github-event".to_owned(), "pull_request".to_owned()),
            ("x-github-delivery".to_owned(), "72d3162e-cc78-11e3".to_owned()),
            ("x-hub-signature-256".to_owned(), signature.to_owned()),
        ]
    };
    let send = |path: &str, signature: &str| {
        let headers = headers(signature);
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post(&api, path, &headers, body)
    };
    let github = "/v1/ingest/github?tenant=acme";
    let (status, sent) = send(github, &signature);
    assert_eq!((status, &sent["id"]), (202, &json!("72d3162e-cc78-11e3")), "{sent}");
    assert_eq!(stored(&api, "72d3162e-cc78-11e3")["type"], "github.pull_request.opened");
    let wrong = signature.replace(|c: char| c.is_ascii_digit(), "0");
    for bad in ["sha256=00", "", &wrong] {
        let (status, error) = send(github, bad);
        assert_eq!((status, &error["code"]), (401, &json!("bad_signature")), "{error}");
    }
    let (status, error) = send("/v1/ingest/githb?tenant=acme", &signature);
    assert_eq!((status, &error["code"]), (404, &json!("unknown_source")));
    assert!(error["message"].as_str().is_some_and(|text| text.contains("`github`")), "{error}");
}

#[test]
fn a_source_of_the_settings_maps_every_item_of_a_list() {
    let scene = Scene::embedded();
    scene.settings(SETTINGS);
    let api = Api::on(scene);
    let item = |id: u64| json!({"event": {"id": id, "name": "paid", "time": 1_735_228_800}});
    let body = json!({"items": [item(1), item(2), {"event": {}}]}).to_string();
    let signature = hex_hmac("shop-secret", body.as_bytes());
    let path = "/v1/ingest/shop?tenant=acme";
    let (status, sent) = post(&api, path, &[("x-shop-signature", &signature)], body.as_bytes());
    assert_eq!(status, 202, "{sent}");
    assert_eq!((&sent["accepted"], &sent["refused"]), (&json!(2), &json!(1)), "{sent}");
    let kept = stored(&api, "2");
    assert_eq!((&kept["type"], &kept["data"]), (&json!("shop.paid"), &item(2)));
}

#[test]
fn a_key_may_be_the_password_of_a_url_and_a_reader_may_not_send() {
    let api = Api::start();
    let [publisher, reader] = ["publisher", "reader"].map(|role| api.key("acme", role));
    let alert = json!({"status": "firing", "alerts": []}).to_string();
    let send = |key: &str| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("fanfare:{key}")));
        post(&api, "/v1/ingest/alertmanager", &[("authorization", &basic)], alert.as_bytes())
    };
    let (status, sent) = send(&publisher);
    assert_eq!(status, 202, "{sent}");
    assert_eq!(send(&reader).0, 403);
    assert_eq!(send("sk_live_wrong").0, 401);
}

#[test]
fn any_json_is_an_event_if_the_request_names_its_type() {
    let api = Api::start();
    let (status, sent) = post(&api, "/v1/events/?tenant=acme&type=app.log", &[], br#"{"n":1.10}"#);
    assert_eq!(status, 202, "{sent}");
    let id = sent["id"].as_str().expect("an id");
    assert_eq!(stored(&api, id)["type"], "app.log");
    let lines = [("content-type", "application/jsonl")];
    let (status, sent) =
        post(&api, "/v1/events?tenant=acme&type=app.log", &lines, b"{\"a\":1}\n{\"a\":2}\n3\n");
    assert_eq!(
        (status, &sent["accepted"], &sent["refused"]),
        (202, &json!(2), &json!(1)),
        "{sent}"
    );
}

/// Debian's Alertmanager, as operators run it.
#[test]
fn a_real_alertmanager_delivers_its_alerts() {
    let api = Api::start();
    let key = api.key("acme", "publisher");
    let url = api.server.url("/v1/ingest/alertmanager");
    let settings = format!(
        "route:\n  receiver: fanfare\n  group_wait: 1s\n  group_interval: 1s\n\
         receivers:\n  - name: fanfare\n    webhook_configs:\n      - url: {url}\n        \
         http_config:\n          authorization:\n            credentials: {key}\n"
    );
    let file = api.scene.file("alertmanager.yml", settings);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port");
    let mut run = command(&bin("prometheus-alertmanager"));
    run.args(["--config.file", &file, "--cluster.listen-address", ""]);
    run.args(["--web.listen-address", &port.to_string()]);
    run.args(["--storage.path", &api.scene.path("alertmanager").display().to_string()]);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Process::spawn(run);

    let alerts = json!([{"labels": {"alertname": "DiskFull", "host": "a"}}]).to_string();
    let json = [("content-type", "application/json")];
    let taken = until(SOON, || {
        let answer = request(port, "POST", "/api/v2/alerts", &json, alerts.as_bytes()).ok()?;
        (answer.status == 200).then_some(())
    });
    taken.expect("Alertmanager takes an alert");
    let event = until(SOON, || {
        let page = api.get("/v1/tenants/acme/events?type=alertmanager.firing").is(200);
        page["data"][0]["id"].as_str().map(str::to_owned)
    });
    let event = stored(&api, &event.expect("the alert becomes an event"));
    assert_eq!(event["data"]["alerts"][0]["labels"]["alertname"], "DiskFull");
    assert_eq!(event["data"]["receiver"], "fanfare");
}
