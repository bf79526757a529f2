//! Backups of a folder that a router serves from, and stores made of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, numbered, said};

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// `fanfare backup` of the scene's store.
fn backup(scene: &Scene, name: &str) -> Value {
    let to = text(&scene.path(name));
    scene.json(&["backup", &to])
}

/// The account of a tenant, which must have no exception.
fn audited(scene: &Scene) -> Value {
    scene.json(&["audit"])[0]["found"].clone()
}

#[test]
fn a_backup_under_load_is_one_moment_and_restores_to_a_store_that_goes_on() {
    const EVENTS: usize = 4_000;
    let counter = Counter::slow(Duration::from_millis(5));
    let scene = Scene::embedded();
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let before = numbered(EVENTS);
    scene.send("acme", &before[..500]).ok();
    // Three backups while events come in and go out.
    let taken: Vec<Value> = thread::scope(|scope| {
        let sending = scope.spawn(|| scene.send("acme", &before).ok());
        let taken = (0..3).map(|n| {
            counter.wait_for(EVENTS / 5 * (n + 1), SOON);
            backup(&scene, &format!("backup-{n}.db"))
        });
        let taken = taken.collect();
        sending.join().expect("no panic");
        taken
    });
    let delivered_by_then = counter.distinct();
    counter.wait_for(EVENTS, SOON);
    drop(router);
    for (n, told) in taken.iter().enumerate() {
        let held = told["events"].as_u64().expect("a number");
        assert!((500..=EVENTS as u64).contains(&held), "{told}");
        assert_eq!(told["checked"], true);
        let file = scene.path(&format!("backup-{n}.db"));
        assert_eq!(file.metadata().expect("it is there").len(), told["bytes"]);
        assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    }
    assert!(delivered_by_then <= EVENTS);

    // The second one, in a new folder: it adds up, and what had not been delivered is.
    let store = text(&scene.path("restored"));
    let file = text(&scene.path("backup-1.db"));
    let told = said(&["restore", &file, "--store", &store, "--json"]).ok_json();
    assert_eq!(told["events"], taken[1]["events"]);
    // A backup does not hold the key of its secrets: that is kept apart.
    let key = |store: &str| Path::new(store).join("master.key");
    fs::copy(key(scene.store()), key(&store)).expect("the key is copied");
    let again = Counter::slow(Duration::ZERO);
    // The key is kept apart from the database, also by whoever backs it up.
    let key = |store: &str| Path::new(store).join("master.key");
    fs::copy(key(scene.store()), key(&store)).expect("it is copied");
    let scene = scene.moved_to(store);
    let found = audited(&scene);
    let of = |name: &str| found[name].as_u64().expect("a number");
    assert_eq!(of("received"), taken[1]["events"].as_u64().expect("a number"));
    let open = of("pending") + of("waiting");
    scene.tenant("acme", &again.table());
    let _router = scene.start();
    scene.settled("acme", usize::try_from(of("received")).expect("few"));
    assert!(again.distinct() as u64 >= open, "{} of {open}", again.distinct());
    assert_eq!(audited(&scene)["delivered"], found["received"]);
    // And takes what is new, but not what it has.
    scene.send("acme", &numbered(EVENTS + 5)).ok();
    scene.settled("acme", EVENTS + 5);
}

#[test]
fn a_restore_refuses_a_folder_in_use_or_not_empty_and_keeps_what_it_replaces() {
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::embedded();
    scene.tenant("acme", &counter.table());
    let mut router = scene.start();
    scene.send("acme", &numbered(10)).ok();
    counter.wait_for(10, SOON);
    scene.settled("acme", 10);
    backup(&scene, "ten.db");
    scene.send("acme", &numbered(15)).ok();
    counter.wait_for(15, SOON);
    scene.settled("acme", 15);
    let file = text(&scene.path("ten.db"));

    for more in [&[][..], &["--replace"]] {
        let told = scene.run(&[&["restore", &file], more].concat()).refused(1);
        assert!(told.contains(&format!("already served by process {}", router.id())), "{told}");
    }
    router.sigterm();
    assert!(router.wait_exit(SOON).success());
    let told = scene.run(&["restore", &file]).refused(1);
    assert!(told.contains("is not empty") && told.contains("--replace"), "{told}");
    assert_eq!(audited(&scene)["received"], 15, "as it was");

    let said = scene.run(&["restore", &file, "--replace"]).ok();
    assert!(said.contains("10 events") && said.contains("checked"), "{said}");
    assert_eq!(audited(&scene)["received"], 10);
    let aside = scene.path("aside");
    fs::create_dir(&aside).expect("a folder");
    let kept = Path::new(scene.store()).join("fanfare.db.replaced");
    fs::copy(kept, aside.join("fanfare.db")).expect("it was kept");
    let scene = scene.moved_to(text(&aside));
    assert_eq!(audited(&scene)["received"], 15, "what was replaced is whole");
}

