//! Secrets: stored encrypted, refused without their key, and absent from everything that is
//! written.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::scene::{SOON, Scene, event, hooks_at, said};
use crate::support::{Peer, Redis, until};
use crate::verifiers::SECRET;

/// Secrets that look like nothing else, and are therefore found wherever they are.
const PASSWORD: &str = "Pa55-of-the-URL";
const QUERY: &str = "Qu3ry-of-the-URL";
const USER: &str = "sk_live_User-of-the-URL";
const TOKEN: &str = "T0ken-of-the-header";
const PREVIOUS: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const SLACK_URL: &str = "T0SECRET/B0SECRET/x0x0SecretOfSlack";
const BOT: &str = "xoxb-1234567890-SecretOfTheBot";
const INGEST: &str = "Ingest-key-0123456789";
const METRICS: &str = "Metrics-key-0123456789";
const MAIL: &str = "Mail-password-0123456789";

fn new_key() -> String {
    let key = said(&["secrets", "new-key"]).ok().trim_end().to_owned();
    assert_eq!(key.len(), 44, "32 bytes in base64");
    key
}

/// A tenant with every kind of secret; its one receiver takes everything.
fn secretive(hook: &Peer) -> String {
    let url = hook.url("/hooks").replace("http://", &format!("http://{USER}:{PASSWORD}@"));
    let url = format!("{url}?token={QUERY}");
    format!(
        r#"
        [[destination]]
        id = "hooks"
        channel = "webhook"
        url = "{url}"
        secret = "{SECRET}"
        headers = {{ x-token = "{TOKEN}" }}
        [[destination]]
        id = "dead"
        channel = "webhook"
        url = "http://127.0.0.1:9/?key={PASSWORD}"
        secret = "{SECRET}"
        retry = []
        [[destination]]
        id = "older"
        channel = "webhook"
        url = "{url}"
        secret = "{SECRET}"
        previous_secrets = [{{ secret = "{PREVIOUS}", expires = 4102444800 }}]
        paused = true
        [[destination]]
        id = "chat"
        channel = "slack"
        url = "https://hooks.slack.com/services/{SLACK_URL}"
        paused = true
        [[destination]]
        id = "bot"
        channel = "slack"
        token = "{BOT}"
        slack_channel = "C0123ABCD"
        paused = true
        [[route]]
        events = ["**"]
        to = ["hooks", "dead", "older", "chat", "bot"]
        "#
    )
}

/// Every file under a folder, with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

fn has(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// All that a run of everything writes, by where.
fn run_everything(scene: &Scene, master: &str, store: impl Fn() -> Vec<(String, Vec<u8>)>) {
    let hook = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let key_file = scene.file("keys", master);
    scene.settings(&format!(
        "[secrets]\nkey_file = \"{key_file}\"\n[ingest]\nkey = \"{INGEST}\"\n[metrics]\nkey = \"{METRICS}\"\nper_tenant = true\n\
         [email]\nusername = \"u\"\npassword = \"{MAIL}\""
    ));
    scene.tenant("acme", &secretive(&hook));
    let server = scene.launch().arg("--log").arg("trace").start();
    let made = ["operator", "admin", "publisher", "reader"].map(|role| {
        let mut args = vec!["keys", "create", "--role", role];
        if role != "operator" {
            args.extend(["--tenant", "acme"]);
        }
        scene.json(&args)["secret"].as_str().expect("a key").to_owned()
    });
    let portal = scene.json(&["keys", "portal", "--tenant", "acme"]);
    let portal = portal["secret"].as_str().expect("a key").to_owned();
    for (n, key) in made.iter().chain([&portal, &INGEST.to_owned()]).enumerate() {
        let body = event(&format!("evt_{n}"), "a.b", &json!({}));
        until(SOON, || {
            let answer = server.post_with(key, "/v1/events?tenant=acme", &body);
            (answer.status != 401).then_some(())
        })
        .expect("the key is taken up");
    }
    server.post_with("sk_live_wrong", "/v1/events?tenant=acme", "{}");
    until(SOON, || {
        let deliveries = scene.deliveries("acme");
        let ended = |state: &str| deliveries.iter().filter(|d| d["state"] == state).count();
        (ended("delivered") >= 5 && ended("dead") >= 1).then_some(())
    })
    .expect("what can be delivered is, the rest dies");

    let mut written = store();
    let mut said = |name: &str, args: &[&str]| {
        let said = scene.run(args);
        written.push((name.to_owned(), [said.out, said.err].concat().into_bytes()));
    };
    let (tenants, json) = (scene.tenants().display().to_string(), ["--json"]);
    for args in [
        &["events", "--tenant", "acme"][..],
        &["events", "--tenant", "acme", "evt_0"],
        &["deliveries", "--tenant", "acme"],
        &["destinations", "list", "--tenant", "acme"],
        &["destinations", "get", "--tenant", "acme", "hooks"],
        &["destinations", "update", "--development", "--tenant", "acme", "older", "rate=5/s"],
        &["notification-channels", "get", "--tenant", "acme"],
        &["changes", "--tenant", "acme"],
        &["audit", "--tenant", "acme"],
        &["keys", "list"],
        &["secrets", "status"],
        &["apply", "--development", "--dry-run", &tenants],
        &["check", "--development", &tenants],
    ] {
        said(&args.join(" "), args);
        said(&args.join(" "), &[args, &json].concat());
    }
    let metrics = server.get_with(METRICS, "/metrics");
    assert_eq!(metrics.status, 200);
    written.push(("the numbers".to_owned(), metrics.body.into_bytes()));
    written.push(("the log".to_owned(), server.stderr().into_bytes()));
    written.push(("standard output".to_owned(), server.stdout().into_bytes()));
    drop(server);
    written.extend(store());

    let webhooks = SECRET.trim_start_matches("whsec_");
    let fixed = [
        webhooks,
        &PREVIOUS[6..],
        PASSWORD,
        QUERY,
        USER,
        TOKEN,
        SLACK_URL,
        BOT,
        INGEST,
        METRICS,
        MAIL,
    ];
    let secrets = fixed.into_iter().chain(made.iter().map(|key| &key[12..53])).chain([master]);
    let mut searched = 0;
    for secret in secrets.chain([&portal[12..53]]) {
        for (place, bytes) in &written {
            assert!(!has(bytes, secret), "{secret} is in {place}");
            searched += bytes.len();
        }
    }
    assert!(searched > 500_000, "there was something to search: {searched}");
    let all: Vec<u8> = written.into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert!(has(&all, "$sealed") && has(&all, "evt_0"), "the store was searched");
}

#[test]
fn no_secret_is_in_an_embedded_store_or_in_any_output() {
    let scene = Scene::embedded();
    let store = scene.store().to_owned();
    run_everything(&scene, &new_key(), || files(Path::new(&store)));
}

#[test]
fn no_secret_is_in_redis_or_in_any_output() {
    // What it appends to its file is all that it was ever told.
    let redis = Redis::start_durable();
    let scene = Scene::on(&redis);
    run_everything(&scene, &new_key(), || files(redis.dir()));
}

#[test]
fn a_server_with_the_wrong_master_key_does_not_start_and_names_the_right_one() {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let (right, wrong) = (new_key(), new_key());
        scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
        let with = |key: &str| scene.launch().env("FANFARE_MASTER_KEY", key);
        drop(with(&right).start());
        let told = with(&wrong).refused();
        assert!(told.contains("are encrypted with master key"), "{told}");
        assert!(!told.contains(&right) && !told.contains(&wrong), "{told}");
        let told = scene.launch().refused();
        assert!(told.contains("no key was passed"), "{told}");
        let told = with("password").refused();
        assert!(told.contains("FANFARE_MASTER_KEY: key 1 is not 32 bytes"), "{told}");
        drop(with(&right).start());
    }
}

