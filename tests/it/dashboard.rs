//! The dashboard in a real browser, and what it answers to requests that no page of it sends.

mod gallery;

use std::fmt::Write as _;
use std::time::Duration;

use fanfare_receivers::Reply;
use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Redis, bin, request, run_peer, until};

/// A receiver of `acme` accepts, another one answers 500 until its deliveries are dead.
fn tenant(scene: &Scene, accepts: &str, fails: &str) {
    scene.tenant(
        "acme",
        &format!(
            r#"
            name = "Acme Bank"

            [[destination]]
            id = "up"
            channel = "webhook"
            url = "{accepts}"
            secret = "{SECRET}"

            [[destination]]
            id = "down"
            channel = "webhook"
            url = "{fails}"
            secret = "{SECRET}"
            retry = []

            [[destination]]
            id = "daily"
            channel = "email"
            to = ["compliance@acme.example"]
            digest = {{ schedule = "0 8 * * 1-5", timezone = "Europe/Madrid" }}

            [[route]]
            name = "everything"
            events = ["kyc.session.processed"]
            to = ["up", "down"]

            [[route]]
            name = "risky"
            events = ["kyc.**"]
            when = {{ data = {{ risk = ["high"] }} }}
            to = ["crm-later"]

            [[destination]]
            id = "crm-later"
            channel = "poll"
            "#,
            SECRET = crate::verifiers::SECRET
        ),
    );
}

/// A tenant with an event that was delivered to one destination and is dead for another one.
struct Stage {
    scene: Scene,
    server: Fanfare,
    accepts: Counter,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let accepts = Counter::slow(Duration::ZERO);
        let fails = Counter::start(|_| Reply::Status(500));
        tenant(&scene, &accepts.url(), &fails.url());
        let server = start(&scene);
        // As the producer writes it: a number beyond 64 bits, and text that looks like a page.
        let body = event("evt_dead", "kyc.session.processed", &json!({"risk": "low", "n": 0}))
            .replace(
                "\"n\":0",
                r#""n":12345678901234567890123,"name":"<script>alert(1)</script>""#,
            );
        scene.send("acme", &[body]).ok();
        let dead = until(SOON, || {
            let deliveries = scene.deliveries("acme");
            deliveries.iter().any(|one| one["state"] == "dead").then_some(())
        });
        dead.expect("one delivery is given up");
        Self { scene, server, accepts }
    }

    /// A new key of the tenant, or of an operator.
    fn key(&self, args: &[&str]) -> String {
        let made = self.scene.json(&[&["keys"], args].concat());
        made["secret"].as_str().expect("a key").to_owned()
    }

    fn admin(&self) -> String {
        self.key(&["create", "--role", "admin", "--tenant", "acme"])
    }

    /// Runs a story in a browser.
    fn tell(&self, story: &str, args: &[&str]) -> Value {
        let browser = bin("chromium").display().to_string();
        let base = self.server.url("");
        let args = [&[&*browser, &*base], args].concat();
        run_peer(&format!("dashboard/{story}.mjs"), &args)
    }

    fn tenants_story(&self, with_script: bool) {
        let link = self.key(&["portal", "--tenant", "acme", "--role", "admin"]);
        let script = if with_script { "true" } else { "false" };
        let seen = self.tell("tenant", &[&link, &self.accepts.url(), script]);
        assert_eq!(seen["ok"], true);
    }
}

/// A router for development that asks for a key, as one for customers does.
fn start(scene: &Scene) -> Fanfare {
    scene.launch().arg("--ingest-key").arg("a-key-that-closes-the-rest").start()
}

#[test]
fn a_tenant_finds_out_what_happened_and_repairs_it() {
    Stage::new(Scene::embedded()).tenants_story(true);
}

#[test]
fn the_same_story_works_without_javascript_and_on_redis() {
    let redis = Redis::start();
    Stage::new(Scene::on(&redis)).tenants_story(false);
}

#[test]
fn every_page_is_accessible_light_and_fits_its_window() {
    let stage = Stage::new(Scene::embedded());
    let seen = stage.tell("pages", &[&stage.admin()]);
    assert_eq!(seen["ok"], true);
}

#[test]
fn nothing_that_was_typed_is_lost_when_a_session_ends() {
    let stage = Stage::new(Scene::embedded());
    let (first, second) = (stage.admin(), stage.admin());
    let seen = stage.tell("sessions", &[&first, &second]);
    assert_eq!(seen["ok"], true);
}

#[test]
fn an_operator_sees_the_server_and_support_finds_an_event() {
    let redis = Redis::start();
    for (scene, script) in [(Scene::embedded(), "true"), (Scene::on(&redis), "false")] {
        let stage = Stage::new(scene);
        let key = stage.key(&["create", "--role", "operator"]);
        let seen = stage.tell("operator", &[&key, script]);
        assert_eq!(seen["ok"], true);
    }
}

