//! Other people's tools: linters of OpenAPI documents, and clients that they generate.

use serde_json::{Value, json};

use super::Api;
use crate::support::{request, run_peer};

/// Largest description in bytes, before compression.
const MOST_BYTES: usize = 180_000;

/// The description in a file, and the URL of the server that it describes.
fn described(api: &Api) -> (String, String) {
    let body = api.server.get("/openapi.json").body;
    (api.scene.file("openapi.json", body), api.server.url(""))
}

/// Has a client generated, compiled and run. Returns what it saw.
fn journey(script: &str) -> Value {
    let api = Api::start();
    let (file, url) = described(&api);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let mut said = run_peer(script, &[&file, url.trim_end_matches('/'), &folder]);
    assert_eq!(said["problems"], json!([]), "{said}");
    said["saw"].take()
}

#[test]
fn the_description_is_small_and_compressed_on_request() {
    let api = Api::start();
    let plain = api.server.get("/openapi.json").body;
    assert!(plain.len() <= MOST_BYTES, "{} bytes", plain.len());
    let headers = [("accept-encoding", "gzip")];
    let address = api.server.address();
    let packed = request(address, "GET", "/openapi.json", &headers, b"").expect("an answer");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
}

#[test]
fn redocly_and_spectral_report_nothing() {
    let api = Api::start();
    let (file, _) = described(&api);
    let problems = run_peer("lint_openapi.mjs", &[&file]);
    assert_eq!(problems, json!([]), "{problems:#}");
}

#[test]
fn a_generated_typescript_client_compiles_strictly_and_makes_the_journey() {
    let saw = journey("typescript_client.mjs");
    let expected = json!({
        "tenant": "journey", "box": "poll", "url": "https://hooks.acme.example/kyc",
        "route": ["box"], "sent": 202, "state": "delivered", "error": "unknown_tenant",
    });
    assert_eq!(saw, expected);
}

#[test]
fn a_generated_python_client_compiles_and_makes_the_journey() {
    let saw = journey("python_client.py");
    let expected = json!({
        "tenant": "python", "destination": 201, "route": ["box"], "sent": 202,
        "state": "delivered",
    });
    assert_eq!(saw, expected);
}
