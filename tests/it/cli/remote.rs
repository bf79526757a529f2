//! Commands do the same against a server and a store.

use std::fs;

use serde_json::{Value, json};

use crate::scene::{SOON, Said, Scene, hooks_at, numbered, said};
use crate::support::{Fanfare, Hook, Peer, Process, command, programs, until};
use crate::verifiers::SECRET;

/// Where the commands run: on a store, or against a server.
struct Place<'a> {
    scene: &'a Scene,
    server: Option<(&'a Fanfare, &'a str)>,
}

impl Place<'_> {
    fn run(&self, args: &[&str]) -> Said {
        match self.server {
            None => self.scene.run(args),
            Some((server, key)) => {
                said(&[args, &["--server", &server.url(""), "--key", key]].concat())
            }
        }
    }

    fn ok(&self, args: &str) -> String {
        self.run(&words(args)).ok()
    }

    fn json(&self, args: &str) -> Value {
        self.run(&[&words(args)[..], &["--json"]].concat()).ok_json()
    }
}

fn words(args: &str) -> Vec<&str> {
    args.split(' ').collect()
}

/// Runs a test on a store that no router has open, and against a server with an operator's key.
fn in_both_places(test: fn(&Place<'_>)) {
    let alone = Scene::embedded();
    test(&Place { scene: &alone, server: None });

    let served = Scene::embedded();
    let server = served.start();
    let key = served.run(&["keys", "create", "--role", "operator"]).ok();
    test(&Place { scene: &served, server: Some((&server, key.trim())) });
}

#[test]
fn a_tenant_and_its_resources_are_created_changed_and_deleted() {
    in_both_places(|place| {
        assert!(place.ok("tenants create acme --name Acme").contains("acme: created"));
        let again = place.run(&words("tenants create acme")).refused(1);
        assert!(again.contains("the tenant `acme` already exists"), "{again}");
        let make = "destinations create hooks --tenant acme --channel webhook \
                    url=https://hooks.example/in rate=5/s";
        let made = place.ok(make);
        assert!(made.contains("hooks: created") && made.contains("secret = whsec_"), "{made}");
        place.ok("destinations update hooks --tenant acme rate=null timeout=5s");
        let shown = place.json("destinations get hooks --tenant acme");
        assert_eq!(shown["settings"]["timeout"], "5s", "{shown}");
        assert_eq!(shown["settings"]["rate"], Value::Null, "{shown}");
        assert!(shown["settings"]["secret"].as_str().unwrap().starts_with("****"), "{shown}");
        let rotated = place.ok("destinations rotate-secret hooks --tenant acme --overlap 1h");
        assert!(rotated.contains("secret = whsec_"), "{rotated}");

        let route = place.json("routes create --tenant acme --events a.*,b.** --to hooks");
        let id = route["id"].as_str().unwrap().to_owned();
        place.ok(&format!("routes update {id} --tenant acme --except a.x,a.y"));
        let shown = place.json(&format!("routes get {id} --tenant acme"));
        assert_eq!(shown["except"], json!(["a.x", "a.y"]), "{shown}");
        place.ok(&format!("routes update {id} --tenant acme --events c.d --name third --except="));
        let routes = place.json("routes list --tenant acme");
        assert_eq!(routes["data"][0]["events"], json!(["c.d"]), "{routes}");
        assert_eq!(routes["data"][0]["name"], "third");
        assert_eq!(routes["data"][0]["to"], json!(["hooks"]));
        let matrix = place.ok("preferences set --tenant acme x.y=hooks c.d=!hooks");
        assert!(matrix.contains("x.y") && matrix.contains("yes"), "{matrix}");

        let listed = place.json("destinations list --tenant acme");
        let listed = &listed["data"];
        assert_eq!(listed[0]["lanes"][0]["to"], "hooks.example", "{listed}");
        assert_eq!(listed[0]["state"], "active");
        assert!(place.ok("destinations pause hooks --tenant acme").contains("hooks: paused"));
        let again = place.ok("destinations pause hooks --tenant acme");
        assert!(again.contains("already paused"), "{again}");
        assert_eq!(place.json("destinations list --tenant acme")["data"][0]["state"], "paused");
        place.ok("destinations resume hooks --tenant acme");

        place.ok("notification-channels set --tenant acme webhook_url=https://n.example/in");
        let channels = place.json("notification-channels get --tenant acme");
        assert_eq!(channels["notification_config"]["webhook_url"], "https://n.example/in");
        let subject = place.scene.file("subject", "It is {{type}}");
        place.ok(&format!("templates put x.y subject {subject} --tenant acme"));
        assert_eq!(place.ok("templates get x.y subject --tenant acme"), "It is {{type}}\n");
        let list = place.ok("templates list --tenant acme --limit 1000");
        assert!(list.lines().any(|line| line.contains("x.y") && line.contains("tenant")), "{list}");
        place.ok("templates delete x.y subject --tenant acme --yes");
        let seen =
            place.ok("templates preview --tenant acme --type kyc.session.created --part subject");
        assert!(seen.contains("subject"), "{seen}");
        assert_eq!(place.json("digests list --tenant acme")["data"], json!([]));

        let changes = place.ok("changes --tenant acme");
        assert!(changes.contains("rotate_secret") && changes.contains("create"), "{changes}");
        place.ok("destinations delete hooks --tenant acme --yes");
        place.ok("tenants delete acme --yes");
        assert_eq!(place.json("tenants list")["data"], json!([]));
    });
}

#[test]
fn event_types_are_created_listed_and_deleted() {
    in_both_places(|place| {
        let schema = place.scene.file("schema.json", r#"{"type": "object", "required": ["a"]}"#);
        place.ok(&format!("types put a.b --check reject --schema {schema}"));
        assert_eq!(place.json("types get a.b")["check"], "reject");
        assert!(place.ok("types list").contains("a.b"));
        place.ok("types delete a.b --yes");
        assert_eq!(place.json("types list")["data"], json!([]));
        assert!(place.ok("changes --of-server").contains("event-types/a.b"));
    });
}

#[test]
fn a_refusal_names_every_field_and_has_its_exit_code() {
    in_both_places(|place| {
        place.ok("tenants create acme");
        let make = "destinations create hooks --tenant acme --channel webhook rat=1 timeout=x \
                    url=https://hooks.example/";
        let error = place.run(&words(make)).refused(1);
        for field in ["settings.rat", "settings.timeout"] {
            assert!(error.contains(field), "{field}: {error}");
        }
        let error = place.run(&words("destinations get nobody --tenant acme")).refused(1);
        assert!(error.contains("there is no destination `nobody`"), "{error}");
        place.run(&words("routes create --tenant acme")).refused(2);
    });
    let away = ["tenants", "list", "--server", "http://127.0.0.1:9", "--key", "sk_live_x"];
    let error = said(&away).refused(3);
    assert!(error.contains("cannot reach the server") && !error.contains("sk_live_x"), "{error}");
    // On a store, a loopback receiver is refused without --development.
    let scene = Scene::embedded();
    scene.run(&["tenants", "create", "acme"]).ok();
    let make = "destinations create hooks --tenant acme --channel webhook url=http://127.0.0.1:9/";
    let error = scene.run(&words(make)).refused(1);
    assert!(error.contains("settings.url"), "{error}");
    scene.run(&[&words(make)[..], &["--development"]].concat()).ok();
}

#[test]
fn a_key_of_one_tenant_selects_it_and_sees_no_other() {
    let scene = Scene::embedded();
    let server = scene.start();
    let operator = scene.run(&["keys", "create", "--role", "operator"]).ok();
    let place = Place { scene: &scene, server: Some((&server, operator.trim())) };
    place.ok("tenants create acme");
    place.ok("tenants create globex");
    let made = place.json("keys create --role admin --tenant acme --label shop");
    let key = made["secret"].as_str().unwrap();
    let own = Place { scene: &scene, server: Some((&server, key)) };
    assert_eq!(own.json("routes list")["data"], json!([]));
    let other = own.run(&words("routes list --tenant globex")).refused(1);
    assert!(other.contains("there is no tenant `globex`"), "{other}");
    own.run(&words("tenants list")).refused(1);
    assert!(own.ok("keys list --tenant acme").contains("shop"));
    place.ok(&format!("keys revoke --tenant acme {}", made["id"].as_str().unwrap()));
    own.run(&words("routes list")).refused(1);
}

#[test]
fn events_of_a_server_are_shown_waited_for_and_replayed() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let server = scene.start();
    let key = scene.run(&["keys", "create", "--role", "admin", "--tenant", "acme"]).ok();
    let place = Place { scene: &scene, server: Some((&server, key.trim())) };
    let file = scene.file("event.json", r#"{"id":"evt_1","type":"a.b","data":{}}"#);
    let sent = place.json(&format!("send --tenant acme --wait=1m {file}"));
    assert_eq!(sent["events"][0]["deliveries"][0]["state"], "delivered", "{sent}");
    assert!(place.ok("events").contains("evt_1"));
    assert!(place.ok("events evt_1").contains("dlv_evt_1.hooks"));
    assert_eq!(place.json("deliveries")["data"][0]["id"], "dlv_evt_1.hooks");
    assert_eq!(place.ok("replay --tenant acme dlv_evt_1.hooks"), "1 replayed\n");
    hooks.wait_for::<Hook>(2, SOON);
    let tested = place.json("destinations test hooks");
    assert_eq!(tested["ok"], true, "{tested}");
    let dry = place.json("replay --tenant acme --state delivered --dry-run");
    assert_eq!(dry["found"], 1, "{dry}");
    let unrouted = scene.file("other.json", r#"{"id":"evt_2","type":"a.b","data":{}}"#);
    let id = place.json("routes list")["data"][0]["id"].as_str().unwrap().to_owned();
    place.ok(&format!("routes delete {id} --yes"));
    let sent = place.run(&words(&format!("send --tenant acme --wait {unrouted}")));
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.out.contains("no route matches it"), "{sent:?}");
}

#[test]
fn a_store_and_a_server_give_the_same_output() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let server = scene.start();
    let key = scene.run(&["keys", "create", "--role", "operator"]).ok();
    scene.run(&words("keys create --role reader --tenant acme --label desk")).ok();
    scene.send("acme", &numbered(3)).ok();
    scene.settled("acme", 3);
    let there = Place { scene: &scene, server: Some((&server, key.trim())) };
    let here = Place { scene: &scene, server: None };
    for args in [
        "events --tenant acme",
        "events --tenant acme --limit 2",
        "events --tenant acme --since 1h --environment live",
        "events --tenant acme evt_1",
        "events --rejected",
        "deliveries --tenant acme --state delivered --until 1h",
        "deliveries --tenant acme --since 1h",
        "deliveries --tenant acme dlv_evt_1.hooks",
        "keys list --tenant acme",
        "replay --tenant acme --state delivered --dry-run",
        "replay --tenant acme dlv_evt_1.hooks --dry-run",
        "cancel --tenant acme --dry-run",
    ] {
        // The time of the request differs.
        let shown = |place: &Place<'_>| {
            let mut shown = place.json(args);
            shown.as_object_mut().map(|shown| shown.remove("at_ms"));
            shown
        };
        assert_eq!(shown(&here), shown(&there), "{args}");
        assert_eq!(here.ok(args), there.ok(args), "{args}");
    }
    let listed = here.json("events --tenant acme --limit 2");
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
    assert!(listed["next_cursor"].is_string(), "{listed}");
    assert_eq!(here.json("replay --tenant acme --state delivered --dry-run")["found"], 3);
    assert_eq!(here.json("keys list")["data"].as_array().map(Vec::len), Some(2), "of all tenants");
}

