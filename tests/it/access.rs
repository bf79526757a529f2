//! API keys: which requests they allow, how many, and for how long. Over both stores where keys are
//! stored.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scene::{Said, Scene, event, said};
use crate::support::{Fanfare, Launch, Redis, until};

/// How long a change of a key may take to be seen, on a machine that is busy with other tests.
const SEEN: Duration = Duration::from_secs(20);

/// A server for customers with the tenants `acme` and `globex`, neither of which routes anything.
fn start(scene: &Scene) -> Fanfare {
    for tenant in ["acme", "globex"] {
        scene.tenant(tenant, "");
    }
    for_customers(scene).start()
}

/// A Redis needs a master key; a folder makes its own.
fn for_customers(scene: &Scene) -> Launch {
    let launch = scene.launch().for_customers();
    let key = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    if scene.store().starts_with("redis:") {
        return launch.env("FANFARE_MASTER_KEY", key);
    }
    launch
}

/// Makes a key; answers its id and its text.
fn key(scene: &Scene, args: &[&str]) -> (String, String) {
    let made = scene.json(&[&["keys", "create"], args].concat());
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

fn body(id: &str) -> String {
    event(id, "test.made", &json!({}))
}

/// What a server says to an event with this key, once it has seen the key.
fn post(server: &Fanfare, key: &str, path: &str, id: &str) -> (u16, Value) {
    let answered = until(SEEN, || {
        let answer = server.post_with(key, path, &body(id));
        (answer.status != 401).then(|| (answer.status, answer.json()))
    });
    answered.expect("the key is taken up")
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().expect("the one shape of errors")
}

fn both(test: fn(Scene)) {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        test(scene);
    }
}

