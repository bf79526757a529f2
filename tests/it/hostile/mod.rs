//! Inputs of hostile tenants, strangers and receivers, each beside a healthy tenant that must not
//! notice: 50 events a second arrive in time, and health checks answer at once.

mod beside;
mod client;
mod server;
mod templates;
mod tenants;

use std::time::Duration;

use serde_json::json;

use beside::Beside;

use crate::scene::Scene;
use crate::support::Peer;

const GRACE: Duration = Duration::from_secs(10);

/// What an attacker sends, by its number in the list of inputs.
type Attack = (&'static str, fn(&Beside));

fn withstands(beside: &Beside, attacks: &[Attack]) {
    for (what, attack) in attacks {
        beside.withstands(what, attack);
    }
}

#[test]
fn templates_and_schemas_do_not_stop_others() {
    let beside = Beside::start("grace = \"10s\"\n", |launch| launch);
    withstands(
        &beside,
        &[
            ("1, 2: deep drafts", templates::deep_drafts_are_refused),
            ("3: deep templates", templates::deep_templates_are_not_stored),
            ("4, 7: endless drafts", templates::endless_drafts_are_interrupted),
            ("5: endless templates", templates::endless_templates_end_the_delivery),
            ("6: exponential partials", templates::exponential_partials_are_refused),
            ("21: exponential schemas", templates::exponential_schemas_are_bounded),
        ],
    );
    beside.ends_within(GRACE);
}

#[test]
fn connections_bodies_and_floods_do_not_stop_others() {
    // The shell limits the files that the router may have open.
    let limited = ["sh", "-c", "ulimit -n 1024; exec \"$0\" \"$@\""];
    let beside = Beside::start("grace = \"10s\"\n", |launch| launch.behind(&limited));
    withstands(
        &beside,
        &[
            ("8: silent connections", server::connections_that_say_nothing),
            ("12: a flood", server::a_flood_of_batches),
            ("13: bodies of many items", server::bodies_of_many_small_items),
        ],
    );
    // Input 9: bodies that never end do not hold up the end.
    let _stalled = server::stalled_bodies(&beside, 20);
    beside.ends_within(GRACE);
}

#[test]
fn names_filters_and_polls_do_not_stop_others() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = silent.local_addr().expect("bound");
    let settings = format!("grace = \"10s\"\n[dns]\nservers = [\"{server}\"]\n");
    let beside = Beside::start(&settings, |launch| launch);
    withstands(
        &beside,
        &[
            // First of all: a poll waits only while its tenant has no events.
            ("20: long polls", server::a_thousand_long_polls),
            ("10: names without an answer", tenants::names_without_an_answer),
            ("11: wildcards", tenants::ten_thousand_wildcards),
        ],
    );
    beside.ends_within(GRACE);
}

#[test]
fn no_key_or_document_takes_more_than_it_may() {
    let relay = Peer::start("smtp_server.py", &[]);
    let settings = format!(
        "grace = \"10s\"\n[email]\nhost = \"127.0.0.1\"\nport = {}\nfrom = \"kyc@fanfare.example\"\n\
         security = \"none\"\n",
        relay.port()
    );
    let mut beside = Beside::start(&settings, |launch| launch);
    let key = json!({"role": "admin", "label": "test", "environment": "test"});
    let made = beside.as_("operator").post("/v1/tenants/mallory/keys", &key).is(201);
    let secret = made["data"]["key"].as_str().expect("a key").to_owned();
    beside.add_key("test-admin", secret);
    withstands(
        &beside,
        &[
            ("14: a test key", tenants::a_test_key_and_live_things),
            ("15: header secrets", tenants::a_header_secret_does_not_follow_a_changed_url),
            ("16: secrets in URLs", tenants::secrets_in_urls_are_masked),
            ("17: escape sequences", tenants::escape_sequences_are_shown),
            ("19: another bank's sender", tenants::a_sender_of_another_bank),
            ("22: duplicate keys", tenants::duplicate_keys_in_a_body),
            ("23: two names of a tenant", tenants::two_names_of_one_tenant),
            ("24: a reader's commit", tenants::a_reader_commits_nothing),
            ("25: hosts", tenants::hosts_that_are_none),
        ],
    );
    beside.ends_within(GRACE);
}

/// Input 18: a page in a developer's browser cannot use the router that runs beside it.
#[test]
fn a_web_page_cannot_use_a_router_in_development() {
    let scene = Scene::embedded();
    let router = scene.start();
    let client = client::Client::new(router.address(), "");
    let forged = [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")];
    let reply = client.send_with("POST", "/v1/tenants", &forged, "{\"id\": \"forged\"}");
    assert_eq!(reply.status, 403, "{}", reply.body);
    let rebound = client.with_host("evil.test").get("/v1/tenants");
    assert_eq!(rebound.status, 403, "{}", rebound.body);
    client.get("/v1/tenants").is(200);
}