#[test]
fn the_list_of_events_follows_what_happens_and_can_be_saved() {
    let stage = Stage::new(Scene::embedded());
    let seen = stage.tell("live", &[&stage.admin()]);
    assert_eq!(seen["ok"], true);
}

/// Markup, text from right to left, and an attribute that ends early.
const ATTACK: &str = "\"><script>window.pwned=1</script>שלום<img src=x onerror=window.pwned=1>'";
/// A character that turns the direction of the text after it. Names cannot have it, events can.
const OVERRIDE: &str = "\u{202e}";

#[test]
fn no_text_of_a_tenant_is_more_than_text_on_any_page() {
    let scene = Scene::embedded();
    scene.settings("[quotas]\ndestinations = 20000");
    let fails = Counter::start(|_| Reply::Full {
        status: 500,
        headers: vec![],
        body: ATTACK.repeat(50).into(),
    });
    let attack = toml::Value::from(ATTACK);
    let mut file = format!(
        "name = {attack}\n[[destination]]\nid = \"down\"\nchannel = \"webhook\"\nurl = \"{}\"\n\
         secret = \"{}\"\nretry = []\n",
        fails.url(),
        crate::verifiers::SECRET
    );
    for n in 0..10_000 {
        let _ = writeln!(file, "[[destination]]\nid = \"d{n:05}\"\nchannel = \"poll\"");
    }
    let kinds: Vec<String> = (0..500).map(|n| format!("hostile.type.{n}")).collect();
    let _ = write!(
        file,
        "[[route]]\nname = {attack}\nevents = {kinds:?}\nto = [\"down\", \"d00042\"]\n\
         [[route]]\nname = {attack}\nevents = [\"**\"]\nwhen = {{ data = {{ text = [{attack}] }} }}\n\
         to = [\"d00001\"]\n"
    );
    scene.tenant("acme", &file);
    let server = start(&scene);
    let long = format!("{OVERRIDE}{ATTACK}{}", "x".repeat(200_000));
    let data = json!({"text": long, ATTACK: [[[ATTACK]]]});
    scene.send("acme", &[event("evt_hostile", "hostile.type.0", &data)]).ok();
    let accepts = Counter::slow(Duration::ZERO);
    let stage = Stage { scene, server, accepts };
    let key = stage.key(&["create", "--role", "admin", "--tenant", "acme"]);
    let seen = stage.tell("hostile", &[&key, "evt_hostile"]);
    assert_eq!(seen["ok"], true);
}

fn post(server: &Fanfare, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [&[form], headers].concat();
    request(server.address(), "POST", path, &headers, body.as_bytes()).expect("an answer").status
}

#[test]
fn a_form_of_another_site_or_without_its_token_changes_nothing() {
    let scene = Scene::embedded();
    tenant(&scene, "http://127.0.0.1:9/", "http://127.0.0.1:9/");
    let server = start(&scene);
    let made = scene.json(&["keys", "create", "--role", "admin", "--tenant", "acme"]);
    let key = made["secret"].as_str().expect("a key");
    let signed_in = until(SOON, || {
        let body = format!("key={key}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = request(server.address(), "POST", "/ui/sign-in", &form, body.as_bytes());
        answer.ok().filter(|answer| answer.status == 303)
    });
    let signed_in = signed_in.expect("the key is taken up");
    let cookie = signed_in.header("set-cookie").expect("a session").split(';').next().unwrap();
    let pause = "/ui/t/acme/destinations/up/pause";
    let with_cookie = [("cookie", cookie)];
    assert_eq!(post(&server, pause, &with_cookie, ""), 403, "no token");
    assert_eq!(post(&server, pause, &with_cookie, "token=00"), 403, "a wrong token");
    let foreign = [("cookie", cookie), ("sec-fetch-site", "cross-site")];
    assert_eq!(post(&server, pause, &foreign, ""), 403, "another site");
    assert_eq!(post(&server, pause, &[], ""), 401, "without a session it asks for a key");
    let state = scene.json(&["destinations", "list", "--tenant", "acme"]);
    assert!(!state.to_string().contains("paused"), "{state}");
}

#[test]
fn a_program_that_follows_a_portal_link_does_not_use_it_up() {
    let stage = Stage::new(Scene::embedded());
    let link = stage.key(&["portal", "--tenant", "acme", "--role", "reader"]);
    let address = format!("/ui/sign-in?key={link}");
    let get = |headers: &[(&str, &str)]| {
        request(stage.server.address(), "GET", &address, headers, b"").expect("an answer")
    };
    let person = [("sec-fetch-mode", "navigate")];
    for program in [&[][..], &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")]] {
        assert_eq!(get(program).status, 200, "a page with a button");
    }
    assert_eq!(get(&person).status, 303, "the link still works");
    assert_eq!(get(&person).status, 401, "and works once");
}