#[test]
fn without_keys_only_health_checks_answer_and_the_log_says_how_to_create_one() {
    let scene = Scene::embedded();
    let server = start(&scene);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for guess in ["admin", "fanfare", "sk_live_", "development", "ingest"] {
        let answer = server.post_with(guess, "/v1/events?tenant=acme", &body("evt_1"));
        assert_eq!((answer.status, code(&answer.json())), (401, "wrong_key"), "{guess}");
    }
    let answer = server.post("/v1/events?tenant=acme", &body("evt_1"));
    assert_eq!((answer.status, code(&answer.json())), (401, "no_key"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let log = server.stderr();
    assert!(log.contains("fanfare keys create --role operator"), "{log}");
    assert!(!log.contains("sk_"), "no key is made unasked: {log}");
    assert!(scene.events("acme").is_empty());
}

#[test]
fn the_first_key_can_be_created_while_the_server_runs() {
    both(|scene| {
        let server = start(&scene);
        let (_, operator) = key(&scene, &["--role", "operator"]);
        let (status, answer) = post(&server, &operator, "/v1/events?tenant=acme", "evt_1");
        assert_eq!((status, &answer["data"]["outcome"]), (202, &json!("accepted")));
        // The next start has nothing to say of keys.
        drop(server);
        let log = for_customers(&scene).start().stderr();
        assert!(!log.contains("keys create") && !log.contains(&operator), "{log}");
    });
}

#[test]
fn each_role_allows_what_it_is_for() {
    both(|scene| {
        let server = start(&scene);
        let of = |role: &str| key(&scene, &["--role", role, "--tenant", "acme"]).1;
        for role in ["admin", "publisher"] {
            let (status, _) = post(&server, &of(role), "/v1/events", role);
            assert_eq!(status, 202, "{role}: its own tenant need not be named");
        }
        let (status, answer) = post(&server, &of("reader"), "/v1/events", "evt_1");
        assert_eq!((status, code(&answer)), (403, "forbidden"));
        let (_, operator) = key(&scene, &["--role", "operator"]);
        let (status, answer) = post(&server, &operator, "/v1/events", "evt_1");
        assert_eq!((status, code(&answer)), (422, "no_tenant"), "an operator names the tenant");
        assert_eq!(scene.events("acme").len(), 2);
    });
}

#[test]
fn a_foreign_tenant_is_refused_like_one_that_does_not_exist() {
    both(|scene| {
        let server = start(&scene);
        let (_, admin) = key(&scene, &["--role", "admin", "--tenant", "acme"]);
        let asked = |tenant: &str| {
            let (status, mut answer) =
                post(&server, &admin, &format!("/v1/events?tenant={tenant}"), "evt_1");
            answer["error"].as_object_mut().map(|error| error.remove("request_id"));
            (status, answer.to_string().replace(tenant, "<tenant>"))
        };
        let (status, there) = asked("globex");
        assert_eq!(status, 404, "{there}");
        assert_eq!((status, there), asked("nobody"));
        assert!(scene.events("globex").is_empty());
    });
}

#[test]
fn a_revoked_key_is_refused_by_every_replica() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let (one, two) = (start(&scene), start(&scene));
    let (id, publisher) = key(&scene, &["--role", "publisher", "--tenant", "acme"]);
    for (n, server) in [&one, &two].into_iter().enumerate() {
        assert_eq!(post(server, &publisher, "/v1/events", &format!("evt_{n}")).0, 202);
    }
    assert_eq!(scene.run(&["keys", "revoke", &id]).ok(), format!("{id}: revoked\n"));
    for server in [&one, &two] {
        let refused = until(SEEN, || {
            let answer = server.post_with(&publisher, "/v1/events", &body("evt_late"));
            (answer.status == 401).then(|| answer.json())
        });
        assert_eq!(code(&refused.expect("it is refused")), "wrong_key");
    }
    let told = scene.run(&["keys", "revoke", &id]).refused(1);
    assert!(told.contains("there is no key") && told.contains(&id), "{told}");
}

#[test]
fn an_expired_key_is_refused_and_still_listed() {
    let scene = Scene::embedded();
    let server = start(&scene);
    let args = ["--role", "publisher", "--tenant", "acme", "--expires", "2s"];
    let (id, publisher) = key(&scene, &args);
    let expired = until(SEEN, || {
        let answer = server.post_with(&publisher, "/v1/events", &body("evt_1"));
        (answer.status == 401).then(|| answer.json()).filter(|body| code(body) == "expired_key")
    });
    assert!(expired.is_some());
    let list = scene.run(&["keys", "list"]).ok();
    assert!(list.lines().any(|line| line.contains(&id) && line.contains("expired")), "{list}");
}

#[test]
fn a_key_is_shown_once_and_never_again() {
    both(|scene| {
        drop(start(&scene));
        let args = ["keys", "create", "--role", "publisher", "--tenant", "acme", "--label", "shop"];
        let Said { code, out, err } = scene.run(&args);
        assert_eq!(code, Some(0), "{err}");
        let secret = out.trim_end();
        assert!(secret.starts_with("sk_live_") && secret.len() == 57, "alone on standard output");
        assert!(err.contains("publisher of tenant acme, live") && !err.contains(secret), "{err}");
        let list = scene.run(&["keys", "list"]).ok();
        let json = scene.json(&["keys", "list", "--tenant", "acme"]);
        let hint = format!("{}…{}", &secret[..12], &secret[53..]);
        assert!(list.contains(&hint) && list.contains("shop"), "{list}");
        assert_eq!(json["data"][0]["hint"], json!(hint));
        assert!(![list, json.to_string()].iter().any(|shown| shown.contains(&secret[12..30])));
        assert_eq!(scene.json(&["keys", "list", "--tenant", "globex"])["data"], json!([]));

        for (wrong, why) in [
            (&["--role", "admin"][..], "name it with --tenant"),
            (&["--role", "reader", "--tenant", "nobody"], "there is no tenant `nobody`"),
            (&["--role", "operator", "--expires", "0s"], "expires_in_seconds"),
        ] {
            let told = scene.run(&[&["keys", "create"], wrong].concat()).refused(1);
            assert!(told.contains(why), "{told}");
        }
        let told = scene.run(&["keys", "create", "--role", "boss"]).refused(2);
        assert!(told.contains("operator, admin, publisher, reader"), "{told}");
    });
}

#[test]
fn a_portal_link_is_for_one_tenant_and_short_lived() {
    both(|scene| {
        let server = start(&scene);
        let made = scene.json(&["keys", "portal", "--tenant", "acme"]);
        let lasts = made["expires_ms"].as_i64().zip(made["created_ms"].as_i64());
        assert_eq!(lasts.map(|(end, made)| end - made), Some(15 * 60 * 1000));
        assert_eq!((&made["role"], &made["tenant"]), (&json!("admin"), &json!("acme")));
        let link = made["secret"].as_str().expect("its key");
        assert!(link.starts_with("pl_live_"));
        assert_eq!(post(&server, link, "/v1/events", "evt_1").0, 202);
        assert_eq!(post(&server, link, "/v1/events?tenant=globex", "evt_1").0, 404);
        let portal = ["keys", "portal", "--tenant", "acme", "--expires", "25h"];
        assert!(scene.run(&portal).refused(1).contains("must be at most 24 hours"));
    });
}

#[test]
fn each_key_has_its_own_rate_limit_in_the_answers_headers() {
    let scene = Scene::embedded();
    scene.settings(
        "[http]\nrequests_per_second = 1\nburst = 3\n[ingest]\nkey = \"a-key-of-the-settings\"",
    );
    let server = start(&scene);
    let make = || key(&scene, &["--role", "publisher", "--tenant", "acme"]).1;
    let (fast, slow) = (make(), make());
    // A key that is not known yet takes nothing from its pace.
    assert_eq!(post(&server, &slow, "/v1/events", "evt_1").0, 202);
    let limited = until(SEEN, || {
        let answer = server.post_with(&fast, "/v1/events", &body("evt_2"));
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3"), "{}", answer.head);
        (answer.status == 429).then_some(answer)
    });
    let limited = limited.expect("there is a limit");
    assert_eq!(code(&limited.json()), "too_many_requests");
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_eq!(limited.header("x-ratelimit-remaining"), Some("0"));
    let reset: u64 = limited.header("x-ratelimit-reset").unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now..=now + 5).contains(&reset), "{reset} at {now}");
    assert_eq!(server.post_with(&slow, "/v1/events", &body("evt_3")).status, 202);
    for n in 0..10 {
        let path = "/v1/events?tenant=acme";
        let answer = server.post_with("a-key-of-the-settings", path, &body(&format!("evt_i{n}")));
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (202, None));
    }
}