#[test]
fn changes_on_a_store_are_in_the_audit_trail() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    let router = scene.start();
    scene.run(&words("destinations pause hooks --tenant acme")).ok();
    scene.send("acme", &numbered(1)).ok();
    let waits = until(SOON, || {
        let found = scene.json(&words("deliveries --tenant acme --state waiting"));
        (found["data"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    waits.expect("it waits");
    drop(router);
    scene.run(&words("cancel --tenant acme --destination hooks")).ok();
    scene.run(&words("replay --tenant acme --destination hooks")).ok();
    scene.run(&words("cancel --tenant acme dlv_evt_0.hooks")).ok();
    let made = scene.json(&words("keys create --role reader --tenant acme"));
    assert_eq!(made["created_by"], "cli", "{made}");
    scene.run(&["keys", "revoke", made["id"].as_str().unwrap()]).ok();
    scene.run(&words("keys portal --tenant acme")).ok();
    let trail = scene.json(&words("changes --tenant acme --limit 100"));
    let lines = trail["data"].as_array().expect("lines");
    let changes: Vec<_> = lines
        .iter()
        .filter(|line| line["by"] == "cli" && line["outcome"] == "done")
        .map(|line| format!("{} {}", line["action"], line["resource"]).replace('"', ""))
        .map(|line| line.split("/key_").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        changes,
        [
            "create keys",
            "revoke keys",
            "create keys",
            "cancel deliveries/dlv_evt_0.hooks",
            "replay deliveries",
            "cancel deliveries",
            "pause destinations/hooks",
        ]
    );
    // An operator's key belongs to no tenant.
    scene.run(&words("keys create --role operator")).ok();
    let trail = scene.json(&words("changes --of-server"));
    assert_eq!(
        (&trail["data"][0]["by"], &trail["data"][0]["action"]),
        (&json!("cli"), &json!("create"))
    );
}

#[test]
fn cancel_ends_the_selected_waiting_deliveries() {
    in_both_places(|place| {
        let scene = place.scene;
        scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
        scene.run(&["apply", "--development", &scene.tenants().display().to_string()]).ok();
        place.ok("destinations pause hooks --tenant acme");
        let own = place.server.is_none().then(|| scene.start());
        scene.send("acme", &numbered(5)).ok();
        let waiting = || place.json("cancel --tenant acme --destination hooks --dry-run");
        until(SOON, || (waiting()["found"] == 5).then_some(())).expect("they wait");
        drop(own);
        assert_eq!(waiting()["counts"][0]["state"], "waiting");
        let other = place.json("cancel --tenant acme --type no.such");
        assert_eq!(other["cancelled"], 0, "{other}");
        assert_eq!(place.ok("cancel --tenant acme --destination hooks"), "5 cancelled\n");
        assert_eq!(waiting()["found"], 0);
        let kept = place.json("replay --tenant acme --error cancelled --dry-run");
        assert_eq!(kept["found"], 5, "{kept}");
    });
}

#[test]
fn apply_deletes_a_tenant_that_no_file_names_only_with_prune() {
    let scene = Scene::embedded();
    for id in ["acme", "globex"] {
        scene.tenant(id, &hooks_at("https://hooks.example/"));
    }
    let folder = scene.tenants().display().to_string();
    scene.run(&["apply", &folder]).ok();
    scene.run(&["keys", "create", "--role", "reader", "--tenant", "globex"]).ok();
    fs::remove_file(scene.tenants().join("globex.toml")).unwrap();
    let tenants = || scene.json(&["tenants", "list"])["data"].as_array().unwrap().len();

    assert_eq!(scene.run(&["apply", &folder]).ok(), "acme: unchanged\n");
    let dry = scene.run(&["apply", &folder, "--prune", "--dry-run"]).ok();
    assert!(dry.contains("globex: deleted (dry run)"), "{dry}");
    assert_eq!(tenants(), 2);
    let done = scene.run(&["apply", &folder, "--prune"]).ok();
    assert!(done.contains("acme: unchanged") && done.contains("globex: deleted"), "{done}");
    assert_eq!(tenants(), 1);
    // The keys are gone, and the audit trail still shows who deleted the tenant.
    assert_eq!(scene.json(&["keys", "list"])["data"], json!([]));
    assert_eq!(scene.run(&["apply", &folder, "--prune"]).ok(), "acme: unchanged\n");
    let trail = scene.json(&["changes", "--tenant", "globex"]);
    assert_eq!(trail["data"][0]["action"], "delete", "{trail}");
}

#[test]
fn apply_shows_changes_first_and_writes_all_files_or_none() {
    in_both_places(|place| {
        let scene = place.scene;
        let hooks = |path: &str| {
            let table = hooks_at(&format!("https://hooks.example/{path}"));
            table.replace(&format!("secret = \"{SECRET}\""), "")
        };
        // Not the folder that the server itself watches.
        fs::create_dir(scene.path("files")).unwrap();
        let folder = scene.path("files").display().to_string();
        let tenant = |id: &str, table: &str| {
            scene.file(&format!("files/{id}.toml"), format!("[tenant]\nid = \"{id}\"\n{table}"));
        };
        tenant("acme", &hooks("a"));
        let dry = place.ok(&format!("apply {folder} --dry-run"));
        assert!(dry.contains("acme: new tenant (dry run)") && !dry.contains("whsec_"), "{dry}");
        assert_eq!(place.json("tenants list")["data"], json!([]));
        let first = place.ok(&format!("apply {folder}"));
        let change = first.find("+ destination hooks").expect("what changes");
        assert!(first.find("secret = whsec_").is_some_and(|made| made > change), "{first}");
        assert_eq!(place.ok(&format!("apply {folder}")), "acme: unchanged\n");

        // With a mistake in one file, no file is written.
        tenant("acme", &hooks("b"));
        tenant("globex", &hooks("c").replace("to = [\"hooks\"]", "to = [\"hoks\"]"));
        let error = place.run(&["apply", &folder]).refused(1);
        assert!(error.contains("globex.toml: ") && error.contains("`hoks`"), "{error}");
        let url = || place.json("destinations get hooks --tenant acme")["settings"]["url"].clone();
        assert_eq!(url(), "https://hooks.example/a");
        fs::remove_file(scene.path("files/globex.toml")).unwrap();
        let json = place.json(&format!("apply {folder}"));
        assert_eq!(json["tenants"][0]["changes"], json!(["~ destination hooks: url"]), "{json}");
        assert_eq!(url(), "https://hooks.example/b");

        place.ok("tenants create globex");
        assert_eq!(place.ok(&format!("apply {folder}")), "acme: unchanged\n");
        let dry = place.ok(&format!("apply {folder} --prune --dry-run"));
        assert!(dry.contains("globex: deleted (dry run)"), "{dry}");
        place.ok(&format!("apply {folder} --prune"));
        assert_eq!(place.json("tenants list")["data"].as_array().map(Vec::len), Some(1));
        let shown = place.json("tenants document acme");
        assert_eq!(shown["routes"][0]["to"], json!(["hooks"]), "{shown}");
    });
}

#[test]
fn there_are_completions_for_every_shell_and_a_manual_page_for_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell]).ok();
        assert!(script.contains("rotate-secret"), "{shell}");
    }
    let bash = said(&["completions", "bash"]).ok();
    let scene = Scene::embedded();
    let script = scene.file("fanfare.bash", &bash);
    let checked = std::process::Command::new("bash").args(["-n", &script]).status();
    assert!(checked.expect("bash").success());
    assert!(said(&["man"]).ok().contains(".TH fanfare 1"));
    let folder = scene.path("man");
    said(&["man", "--out", &folder.display().to_string()]).ok();
    for page in ["fanfare.1", "fanfare-apply.1", "fanfare-destinations-rotate-secret.1"] {
        let page = fs::read_to_string(folder.join(page)).expect(page);
        assert!(page.starts_with(".ie"), "{page}");
    }
}

#[test]
fn follow_prints_one_event_per_line() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    let _server = scene.start();
    let file = scene.file("events", "{\"id\":\"evt_1\",\"type\":\"a.b\",\"data\":{}}");
    let mut follow = command(&programs::fanfare().expect("the binary"));
    let out = scene.path("followed");
    follow.args(["events", "--follow", "--tenant", "acme", "--store", scene.store()]);
    follow.stdout(fs::File::create(&out).expect("a file"));
    let _follow = Process::spawn(follow);
    scene.run(&["send", "--tenant", "acme", &file]).ok();
    let line = || fs::read_to_string(&out).ok().filter(|text| text.ends_with('\n'));
    let line = until(SOON, line).expect("it comes");
    let event: Value = serde_json::from_str(line.trim()).expect("one line of JSON");
    assert!(line.contains("evt_1"), "{event}");
}
