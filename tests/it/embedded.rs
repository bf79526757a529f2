//! What only the store in a folder promises: whose folder it is, what happens when the disk says no.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;
use fanfare_store::embedded::{self, Options, Role};
use fanfare_store::{Admission, Appended, Payload, Store, StoreError};

use crate::conformance::kit::{self, T0, event, take};

fn open(dir: &Path, role: Role) -> Result<Store, StoreError> {
    embedded::open(dir, Options { role, readers: 2 })
}

fn refused(dir: &Path, role: Role) -> StoreError {
    match open(dir, role) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_router_is_told_who_holds_the_folder_and_a_tool_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), Role::Router).unwrap();
    let error = refused(dir.path(), Role::Router);
    assert!(matches!(error, StoreError::Held(_)), "{error:?}");
    let message = error.to_string();
    let folder = dir.path().canonicalize().unwrap();
    for part in [&folder.display().to_string(), &std::process::id().to_string(), "--store"] {
        assert!(message.contains(part), "`{part}` is in `{message}`");
    }
    let tool = open(dir.path(), Role::Tool).unwrap();
    kit::append(&tool, &[event("acme", "evt_1")]).await;
    assert!(tool.log.read(1, Duration::ZERO).await.is_err(), "a tool does not take entries away");
    assert_eq!(take(&first, 1).await.len(), 1);
    drop(first);
    open(dir.path(), Role::Router).expect("free as soon as the first has been dropped");
}

#[test]
fn the_folder_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    let store = open(&inner, Role::Router).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for name in ["fanfare.db", "fanfare.db-wal", "fanfare.lock"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
    drop(store);
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fanfare.db");
    let text = "a text that somebody wrote, long enough to be a header of something. ".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let error = refused(dir.path(), Role::Router);
    assert!(matches!(&error, StoreError::Damaged(_)), "{error:?}");
    assert!(error.to_string().contains("not a store of Fanfare"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let error = refused(dir.path(), Role::Tool);
    assert!(error.to_string().contains("not a store of Fanfare"), "{error}");
    let tables: i64 =
        other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Role::Router).unwrap());
    let path = dir.path().join("fanfare.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    for role in [Role::Router, Role::Tool] {
        let error = refused(dir.path(), role);
        assert!(matches!(&error, StoreError::Newer(_)), "{error:?}");
        assert!(error.to_string().contains("newer Fanfare (schema 99"), "{error}");
    }
}

/// A folder of the first version, with an event in it.
fn first_version(dir: &std::path::Path) {
    let conn = rusqlite::Connection::open(dir.join("fanfare.db")).unwrap();
    conn.execute_batch(include_str!("../../crates/store/src/embedded/schema.sql")).unwrap();
    conn.execute_batch(
        r#"PRAGMA application_id = 0x46414e46; PRAGMA user_version = 1;
        INSERT INTO tenants VALUES (1, 'acme');
        INSERT INTO events VALUES (1, 1, 'evt_old', 'a.b', 7, 1900000000000, 0);
        INSERT INTO bodies VALUES (1, CAST('{"id":"evt_old"}' AS BLOB), NULL);"#,
    )
    .unwrap();
}

#[tokio::test]
async fn a_folder_of_the_first_version_is_brought_forward_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    first_version(dir.path());
    let store = open(dir.path(), Role::Router).unwrap();
    let old = store.ledger.event("acme", "evt_old").await.unwrap().expect("it is still there");
    assert_eq!(old.event.environment, fanfare_contract::Environment::Live);
    assert_eq!(kit::take(&store, 1).await[0].event.body, old.event.body, "and still to be routed");
    store.records.put("keys", "a", "1".into(), Some(0), None).await.unwrap();
    drop(store);
    assert!(open(dir.path(), Role::Router).is_ok(), "once is enough");
}