#[test]
fn metrics_require_a_key() {
    let scene = Scene::embedded();
    assert_eq!(start(&scene).get("/metrics").status, 401, "also on loopback");
    assert_eq!(scene.start().get("/metrics").status, 200, "in development");
    scene.settings("[http]\nbehind_proxy = true\n[metrics]\nkey = \"the-key-of-the-scraper\"");
    let server = start(&scene);
    assert_eq!(server.get("/metrics").status, 401, "a proxy may let anybody through");
    assert_eq!(server.get_with("the-key-of-the-scraper", "/metrics").status, 200);
    let (_, operator) = key(&scene, &["--role", "operator"]);
    let (_, admin) = key(&scene, &["--role", "admin", "--tenant", "acme"]);
    post(&server, &admin, "/v1/events", "evt_1");
    assert_eq!(server.get_with(&admin, "/metrics").status, 403);
    assert_eq!(server.get_with(&operator, "/metrics").status, 200);
    drop(server);
    scene.settings("[http]\nbehind_proxy = true\n[metrics]\nopen = true");
    assert_eq!(start(&scene).get("/metrics").status, 200, "when it is so configured");
}

#[test]
fn a_listener_beyond_loopback_without_tls_logs_a_warning() {
    let scene = Scene::embedded();
    let exposed = |args: &str| {
        scene.settings(args);
        let server = scene.launch().listen("0.0.0.0:0").for_customers().start();
        server.stderr().contains("without TLS")
    };
    assert!(exposed(""));
    assert!(!exposed("[http]\nbehind_proxy = true"));
    assert!(!scene.start().stderr().contains("without TLS"), "nor on loopback");
}

