//! The OpenAPI document: complete, true, and readable in a browser without other hosts.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Api, webhook};
use crate::scene::Scene;
use crate::support::{Process, command, python};

#[test]
fn every_operation_and_every_response_is_described() {
    let api = Api::start();
    let document = api.server.get("/openapi.json").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let what = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{what}: no id"));
            assert!(ids.insert(id.to_owned()), "{what}: the id {id} stands twice");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{what}");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{what}");
            for (status, answer) in operation["responses"].as_object().expect("answers") {
                let answer = resolved(&document, answer);
                assert!(
                    answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{what} {status}"
                );
                // A stream of lines and an answer without a body have no example.
                if let Some(content) = answer.pointer("/content/application~1json") {
                    assert!(content.get("example").is_some(), "{what} {status}");
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(&document, parameter);
                assert!(parameter["description"].is_string(), "{what}: {parameter}");
            }
        }
    }
}

/// A part of the document, or what it refers to.
fn resolved<'d>(document: &'d Value, part: &'d Value) -> &'d Value {
    let place = part["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.map_or(part, |place| document.pointer(place).expect("what is referred to"))
}

#[test]
fn the_documentation_loads_nothing_from_other_hosts() {
    let api = Api::start();
    let page = api.server.get("/docs/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
    let asked: Vec<&str> = page
        .body
        .split(['"', '\''])
        .filter(|text| [".js", ".css"].iter().any(|end| text.ends_with(end)))
        .collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for name in asked {
        assert!(!name.contains("//"), "{name}");
        let file = api.server.get(&format!("/docs/{}", name.trim_start_matches("./")));
        assert_eq!(file.status, 200, "{name}");
    }
    let start = api.server.get("/docs/swagger-initializer.js").body;
    assert!(start.contains("/openapi.json") && !start.contains("https://"), "{start}");
    assert_eq!(api.server.get("/docs/../openapi.json").status, 404);
}

/// Everything that schemathesis finds by itself: faults of the server, and answers that are not as
/// described.
#[test]
fn schemathesis_finds_no_server_error_and_no_undocumented_response() {
    let scene = Scene::embedded();
    scene.settings("[http]\nrequests_per_second = 0\n");
    let api = Api::on(scene);
    api.put("/v1/tenants/acme/destinations/hooks", &webhook("http://127.0.0.1:9/")).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["hooks"]})).is(201);
    api.put("/v1/event-types/kyc.session.created", &json!({"description": "x"})).is(201);
    let event = json!({"id": "evt_1", "type": "kyc.session.created", "data": {}});
    api.post("/v1/events?tenant=acme", &event).is(202);
    let operator = api.post("/v1/keys", &json!({"role": "operator"})).is(201);
    let key = operator["key"].as_str().expect("shown once").to_owned();

    let settings = api.scene.file("schemathesis.toml", SETTINGS);
    let report = api.scene.path("report");
    let mut run = command(&python());
    run.args(["-m", "schemathesis.cli"]).args(["--config-file", &settings, "run"]);
    run.arg(api.server.url("/openapi.json"));
    run.args(["--header", &format!("Authorization: Bearer {key}")]);
    run.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"]);
    run.args(["--max-examples", "12", "--phases", "examples,coverage,fuzzing", "--workers", "1"]);
    run.args(["--no-color", "--generation-deterministic", "--suppress-health-check", "all"]);
    run.current_dir(report.parent().expect("a folder"));
    run.env("PYTHONDONTWRITEBYTECODE", "1").env("HYPOTHESIS_STORAGE_DIRECTORY", &report);
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Process::spawn(run).output();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let healthy: Value = api.server.get("/readyz").json();
    assert_eq!(healthy["status"], "success");
}

/// Most requests are about the tenant that is there.
const SETTINGS: &str = "[parameters]\n\"path.tenant\" = \"acme\"\n";