/// What was committed is there; what a crash of the machine cut off half-way is not, and does no
/// harm.
#[tokio::test]
async fn a_torn_end_of_the_write_ahead_log_is_cut_off() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), Role::Router).unwrap();
    kit::append(&store, &[event("acme", "evt_1")]).await;
    let wal = std::fs::metadata(dir.path().join("fanfare.db-wal")).unwrap().len();
    kit::append(&store, &[event("acme", "evt_2")]).await;
    // As the disk would have it if the power went while the second commit was written.
    std::fs::copy(dir.path().join("fanfare.db"), copy.path().join("fanfare.db")).unwrap();
    let mut log = std::fs::read(dir.path().join("fanfare.db-wal")).unwrap();
    let (wal, whole) = (usize::try_from(wal).unwrap(), log.len());
    assert!(wal + 4_096 < whole, "the second commit is behind the first");
    log.truncate(whole - 1_000);
    let end = log.len();
    log[end - 2_000..].fill(0xa5);
    std::fs::write(copy.path().join("fanfare.db-wal"), log).unwrap();

    let store = open(copy.path(), Role::Router).unwrap();
    assert_eq!(&*take(&store, 1).await[0].event.id, "evt_1");
    kit::expect_nothing_to_read(&store).await;
    let answer = store.log.append(vec![event("acme", "evt_2")]).await.unwrap();
    assert_eq!(answer, [Appended::Accepted]);
    let taken = take(&store, 1).await;
    assert_eq!(kit::admit(&store, &taken).await, [Admission::Fresh]);
}

#[tokio::test]
async fn a_store_whose_file_was_replaced_is_not_well() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Role::Router).unwrap();
    store.upkeep.ping().await.unwrap();
    std::fs::rename(dir.path().join("fanfare.db"), dir.path().join("moved.db")).unwrap();
    let error = store.upkeep.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    std::fs::write(dir.path().join("fanfare.db"), "").unwrap();
    assert!(store.upkeep.ping().await.unwrap_err().to_string().contains("replaced"));
}

#[tokio::test]
async fn a_request_that_fails_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Role::Router).unwrap();
    // Many at once, so that they share transactions; a third of them are refused.
    let calls = (0..300_u64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let expected = (n % 3 == 0).then_some(7);
            store.directory.put(&format!("tenant-{n}"), "{}".into(), expected).await.is_ok()
        })
    });
    let calls: Vec<_> = calls.collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n % 3 != 0, "request {n}");
    }
    assert_eq!(store.directory.count().await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_has_its_turn_beside_a_busy_router() {
    let dir = tempfile::tempdir().unwrap();
    let router = open(dir.path(), Role::Router).unwrap();
    let tool = open(dir.path(), Role::Tool).unwrap();
    let busy = tokio::spawn(async move {
        for n in 0_u64.. {
            let events: Vec<_> = (0..64).map(|m| event("acme", &format!("evt_{n}_{m}"))).collect();
            router.log.append(events).await.expect("append");
        }
    });
    for n in 0..20 {
        kit::append(&tool, &[event("globex", &format!("evt_{n}"))]).await;
    }
    assert!(!busy.is_finished(), "it was busy all the time");
    busy.abort();
    assert!(busy.await.unwrap_err().is_cancelled());
    assert_eq!(tool.ledger.counts("globex", T0, T0 + 1).await.unwrap().received, 20);
}

#[tokio::test]
async fn a_long_backlog_is_read_from_disk_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Role::Router).unwrap();
    let count = 20_000;
    let events: Vec<_> = (0..count).map(|n| event("acme", &format!("evt_{n}"))).collect();
    for chunk in events.chunks(5_000) {
        kit::append(&store, chunk).await;
    }
    let mut seen = 0;
    while seen < count {
        for entry in store.log.read(700, Duration::from_secs(5)).await.unwrap() {
            let Payload::Event(event) = entry.payload else { panic!("an event") };
            assert_eq!(&*event.id, format!("evt_{seen}"));
            seen += 1;
        }
    }
    kit::expect_nothing_to_read(&store).await;
}

/// Runs one of the ignored tests below where mounts are this test's own: as root, or else as root
/// of a user namespace. None where the system allows neither.
fn in_own_mounts(test: &str, dir: &Path) -> Option<Output> {
    let runs = |arguments: &[&str]| {
        Command::new("unshare").args(arguments).arg("true").status().is_ok_and(|s| s.success())
    };
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let way = ways.into_iter().find(|way| runs(way))?;
    let inner = Command::new("unshare")
        .args(way)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env("FANFARE_TEST_FOLDER", dir)
        .output();
    Some(inner.unwrap())
}

