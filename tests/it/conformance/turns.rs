//! The log takes turns: what one tenant has in it hides the entries of no other tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_store::{Entry, Payload, Share, Store, Unlimited};

use super::Fixture;
use super::kit::{PATIENCE, append, event, expect_nothing_to_read};

/// Events of the tenant with a backlog: more than is read at once, and no more than a store looks
/// ahead.
const BACKLOG: usize = 3_000;
/// Entries in one read, as the router does it.
const BATCH: usize = 512;
const QUIET: usize = 3;

async fn flood_then_quiet(store: &Store) {
    for batch in 0..BACKLOG / 500 {
        let events: Vec<_> =
            (0..500).map(|n| event("flood", &format!("evt_{:05}", batch * 500 + n))).collect();
        append(store, &events).await;
    }
    for n in 0..QUIET {
        append(store, &[event("quiet", &format!("evt_{n}"))]).await;
    }
}

/// The tenants and ids of what is read until the quiet tenant's events have come.
async fn read_until_quiet(store: &Store) -> Vec<(Arc<str>, Arc<str>)> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut read: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    while read.iter().filter(|(tenant, _)| &**tenant == "quiet").count() < QUIET {
        assert!(tokio::time::Instant::now() < until, "{} entries came", read.len());
        let mut entries = store.log.take_over(BATCH).await.unwrap();
        if entries.is_empty() {
            let wait = Duration::from_millis(200);
            entries = store.log.read_shared(BATCH, wait, &Unlimited).await.unwrap();
        }
        read.extend(entries.into_iter().map(named));
    }
    read
}

fn named(entry: Entry) -> (Arc<str>, Arc<str>) {
    match entry.payload {
        Payload::Event(event) => (Arc::clone(&event.tenant), Arc::clone(&event.id)),
        Payload::Raw(_) => panic!("an event came back as raw fields"),
    }
}

/// Each event once, and those of a tenant in order.
fn assert_in_order(read: &[(Arc<str>, Arc<str>)]) {
    let mut last: HashMap<&str, &str> = HashMap::new();
    for (tenant, id) in read {
        let before = last.insert(tenant, id);
        assert!(before.is_none_or(|before| before < &**id), "{tenant}: {id} after {before:?}");
    }
}

pub(crate) async fn a_backlog_of_one_tenant_does_not_hide_another<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    flood_then_quiet(&store).await;
    let mut read = read_until_quiet(&store).await;
    assert!(read.len() <= BACKLOG - BATCH, "{} of {BACKLOG} came first", read.len());
    while read.len() < BACKLOG + QUIET {
        let entries = store.log.read(BATCH, PATIENCE).await.unwrap();
        assert!(!entries.is_empty(), "{} came", read.len());
        read.extend(entries.into_iter().map(named));
    }
    assert_in_order(&read);
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn a_backlog_from_before_a_crash_does_not_hide_another_tenant<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    flood_then_quiet(&store).await;
    let store = fixture.crash(store).await;
    let read = read_until_quiet(&store).await;
    assert!(read.len() <= BACKLOG - BATCH, "{} of {BACKLOG} came first", read.len());
    assert_in_order(&read);
}

/// What is left of the share of `flood`. Others have no limit.
struct Left(AtomicUsize);

impl Share for Left {
    fn left(&self, tenant: &str) -> usize {
        if tenant == "flood" { self.0.load(Ordering::Relaxed) } else { usize::MAX }
    }
}

pub(crate) async fn a_tenant_that_has_had_its_share_is_read_later_and_in_order<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let flood: Vec<_> = (0..100).map(|n| event("flood", &format!("evt_{n:05}"))).collect();
    append(&store, &flood).await;
    append(&store, &[event("quiet", "evt_0")]).await;
    let share = Left(AtomicUsize::new(0));
    let quiet = store.log.read_shared(50, PATIENCE, &share).await.unwrap();
    let quiet: Vec<_> = quiet.into_iter().map(named).collect();
    assert_eq!(quiet, [("quiet".into(), "evt_0".into())]);
    let wait = Duration::from_millis(50);
    assert!(store.log.read_shared(50, wait, &share).await.unwrap().is_empty());
    let mut read = Vec::new();
    for left in [7, 30, 1_000] {
        share.0.store(left, Ordering::Relaxed);
        let entries = store.log.read_shared(1_000, PATIENCE, &share).await.unwrap();
        assert!(entries.len() <= left);
        read.extend(entries.into_iter().map(named));
    }
    assert_eq!(read.len(), 100);
    assert_in_order(&read);
}
