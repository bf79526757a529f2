//! Pictures of the dashboard, for the documentation and to look at.
//!
//! `FANFARE_PICTURES=docs/images` renews those of the documentation, and `FANFARE_ALL_PICTURES`
//! names a folder for every page, wide and narrow, in light and dark.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use fanfare_harness::programs::workspace;
use fanfare_receivers::Reply;
use serde_json::Value;
use tempfile::TempDir;

use super::start;
use crate::crash::Counter;
use crate::scene::{SOON, Scene};
use crate::support::{bin, run_peer, until};

/// Largest picture of the documentation.
const PICTURE_BYTES: u64 = 200 * 1024;

fn answers(status: u16, header: Option<(&str, &str)>, body: &'static str) -> Counter {
    let headers: Vec<_> =
        header.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Counter::start(move |_| Reply::Full { status, headers: headers.clone(), body: body.into() })
}

/// A bank with one receiver of each kind: well, busy, failing, and gone.
fn bank(scene: &Scene, receivers: &[Counter; 4]) {
    let [well, busy, fails, gone] = receivers.each_ref().map(Counter::url);
    let secret = crate::verifiers::SECRET;
    scene.tenant(
        "acme",
        &format!(
            r#"
            name = "Acme Bank"

            [[destination]]
            id = "backoffice"
            channel = "webhook"
            url = "{well}"
            secret = "{secret}"

            [[destination]]
            id = "crm"
            channel = "webhook"
            url = "{busy}"
            secret = "{secret}"
            rate = "20/s"

            [[destination]]
            id = "archive"
            channel = "webhook"
            url = "{fails}"
            secret = "{secret}"
            retry = []

            [[destination]]
            id = "legacy"
            channel = "webhook"
            url = "{gone}"
            secret = "{secret}"

            [[destination]]
            id = "support"
            channel = "slack"
            url = "{well}"

            [[destination]]
            id = "compliance-daily"
            channel = "email"
            to = ["compliance@acme.example", "mlro@acme.example"]
            digest = {{ schedule = "0 8 * * 1-5", timezone = "Europe/Madrid" }}

            [[route]]
            id = "everything"
            name = "everything"
            events = ["kyc.session.*", "kyc.watchlist.*", "kyc.job.*"]
            to = ["backoffice"]

            [[route]]
            id = "reviews"
            name = "manual reviews"
            events = ["kyc.session.manual_review"]
            to = ["support"]

            [[route]]
            id = "risky"
            name = "risky sessions"
            events = ["kyc.session.processed"]
            when = {{ data = {{ risk_score = [{{ numeric = [">=", 70] }}], final_decision = [{{ anything-but = ["approved"] }}] }} }}
            to = ["support", "archive"]

            [[route]]
            id = "approved"
            name = "approved to CRM"
            events = ["kyc.session.processed"]
            when = {{ data = {{ final_decision = ["approved"] }} }}
            to = ["crm"]

            [[route]]
            id = "old-system"
            name = "old system"
            events = ["kyc.session.created"]
            to = ["legacy"]

            [[route]]
            id = "compliance"
            name = "compliance"
            events = ["kyc.**"]
            to = ["compliance-daily"]
            "#
        ),
    );
}

/// The sample events, several times over.
fn send_samples(scene: &Scene) {
    let samples = fs::read_to_string(workspace().join("config/samples/kyc.ndjson"));
    let samples = samples.expect("the sample events");
    for round in (0..6).rev() {
        let lines = samples.lines().map(|line| {
            let mut event: Value = serde_json::from_str(line).expect("a sample is JSON");
            event.as_object_mut().expect("an object").remove("created");
            if round > 0 {
                let id = format!("{}_{round}", event["id"].as_str().expect("an id"));
                event["id"] = id.into();
            }
            event.to_string()
        });
        scene.send("acme", &lines.collect::<Vec<_>>()).ok();
    }
}

fn describe_types(scene: &Scene) {
    for (kind, description) in [
        ("kyc.session.created", "A session was opened for a customer."),
        ("kyc.session.processed", "All checks are done, with a decision."),
        ("kyc.session.manual_review", "A reviewer has to decide."),
        ("kyc.watchlist.match_found", "A monitored person matches a list."),
    ] {
        scene.run(&["types", "put", kind, "--description", description]).ok();
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder of pictures");
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_documentation_shows_pictures_of_the_pages_as_they_are() {
    let scene = Scene::embedded();
    let receivers = [
        answers(200, None, "ok"),
        answers(503, Some(("retry-after", "1200")), "deploying, try again soon"),
        answers(500, None, "the disk is full"),
        answers(410, None, "gone"),
    ];
    bank(&scene, &receivers);
    let server = start(&scene);
    describe_types(&scene);
    send_samples(&scene);
    let settled = until(SOON, || {
        let deliveries = scene.deliveries("acme");
        let has = |to: &str, state: &str| {
            let is = |one: &&Value| one["destination"] == to && one["state"] == state;
            deliveries.iter().filter(is).count()
        };
        (has("archive", "dead") == 6 && has("legacy", "suppressed") > 0).then_some(())
    });
    settled.expect("every receiver has answered");
    let made = scene.json(&["keys", "create", "--role", "operator"]);
    let key = made["secret"].as_str().expect("a key");

    let temporary = TempDir::new().expect("a temporary folder");
    let renewed = env::var_os("FANFARE_PICTURES").map(|name| workspace().join(name));
    let folder = renewed.unwrap_or_else(|| temporary.path().to_owned());
    let take = |folder: &Path, which: &str| {
        fs::create_dir_all(folder).expect("a folder for pictures");
        let browser = bin("chromium").display().to_string();
        let folder = folder.display().to_string();
        run_peer("dashboard/gallery.mjs", &[&browser, &server.url(""), key, &folder, which])
    };
    take(&folder, "docs");
    if let Some(all) = env::var_os("FANFARE_ALL_PICTURES") {
        take(&PathBuf::from(all), "all");
    }

    let documented = workspace().join("docs/images");
    assert_eq!(names(&folder), names(&documented), "renew them with FANFARE_PICTURES=docs/images");
    let page = fs::read_to_string(workspace().join("docs/dashboard.md")).expect("the page");
    for name in names(&documented) {
        let bytes = fs::metadata(documented.join(&name)).expect("a picture").len();
        assert!(bytes <= PICTURE_BYTES, "{name} has {bytes} bytes");
        assert!(page.contains(&format!("images/{name}")), "docs/dashboard.md does not show {name}");
    }
    drop(receivers);
}