fn expect_success(test: &str) {
    let dir = tempfile::tempdir().unwrap();
    let Some(output) = in_own_mounts(test, dir.path()) else {
        eprintln!("not tested: this system lets nobody mount, not even in a namespace");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{told}\nsignal {:?}", output.status.signal());
    assert!(shown.contains("1 passed"), "{shown}");
}

/// Mounts a small file system in memory on the folder that the outer test gave.
fn small_disk(options: &str) -> std::path::PathBuf {
    let dir = std::env::var_os("FANFARE_TEST_FOLDER").expect("run by the outer test");
    mount(&["-t", "tmpfs", "-o", options, "none"], Path::new(&dir));
    dir.into()
}

fn mount(arguments: &[&str], dir: &Path) {
    let mounted = Command::new("mount").args(arguments).arg(dir).status().unwrap();
    assert!(mounted.success());
}

#[test]
fn a_read_only_folder_is_told_clearly() {
    expect_success("embedded::inner_read_only_folder");
}

#[test]
#[ignore = "run by a_read_only_folder_is_told_clearly"]
fn inner_read_only_folder() {
    let dir = small_disk("size=4m");
    drop(open(&dir, Role::Router).unwrap());
    mount(&["-o", "remount,ro"], &dir);
    for role in [Role::Router, Role::Tool] {
        let error = refused(&dir, role);
        assert!(matches!(&error, StoreError::ReadOnly(_)), "{error:?}");
        assert!(error.to_string().contains(&dir.display().to_string()), "{error}");
    }
    assert!(matches!(refused(&dir.join("new"), Role::Router), StoreError::ReadOnly(_)));
}

#[test]
fn a_full_disk_is_told_and_got_over_without_a_restart() {
    expect_success("embedded::inner_full_disk");
}

#[tokio::test]
#[ignore = "run by a_full_disk_is_told_and_got_over_without_a_restart"]
async fn inner_full_disk() {
    let dir = small_disk("size=3m");
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = open(&dir, Role::Router).unwrap();
    let big = |n: usize| {
        let body = vec![b' '; 64 << 10].into();
        let id = format!("evt_{n}").into();
        Arc::new(Event::new("acme".into(), id, "a.b".into(), 1, T0, body))
    };
    let mut accepted = 0;
    let error = loop {
        match store.log.append(vec![big(accepted)]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1_000, "the disk is small");
    };
    assert!(matches!(&error, StoreError::Full(_)), "{error:?}");
    assert!(error.is_temporary());
    assert!(accepted > 3);

    // Reads go on, and everything that was accepted is there.
    let taken = take(&store, accepted).await;
    assert!(store.ledger.event("acme", "evt_0").await.unwrap().is_some());
    assert!(store.ledger.event("acme", &format!("evt_{accepted}")).await.unwrap().is_none());

    std::fs::remove_file(&ballast).unwrap();
    let answer = store.log.append(vec![big(accepted)]).await.unwrap();
    assert_eq!(answer, [Appended::Accepted]);
    let batch = taken.iter().map(|taken| kit::routed(taken, vec![])).collect();
    store.log.settle(batch).await.unwrap();
    assert_eq!(take(&store, 1).await[0].event.id, big(accepted).id);
    store.upkeep.ping().await.unwrap();
    assert_eq!(store.upkeep.warnings().await.len(), 1, "it says that tmpfs is no disk");
}

#[test]
fn a_reader_that_pins_the_log_on_a_full_disk_leaves_room_to_settle_to_tidy_and_to_start_again() {
    expect_success("embedded::inner_pinned_disk");
}

#[tokio::test]
#[ignore = "run by a_reader_that_pins_the_log_on_a_full_disk_leaves_room_to_settle_to_tidy_and_to_start_again"]
async fn inner_pinned_disk() {
    let dir = small_disk("size=48m");
    let store = open(&dir, Role::Router).unwrap();
    kit::append(&store, &[event("acme", "evt_first")]).await;
    // As a backup does: the log cannot be reset as long as this lasts.
    let pinning = rusqlite::Connection::open(dir.join("fanfare.db")).unwrap();
    pinning.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let mut accepted = 1;
    loop {
        match store.log.append(vec![sized(&format!("evt_{accepted}"), 64 << 10)]).await {
            Ok(_) => accepted += 1,
            Err(StoreError::Full(_)) => break,
            Err(error) => panic!("{error:?}"),
        }
        assert!(accepted < 2_000, "the disk is small");
    }
    // Outcomes of what was accepted can be written, while the reader is there.
    let mut settled = 0;
    while settled < accepted {
        let taken = take(&store, (accepted - settled).min(50)).await;
        settled += taken.len();
        let batch = taken.iter().map(|taken| kit::routed(taken, vec![])).collect();
        store.log.settle(batch).await.expect("there is room for outcomes");
    }
    drop(pinning);
    // Retention frees the space again, without anyone's help.
    let mut removed = 0;
    while removed < accepted as u64 {
        let step = store.upkeep.tidy(T0 + 1, 100).await.expect("it goes on");
        assert!(step > 0, "{removed} of {accepted} were removed");
        removed += step;
    }
    drop(store);
    let store = open(&dir, Role::Router).expect("it starts again");
    store.log.append(vec![event("acme", "evt_last")]).await.expect("there is room again");
}

#[tokio::test]
async fn what_waits_past_its_retention_is_not_searched_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Role::Router).unwrap();
    for part in 0..30 {
        let events: Vec<_> =
            (0..1_000).map(|n| event("acme", &format!("evt_{part}_{n}"))).collect();
        kit::append(&store, &events).await;
        let taken = take(&store, events.len()).await;
        let batch = taken.iter().map(|taken| {
            let update = kit::update(&taken.event, "hook", kit::waiting(T0));
            kit::routed(taken, vec![update])
        });
        store.log.settle(batch.collect()).await.unwrap();
    }
    let began = std::time::Instant::now();
    assert_eq!(store.upkeep.tidy(T0 + 1, 500).await.unwrap(), 0);
    let first = began.elapsed();
    assert!(first > Duration::from_millis(20), "a search that is worth a pause: {first:?}");
    let began = std::time::Instant::now();
    for _ in 0..40 {
        assert_eq!(store.upkeep.tidy(T0 + 1, 500).await.unwrap(), 0);
    }
    let others = began.elapsed();
    assert!(others < first * 20, "{others:?} for 40 more, {first:?} for the first");
}

