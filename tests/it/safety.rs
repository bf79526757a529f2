//! What a store in a folder survives besides a kill: an older version's file, a torn write.

use std::fs;
use std::path::Path;
use std::time::Duration;

use fanfare_store::embedded::{self, Options, Role};
use serde_json::json;

use crate::conformance::kit::{append, event};
use crate::crash::Counter;
use crate::scene::{SOON, Scene};

/// A store as the first version of the schema wrote it; the file says what is in it.
const VERSION_1: &str = include_str!("data/schema_1.sql");

fn version(database: &Path) -> i64 {
    let conn = rusqlite::Connection::open(database).expect("a database");
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
}

#[test]
fn a_store_of_the_version_before_is_brought_forward_with_all_that_is_in_it() {
    let scene = Scene::embedded();
    // Whenever this is run, the fixture is not past its time.
    scene.settings("retention = \"36500d\"\n");
    let database = Path::new(scene.store()).join("fanfare.db");
    fs::create_dir(scene.store()).expect("a folder");
    rusqlite::Connection::open(&database)
        .expect("a database")
        .execute_batch(VERSION_1)
        .expect("the fixture is SQL");
    assert_eq!(version(&database), 1);

    // It finds an exception: an event that nobody has read for long.
    let told = scene.run(&["audit", "--json"]).out;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let found = &told[0]["found"];
    assert_eq!(version(&database), 8, "any command brings it forward");
    for (name, count) in [
        ("received", 6),
        ("pending", 1),
        ("unrouted", 3),
        ("delivered", 2),
        ("waiting", 2),
        ("suppressed", 2),
        ("dead", 2),
    ] {
        assert_eq!(found[name], count, "{name} in {found}");
    }
    let shown = scene.json(&["events", "--tenant", "acme", "evt_1"]).to_string();
    assert!(shown.contains("7f6c2a54"), "{shown}");

    // What waited and what had not been read goes to where the tenant is now.
    let counter = Counter::slow(Duration::ZERO);
    let table = counter.table();
    let (hook, _) = table.split_once("[[route]]").expect("a destination and a route");
    let to = |id: &str| hook.replace("\"hooks\"", &format!("\"{id}\""));
    let route = "[[route]]\nevents = [\"kyc.**\"]\nto = [\"well\", \"away\"]\n";
    scene.tenant("acme", &[to("well"), to("away"), route.to_owned()].concat());
    let _router = scene.start();
    counter.wait_for(3, SOON);
    scene.settled("acme", 6);
    assert_eq!(counter.ids(), ["evt_1", "evt_2", "evt_4"].map(str::to_owned).into());
    assert_eq!(counter.duplicates(), 1, "the new one goes to two");
    let found = scene.json(&["audit"])[0]["found"].clone();
    assert_eq!((&found["delivered"], &found["waiting"]), (&json!(6), &json!(0)), "{found}");
}

/// As a disk leaves it when the power goes: the end of the log is missing, or is something else.
#[tokio::test]
async fn nothing_that_was_answered_before_a_tear_is_lost_wherever_it_is() {
    const EVENTS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { role: Role::Router, readers: 1 };
    let store = embedded::open(dir.path(), options).unwrap();
    let log = dir.path().join("fanfare.db-wal");
    // How long the log was when each was answered.
    let mut answered = Vec::new();
    for n in 0..EVENTS {
        append(&store, &[event("acme", &format!("evt_{n}"))]).await;
        answered.push(usize::try_from(log.metadata().unwrap().len()).unwrap());
    }
    let (database, log) =
        (fs::read(dir.path().join("fanfare.db")).unwrap(), fs::read(log).unwrap());
    drop(store);
    let tears = (0..24).map(|n| log.len() - (log.len() - answered[0]) * n / 24);
    for (n, tear) in tears.enumerate() {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("fanfare.db"), &database).unwrap();
        let mut torn = log[..tear].to_vec();
        if n % 2 == 1 {
            // Blocks of something else where the end should be.
            torn.resize(log.len(), 0xa5);
        }
        fs::write(copy.path().join("fanfare.db-wal"), torn).unwrap();

        let store = embedded::open(copy.path(), options).unwrap();
        let safe = answered.iter().filter(|end| **end <= tear).count() as u64;
        let found = store.ledger.counts("acme", 0, i64::MAX).await.unwrap().received;
        assert!(found >= safe, "{found} of {safe} are left of a log torn at {tear}");
        for n in 0..found {
            let id = format!("evt_{n}");
            assert!(store.ledger.event("acme", &id).await.unwrap().is_some(), "{id} is missing");
        }
        // The rest can be sent again, and the file is sound.
        append(&store, &[event("acme", &format!("evt_{found}"))]).await;
        drop(store);
        let conn = rusqlite::Connection::open(copy.path().join("fanfare.db")).unwrap();
        let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "torn at {tear}");
    }
}
