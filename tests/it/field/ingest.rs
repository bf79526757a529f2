//! What producers send: broken, decorated, and in other line ends.

use fanfare_receivers::Reply;
use serde_json::{Value, json};

use crate::api::{Api, webhook};
use crate::crash::Counter;
use crate::scene::{SOON, Scene};
use crate::support::request;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// Sends bytes as they are. Returns the status and the answer.
fn send(api: &Api, content_type: &str, body: &[u8]) -> (u16, Value) {
    let headers = [("content-type", content_type)];
    let path = "/v1/events?tenant=acme";
    let answer = request(api.server.address(), "POST", path, &headers, body);
    let answer = answer.expect("fanfare answers");
    (answer.status, answer.json())
}

fn code(api: &Api, body: &[u8]) -> String {
    let (status, answer) = send(api, JSON, body);
    assert_eq!(status, 422, "{answer}");
    answer["error"]["code"].as_str().expect("a code").to_owned()
}

/// Cases i1 and i2.
#[test]
fn broken_json_and_a_byte_order_mark_are_named() {
    let api = Api::start();
    for body in [r#"{"type":"t","data":{"v":[1,}}"#, r#"{"type":"t","data":{"v":NaN}}"#] {
        assert_eq!(code(&api, body.as_bytes()), "not_json", "{body}");
    }
    let marked = b"\xef\xbb\xbf{\"type\":\"t\",\"data\":{}}";
    let (status, answer) = send(&api, JSON, marked);
    assert_eq!((status, &answer["error"]["code"]), (422, &json!("not_json")));
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("byte order mark"), "{message}");
    let path = "/v1/tenants/acme/routes";
    let body = b"\xef\xbb\xbf{\"events\":[\"a\"],\"to\":[\"b\"]}";
    let answer = request(api.server.address(), "POST", path, &[("content-type", JSON)], body);
    let answer = answer.expect("fanfare answers");
    assert!(answer.body.contains("byte order mark"), "{}", answer.body);
}

/// Cases i3 and i4: what is signed and sent is what the producer wrote.
#[test]
fn the_receiver_gets_the_producers_bytes_without_line_ends() {
    let api = Api::start();
    let receiver = Counter::start(|_| Reply::Status(200));
    api.put("/v1/tenants/acme/destinations/hooks", &webhook(&receiver.url())).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["t"], "to": ["hooks"]})).is(201);
    let lines = [
        r#"{"id":"evt_1","type":"t","created":7,"data":{}}"#,
        r#" { "id":"evt_2", "type":"t", "created":7, "data":{} } "#,
    ];
    let (status, answer) = send(&api, NDJSON, format!("{}\r\n", lines.join("\r\n")).as_bytes());
    assert_eq!(status, 202, "{answer}");
    let (status, _) = send(&api, JSON, b"{  \"type\": \"t\", \"created\": 7, \"data\": {}}");
    assert_eq!(status, 202);
    receiver.wait_for(3, SOON);
    assert_eq!(receiver.bodies("evt_1"), [lines[0].as_bytes()]);
    assert_eq!(receiver.bodies("evt_2"), [lines[1].as_bytes()]);
    let id = receiver.ids().into_iter().find(|id| !["evt_1", "evt_2"].contains(&&**id));
    let id = id.expect("the third");
    let expected = format!("{{\"id\":\"{id}\",  \"type\": \"t\", \"created\": 7, \"data\": {{}}}}");
    assert_eq!(receiver.bodies(&id), [expected.as_bytes()]);
}

/// Case i3, for the command line.
#[test]
fn send_reads_files_with_any_line_ends() {
    let receiver = Counter::start(|_| Reply::Status(200));
    let scene = Scene::embedded();
    scene.tenant("acme", &receiver.table());
    let _router = scene.start();
    let line = |id: &str| format!(r#"{{"id":"{id}","type":"t","created":7,"data":{{}}}}"#);
    let file =
        scene.file("windows.ndjson", format!("{}\r\n\r\n{}\r\n", line("evt_1"), line("evt_2")));
    scene.run(&["send", "--tenant", "acme", &file]).ok();
    receiver.wait_for(2, SOON);
    assert_eq!(receiver.bodies("evt_1"), [line("evt_1").as_bytes()]);
    let broken = format!("[{}, {{\"type\":}}, {}]", line("evt_3"), line("evt_4"));
    let file = scene.file("broken.json", broken);
    let said = scene.run(&["send", "--tenant", "acme", &file]);
    assert_eq!(said.code, Some(1), "{said:?}");
    receiver.wait_for(4, SOON);
}

/// Case i6.
#[test]
fn one_broken_event_of_a_batch_has_its_own_answer() {
    let api = Api::start();
    let good = r#"{"id":"evt_1","type":"t","data":{}}"#;
    for (bad, code) in [
        (&b"{\"type\":\"t\",\"data\":{\"v\":\"a\0b\"}}"[..], "not_json"),
        (b"{\"type\":\"t\",\"data\":{\"v\":\"\xff\"}}", "not_utf8"),
        (b"{\"type\":\"t\",\"data\":{\"v\":NaN}}", "not_json"),
        (b"", "not_json"),
    ] {
        let array = [b"[", bad, b",", good.as_bytes(), b"]"].concat();
        let wrapped = [b"{\"events\":", &array[..], b"}"].concat();
        let lines = [bad, b"\n", good.as_bytes(), b"\n"].concat();
        for (content_type, body) in [(JSON, array), (JSON, wrapped), (NDJSON, lines)] {
            if content_type == NDJSON && bad.is_empty() {
                continue;
            }
            let (status, answer) = send(&api, content_type, &body);
            assert_eq!(status, 202, "{answer}");
            let events = &answer["data"]["events"];
            assert_eq!(events[0]["error"]["code"], code, "{answer}");
            assert_eq!(events[1]["id"], "evt_1", "{answer}");
        }
    }
    // Where the brackets do not match, one event cannot be separated from the others.
    assert_eq!(code(&api, format!("[{good}, {good}").as_bytes()), "not_json");
}
