//! What a folder is: damaged, removed, locked, restored. Each is noticed, and never leads to two
//! routers in one folder, to events that are accepted in vain, or to a follower that misses some.

use std::path::Path;

use fanfare_store::embedded::{self, InTheWay, Options, Role};
use fanfare_store::{Change, Store, StoreError};

use crate::conformance::kit::{self, T0, event, lane, take};

fn open(dir: &Path, role: Role) -> Result<Store, StoreError> {
    embedded::open(dir, Options { role, readers: 2 })
}

fn refused(dir: &Path, role: Role) -> StoreError {
    match open(dir, role) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

/// Overwrites 64 bytes in the middle of the first page of a table.
fn damage(dir: &Path, table: &str) {
    use std::os::unix::fs::FileExt;
    let path = dir.join("fanfare.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "journal_mode", "DELETE").unwrap();
    let page: i64 = conn
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))
        .unwrap();
    let page = u64::try_from(page).unwrap();
    drop(conn);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 64], (page - 1) * 4_096).unwrap();
}

#[tokio::test]
async fn a_damaged_store_takes_no_more_events_and_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Role::Router).unwrap());
    damage(dir.path(), "deliveries");
    let store = open(dir.path(), Role::Router).unwrap();
    let events = [event("acme", "evt_1")];
    kit::append(&store, &events).await;
    let taken = take(&store, 1).await;
    let update = kit::update(&taken[0].event, "hook", Change::Delivered);
    let error = store.log.settle(vec![kit::routed(&taken[0], vec![update])]).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    assert!(!error.is_about_data(), "no event is set aside for it");
    let refused = store.log.append(vec![event("acme", "evt_2")]).await.unwrap_err();
    let unready = store.upkeep.ping().await.unwrap_err();
    for error in [error, refused, unready] {
        let message = error.to_string();
        assert!(message.contains("fanfare.db") && message.contains("fanfare restore"), "{message}");
    }
}

#[tokio::test]
async fn a_folder_that_was_removed_under_the_router_takes_no_more_events() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("store");
    let store = open(&inner, Role::Router).unwrap();
    kit::append(&store, &[event("acme", "evt_1")]).await;
    std::fs::remove_dir_all(&inner).unwrap();
    let error = store.log.append(vec![event("acme", "evt_2")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    assert!(error.to_string().contains("fanfare.db"), "{error}");
    assert!(store.upkeep.ping().await.is_err(), "as readiness says");
}

#[test]
fn a_second_router_is_refused_even_if_the_lock_file_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), Role::Router).unwrap();
    std::fs::remove_file(dir.path().join("fanfare.lock")).unwrap();
    let error = refused(dir.path(), Role::Router);
    assert!(matches!(error, StoreError::Held(_)), "{error:?}");
    drop(first);
    open(dir.path(), Role::Router).expect("free as soon as the first has been dropped");
}

#[tokio::test]
async fn after_a_restore_a_follower_gets_what_comes_though_its_cursor_is_from_before() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, copy) = (dir.path().join("store"), dir.path().join("copy.db"));
    let store = open(&folder, Role::Router).unwrap();
    let some = |from: usize, to: usize| {
        (from..to).map(|n| event("acme", &format!("evt_{n}"))).collect::<Vec<_>>()
    };
    kit::append(&store, &some(0, 7)).await;
    embedded::backup(&folder, &copy, &|_, _| {}).unwrap();
    kit::append(&store, &some(7, 12)).await;
    let cursor = store.ledger.tail("acme", 0, 100).await.unwrap().next;
    drop(store);
    embedded::restore(&copy, &folder, InTheWay::SetAside, &|_, _| {}).unwrap();

    let store = open(&folder, Role::Router).unwrap();
    assert!(store.ledger.tail("acme", cursor, 100).await.unwrap().items.is_empty());
    kit::append(&store, &some(20, 25)).await;
    assert_eq!(take(&store, 12).await.len(), 12, "what waited in the backup, and what is new");
    let tail = store.ledger.tail("acme", cursor, 100).await.unwrap();
    let ids: Vec<_> = tail.items.iter().map(|(_, record)| &*record.event.id).collect();
    assert_eq!(ids, ["evt_20", "evt_21", "evt_22", "evt_23", "evt_24"]);
    assert!(tail.next < 1 << 53, "it stays exact in JSON");
}

#[tokio::test]
async fn a_queue_without_a_line_is_found_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Role::Router).unwrap();
    for n in 0..3 {
        kit::park(&store, &lane("acme", &format!("d{n}")), &format!("evt_{n}"), T0).await;
    }
    assert!(store.upkeep.inspect(T0).await.unwrap().is_empty());
    let other = rusqlite::Connection::open(dir.path().join("fanfare.db")).unwrap();
    other.execute("DELETE FROM agenda WHERE lane_id = 2", []).unwrap();
    assert_eq!(store.upkeep.inspect(T0).await.unwrap().unscheduled, 1);
    assert_eq!(kit::claim(&store, T0).await.len(), 2);
    assert_eq!(store.upkeep.reconcile(T0).await.unwrap().unscheduled, 1);
    assert_eq!(kit::claim_one(&store, T0).await.lane, lane("acme", "d1"));
    assert!(store.upkeep.reconcile(T0).await.unwrap().is_empty());
}
