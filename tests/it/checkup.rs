//! `fanfare check --store` says what is wrong with a store, and `fanfare repair` puts right what needs
//! no guess.

use rusqlite::Connection;
use serde_json::Value;

use crate::scene::{Scene, said};
use crate::support::Redis;

/// The checks of a store, whether all is well, and what is said of one of them.
struct Checked(Value);

impl Checked {
    fn store(store: &str) -> Self {
        let said = said(&["check", "--store", store, "--json"]);
        let found: Value = serde_json::from_str(&said.out)
            .unwrap_or_else(|error| panic!("{error}: {} {}", said.out, said.err));
        assert_eq!(said.code, Some(i32::from(found["ok"] == false)), "{found}");
        Self(found)
    }

    #[track_caller]
    fn is(&self, name: &str, verdict: &str, part: &str) {
        let all = self.0["checks"].as_array().expect("a list");
        let of = |check: &&Value| {
            let found = check["found"].as_str().expect("a text");
            check["name"] == name && check["verdict"] == verdict && found.contains(part)
        };
        assert!(all.iter().any(|check| of(&check)), "{name} {verdict} {part}: {:#}", self.0);
    }

    fn problems(&self) -> Vec<&str> {
        let all = self.0["checks"].as_array().expect("a list").iter();
        let bad = all.filter(|check| check["verdict"] == "problem");
        bad.map(|check| check["name"].as_str().expect("a name")).collect()
    }
}

#[test]
fn a_folder_is_checked_from_end_to_end_and_what_needs_no_guess_is_repaired() {
    let scene = Scene::embedded();
    scene.tenant(
        "acme",
        "[[destination]]\nid = \"d\"\nchannel = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n\
         paused = true\nsecret = \"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"\n\
         [[route]]\nevents = [\"**\"]\nto = [\"d\"]\n",
    );
    let router = scene.start();
    scene.send("acme", &crate::scene::numbered(40)).ok();
    crate::support::until(crate::scene::SOON, || {
        let audit = scene.json(&["audit", "--tenant", "acme"]);
        (audit[0]["found"]["waiting"] == 40).then_some(())
    })
    .expect("all of them wait");
    assert_eq!(Checked::store(scene.store()).problems(), [""; 0], "beside a running server");
    scene.run(&["repair"]).refused(3);
    drop(router);

    let database = Connection::open(scene.path("store/fanfare.db")).expect("the database");
    database.execute("DELETE FROM agenda", []).expect("as after a mishap");
    database.execute("UPDATE usage SET waiting = 7", []).expect("as after a mishap");
    drop(database);
    std::fs::write(scene.path("store/fanfare.db.replaced"), "x").expect("the folder");
    let found = Checked::store(scene.store());
    assert_eq!(found.problems(), ["totals", "queues"]);
    found.is("queues", "problem", "without a place");
    found.is("totals", "problem", "fanfare repair");
    found.is("folder", "warning", "fanfare.db.replaced");
    let done = scene.json(&["repair"])["done"].clone();
    assert!(done.as_array().expect("a list").len() >= 2, "{done}");
    assert_eq!(Checked::store(scene.store()).problems(), [""; 0]);
    let audit = scene.json(&["audit", "--tenant", "acme"]);
    assert_eq!(audit[0]["found"]["waiting"], 40, "nothing was removed");
}

#[test]
fn damage_is_told_with_the_remedy_and_a_folder_that_is_not_there_is_not_made() {
    let scene = Scene::embedded();
    drop(scene.start());
    // Everything into the file itself.
    let database = Connection::open(scene.path("store/fanfare.db")).expect("the database");
    let moved = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    moved.expect("nothing else uses it");
    drop(database);
    let file = scene.path("store/fanfare.db");
    let mut bytes = std::fs::read(&file).expect("the database");
    let middle = bytes.len() / 2;
    for at in (4_096 * 3)..bytes.len().min(middle + 40_000) {
        bytes[at] = 0x5a;
    }
    std::fs::write(&file, bytes).expect("the database");
    let said = said(&["check", "--store", scene.store()]);
    assert_eq!(said.code, Some(1), "{} {}", said.out, said.err);
    assert!(said.out.contains("fanfare restore"), "{}", said.out);

    let missing = scene.path("nowhere").display().to_string();
    crate::scene::said(&["check", "--store", &missing]).refused(3);
    assert!(!scene.path("nowhere").exists());
}

#[test]
fn a_redis_is_checked_command_by_command_and_for_what_it_promises() {
    let redis = Redis::start_with(&[
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--maxmemory",
        "100mb",
    ]);
    let found = Checked::store(&redis.url());
    assert_eq!(found.problems(), [""; 0]);
    found.is("commands", "good", "every command");
    found.is("durability", "good", "always");
    found.is("shards", "good", "16");
    found.is("clock", "good", "differ by");
    found.is("contents", "good", "agrees");

    // The documented user may do everything, and one without a command is told which.
    let docs = include_str!("../../docs/redis.md");
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER fanfare ")).expect("a user");
    let line = line.replace("PASSWORD", "s3cret");
    redis.ask::<()>(&line.split(' ').collect::<Vec<_>>());
    let url = format!("redis://fanfare:s3cret@127.0.0.1:{}/", redis.port());
    Checked::store(&url).is("commands", "good", "every command");
    for command in ["xclaim", "zcount", "evalsha", "wait", "hkeys"] {
        redis.ask::<()>(&["ACL", "SETUSER", "fanfare", &format!("-{command}")]);
        let found = Checked::store(&url);
        found.is("commands", "problem", &command.to_uppercase());
        redis.ask::<()>(&["ACL", "SETUSER", "fanfare", &format!("+{command}")]);
    }

    redis.ask::<()>(&["CONFIG", "SET", "appendfsync", "everysec"]);
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.ask::<()>(&["CONFIG", "SET", "maxclients", "10"]);
    let found = Checked::store(&redis.url());
    found.is("durability", "warning", "once a second");
    found.is("durability", "problem", "noeviction");
    found.is("memory", "warning", "maxmemory is not set");
    found.is("connections", "problem", "maxclients");
}