#[test]
fn development_opens_a_loopback_address_and_nothing_else() {
    let scene = Scene::embedded();
    scene.tenant("acme", "");
    let path = "/v1/events?tenant=acme";
    let server = scene.start();
    assert_eq!(server.post(path, &body("evt_1")).status, 202);
    assert_eq!(server.post_with("wrong", path, &body("evt_2")).status, 401, "a key must be right");
    assert!(server.stderr().contains("DEVELOPMENT MODE"));
    drop(server);
    let server = scene.launch().listen("0.0.0.0:0").start();
    assert_eq!(server.post(path, &body("evt_3")).status, 401);
    drop(server);
    scene.settings("[http]\nbehind_proxy = true");
    assert_eq!(scene.start().post(path, &body("evt_4")).status, 401);
}

#[test]
fn failed_authentication_is_counted_and_logged_without_the_key() {
    let scene = Scene::embedded();
    let server = start(&scene);
    let (id, revoked) = key(&scene, &["--role", "publisher", "--tenant", "acme"]);
    assert_eq!(post(&server, &revoked, "/v1/events", "evt_1").0, 202);
    scene.run(&["keys", "revoke", &id]).ok();
    let refused = until(SEEN, || {
        let answer = server.post_with(&revoked, "/v1/events", &body("evt_2"));
        (answer.status == 401).then_some(())
    });
    refused.expect("it is refused");
    let password = "correct-horse-battery";
    assert_eq!(server.get_with(password, "/v1/tenants").status, 401);
    for _ in 0..50 {
        assert_eq!(server.get("/v1/tenants").status, 401);
    }
    let log = server.stderr();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("authentication failed")).collect();
    assert!((2..=30).contains(&lines.len()), "{} lines for more than 50 requests", lines.len());
    assert!(lines.iter().all(|line| line.contains("127.0.0.1")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(&revoked[..12])), "{lines:?}");
    assert!(!log.contains(&revoked[..20]) && !log.contains(password), "{lines:?}");
    let (_, operator) = key(&scene, &["--role", "operator"]);
    let counted = until(SEEN, || {
        let metrics = server.get_with(&operator, "/metrics");
        (metrics.status == 200).then_some(metrics.body)
    });
    let counted = counted.expect("an operator's metrics");
    let count = |code: &str| {
        let name = format!("fanfare_auth_failures_total{{code=\"{code}\"}} ");
        let line = counted.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<u64>().expect("a number")
    };
    assert_eq!(count("no_key"), 50);
    assert!(count("wrong_key") >= 2, "{}", count("wrong_key"));
}

#[test]
fn no_tenant_gets_a_reserved_id_however_it_is_made() {
    let scene = Scene::embedded();
    scene.tenant("acme", "");
    let server = scene.start();
    for id in ["me", "null", "-", "__-"] {
        let made = server.post("/v1/tenants", &json!({"id": id}).to_string());
        assert_eq!((made.status, code(&made.json())), (422, "invalid_fields"), "{id}");
        let path = scene.file("reserved.toml", format!("[tenant]\nid = \"{id}\"\n"));
        let checked = said(&["check", &path, "--development"]);
        assert_eq!(checked.code, Some(1), "{id}: {}{}", checked.out, checked.err);
        let applied = scene.run(&["apply", &path, "--development"]);
        assert_eq!(applied.code, Some(1), "{id}: {}{}", applied.out, applied.err);
        if !id.starts_with('-') {
            let refused = scene.run(&["tenants", "create", id]).refused(1);
            assert!(refused.contains("id "), "{id}: {refused}");
        }
    }
    for id in ["null", "-", "__-"] {
        let path = format!("/v1/tenants/{id}/document");
        let headers = [("content-type", "application/json")];
        let put = crate::support::request(server.address(), "PUT", &path, &headers, b"{}");
        let put = put.expect("fanfare answers");
        assert_eq!((put.status, code(&put.json())), (422, "invalid_fields"), "{id}");
    }
    let tenants = server.get("/v1/tenants").json();
    assert_eq!(tenants["data"]["data"].as_array().map(Vec::len), Some(1), "{tenants}");
    drop(server);
    // A folder with such a tenant is refused as a whole, as for any other mistake.
    scene.tenant("null", "");
    let refused = scene.launch().refused();
    assert!(refused.contains("is reserved"), "{refused}");
}