#[test]
fn a_second_restore_does_not_lose_what_the_first_one_has_set_aside() {
    let scene = Scene::embedded();
    scene.tenant("acme", "");
    drop(scene.start());
    scene.send("acme", &numbered(5)).ok();
    backup(&scene, "five.db");
    scene.send("acme", &numbered(9)).ok();
    let file = text(&scene.path("five.db"));
    scene.run(&["restore", &file, "--replace"]).ok();
    let kept = Path::new(scene.store()).join("fanfare.db.replaced");
    let original = fs::read(&kept).expect("it was set aside");
    scene.send("acme", &numbered(7)).ok();
    let told = scene.run(&["restore", &file, "--replace"]).refused(1);
    assert!(told.contains("fanfare.db.replaced") && told.contains("move or remove it"), "{told}");
    assert_eq!(fs::read(&kept).expect("it is there"), original, "the only copy of the original");
    fs::rename(&kept, scene.path("original.db")).expect("one file system");
    scene.run(&["restore", &file, "--replace"]).ok();
    assert!(kept.exists());
}

#[test]
fn a_damaged_newer_or_foreign_backup_is_refused_and_makes_no_store() {
    let scene = Scene::embedded();
    scene.tenant("acme", &crate::scene::hooks_at("http://127.0.0.1:9/"));
    drop(scene.start());
    scene.send("acme", &numbered(2_000)).ok();
    backup(&scene, "good.db");
    let good = fs::read(scene.path("good.db")).expect("it is there");
    let new = text(&scene.path("new"));
    let refused = |name: &str, content: &[u8]| {
        let file = scene.file(name, content);
        let told = said(&["restore", &file, "--store", &new]);
        assert_ne!(told.code, Some(0), "{name}");
        assert!(!scene.path("new/fanfare.db").exists(), "{name} made a store");
        told.err
    };
    let mut garbled = good.clone();
    for byte in &mut garbled[40_000..60_000] {
        *byte ^= 0x5a;
    }
    let told = refused("garbled.db", &garbled);
    assert!(told.contains("garbled.db") && told.contains("another backup"), "{told}");
    refused("half.db", &good[..good.len() / 2]);
    let told = refused("text.db", "no database, but long enough to be one. ".repeat(50).as_bytes());
    assert!(told.contains("not a store of Fanfare"), "{told}");

    let newer = scene.file("newer.db", &good);
    let conn = rusqlite::Connection::open(&newer).expect("a database");
    conn.pragma_update(None, "user_version", 99).expect("a pragma");
    drop(conn);
    let told = said(&["restore", &newer, "--store", &new]).refused(1);
    assert!(told.contains("written by a newer Fanfare (schema 99"), "{told}");

    let there = text(&scene.path("good.db"));
    let told = scene.run(&["backup", &there]).refused(1);
    assert!(told.contains("is there already"), "{told}");
    assert_eq!(fs::read(scene.path("good.db")).expect("it is there"), good);
}

#[test]
fn with_a_redis_store_both_say_what_to_do_instead() {
    let store = ["--store", "redis://127.0.0.1:1"];
    let told = said(&[&["backup", "x.db"], &store[..]].concat()).refused(1);
    assert!(told.contains("BGSAVE") && told.contains("appendonlydir"), "{told}");
    let told = said(&[&["restore", "x.db"], &store[..]].concat()).refused(1);
    assert!(told.contains("appendonlydir"), "{told}");
    assert_eq!(json!(said(&["backup"]).code), 2);
}