/// An event with a body of this size.
fn sized(id: &str, bytes: usize) -> Arc<Event> {
    let small = event("acme", id);
    let body = serde_json::json!({"id": id, "type": "order.paid", "created": 7,
        "data": {"text": "x".repeat(bytes)}});
    let body = body.to_string().into_bytes().into();
    let (tenant, id, kind) = (small.tenant.clone(), small.id.clone(), small.kind.clone());
    Arc::new(Event::new(tenant, id, kind, small.created, small.received_ms, body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_write_ahead_log_is_bounded_while_reads_overlap_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { role: Role::Router, readers: 6 };
    let store = embedded::open(dir.path(), options).unwrap();
    kit::append(&store, &(0..40).map(|n| sized(&format!("old_{n}"), 100_000)).collect::<Vec<_>>())
        .await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|_| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut reads = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    reads += store.ledger.tail("acme", 0, 40).await.unwrap().items.len().min(1);
                }
                reads
            })
        })
        .collect();
    let (mut written, mut largest) = (0, 0);
    for n in 0..900 {
        let event = sized(&format!("evt_{n}"), 200_000);
        written += event.body.len() as u64;
        store.log.append(vec![event]).await.unwrap();
        largest = largest.max(dir.path().join("fanfare.db-wal").metadata().unwrap().len());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0, "reads went on");
    }
    // It begins again beyond 62 MiB. Without that it would have grown by all that was written.
    assert!(written > 170 << 20);
    assert!(largest < 110 << 20, "{largest} bytes");
}

/// Every promise of the conformance suite.
mod conformance {
    use std::path::PathBuf;

    use fanfare_store::Store;
    use fanfare_store::embedded::{self, Options, Role};

    use crate::conformance::{Fixture, every_promise, search_paths};

    struct Folder {
        dir: tempfile::TempDir,
    }

    impl Folder {
        fn open_as(&self, role: Role) -> Store {
            let dir: PathBuf = self.dir.path().into();
            let options = Options { role, readers: 2 };
            embedded::open_indexed(&dir, options, search_paths()).expect("it opens")
        }
    }

    impl Fixture for Folder {
        const ONE_READER: bool = true;

        async fn start() -> Self {
            Self { dir: tempfile::tempdir().expect("a folder") }
        }

        async fn open(&self) -> Store {
            self.open_as(Role::Router)
        }

        async fn beside(&self) -> Store {
            self.open_as(Role::Tool)
        }

        async fn crash(&self, store: Store) -> Store {
            drop(store);
            self.open_as(Role::Router)
        }
    }

    every_promise!(Folder);
}