#[test]
fn redis_requires_a_master_key_and_an_embedded_store_creates_its_own() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let told = scene.launch().for_customers().refused();
    assert!(told.contains("there is no master key"), "{told}");
    let file = scene.tenant("acme", &hooks_at("https://hooks.example.com/")).display().to_string();
    let told = scene.run(&["apply", &file]).refused(1);
    assert!(told.contains("there is no master key to encrypt them with"), "{told}");
    let log = scene.start().stderr();
    assert!(log.contains("unencrypted in Redis"), "{log}");

    let scene = Scene::embedded();
    scene.tenant("acme", "");
    let log = scene.launch().for_customers().start().stderr();
    assert!(log.contains("master.key") && log.contains("Keep a copy"), "{log}");
    let again = scene.launch().for_customers().start().stderr();
    assert!(!again.contains("master.key"), "{again}");
}

#[test]
fn unencrypted_secrets_are_encrypted_at_the_next_start_and_still_sign() {
    let redis = Redis::start_durable();
    let scene = Scene::on(&redis);
    let hook = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    scene.tenant("acme", &hooks_at(&hook.url("/hooks")));
    drop(scene.start());
    let document = || {
        let documents: Vec<(String, String)> = redis::cmd("HGETALL")
            .arg("fanfare:{dir}:tenants")
            .query(&mut redis.connection())
            .unwrap();
        documents.into_iter().map(|(_, document)| document).collect::<String>()
    };
    assert!(document().contains(SECRET));
    let server = scene.launch().env("FANFARE_MASTER_KEY", new_key()).start();
    until(SOON, || (!document().contains(SECRET)).then_some(())).expect("it is encrypted");
    server.post("/v1/events?tenant=acme", &event("evt_1", "a.b", &json!({})));
    let deliveries = scene.settled("acme", 1);
    assert_eq!(deliveries[0]["state"], "delivered", "{deliveries:#?}");
    let requests = hook.received::<crate::support::Hook>();
    assert!(requests[0].standard.ok && requests[0].hub.ok, "{:?}", requests[0]);
}

#[test]
fn a_master_key_is_replaced_without_losing_a_secret() {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let (old, new) = (new_key(), new_key());
        scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
        let with = |keys: String| scene.launch().env("FANFARE_MASTER_KEY", keys);
        drop(with(old.clone()).start());
        let file = scene.file("keys", format!("# the new one first\n{new}\n{old}\n"));
        scene.settings(&format!("[secrets]\nkey_file = \"{file}\""));
        let before = scene.run(&["secrets", "status", "--json"]);
        assert_eq!(before.code, Some(1), "something is left: {}", before.out);
        let rotated = scene.json(&["secrets", "rotate"]);
        assert_eq!((&rotated["rewritten"], &rotated["left"]), (&json!(1), &json!(0)), "{rotated}");
        let status: Value = scene.json(&["secrets", "status"]);
        let current = status["current"].as_str().expect("a key's id").to_owned();
        assert_eq!(status["secrets"], json!({ current: 2 }), "the URL and the secret");
        scene.settings("");
        drop(with(new).start());
        with(old).refused();
    }
}
