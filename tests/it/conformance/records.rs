//! Small documents with revisions: what every store promises of them.

use std::time::Duration;

use fanfare_store::{Record, StoreError};

use super::Fixture;
use super::kit::{PATIENCE, T0};

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

pub(crate) async fn a_record_is_put_and_read_back<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let records = &store.records;
    assert_eq!(records.get("keys", "a").await.unwrap(), None);
    assert!(records.list("keys", None, 10).await.unwrap().is_empty());
    let doc = b"line\nend \x00\xff\xf0".as_slice();
    let odd = "a:b {x} '\u{1f600}";
    let revision = records.put("keys", odd, doc.into(), None, None).await.unwrap();
    let found = records.get("keys", odd).await.unwrap().expect("it is there");
    assert_eq!((found.id.as_str(), found.revision, &found.doc[..]), (odd, revision, doc));
    assert_eq!(records.get("other", odd).await.unwrap(), None, "collections are apart");
    let newer = records.put("keys", odd, "2".into(), None, None).await.unwrap();
    assert_ne!(newer, revision);

    let store = fixture.crash(store).await;
    let found = store.records.get("keys", odd).await.unwrap().expect("it is durable");
    assert_eq!((found.revision, &found.doc[..]), (newer, &b"2"[..]));
}

pub(crate) async fn records_are_listed_by_id_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for id in ["b", "a", "B", "aa", "\u{e4}", "c"] {
        store.records.put("keys", id, id.to_owned().into(), None, None).await.unwrap();
    }
    store.records.put("keyz", "a", "another".into(), None, None).await.unwrap();
    let all = store.records.list("keys", None, 100).await.unwrap();
    assert_eq!(ids(&all), ["B", "a", "aa", "b", "c", "\u{e4}"], "by their bytes");
    assert!(all.iter().all(|record| record.doc == record.id.as_bytes()));
    let page = store.records.list("keys", None, 2).await.unwrap();
    assert_eq!(ids(&page), ["B", "a"]);
    let page = store.records.list("keys", Some("a"), 2).await.unwrap();
    assert_eq!(ids(&page), ["aa", "b"], "an id that is there is not given again");
    let page = store.records.list("keys", Some("bb"), 10).await.unwrap();
    assert_eq!(ids(&page), ["c", "\u{e4}"], "a place need not be one of the ids");
    assert!(store.records.list("keys", Some("\u{e4}"), 10).await.unwrap().is_empty());
    assert!(store.records.list("keys", None, 0).await.unwrap().is_empty());
}

pub(crate) async fn a_record_changes_only_from_the_expected_revision<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let records = &store.records;
    let first = records.put("keys", "a", "1".into(), Some(0), None).await.unwrap();
    let second = records.put("keys", "a", "2".into(), Some(first), None).await.unwrap();
    let version = records.version("keys").await.unwrap();
    for stale in [0, first, second + 7] {
        let put = records.put("keys", "a", "3".into(), Some(stale), None).await;
        let removed = records.remove("keys", "a", Some(stale)).await;
        for error in [put.unwrap_err(), removed.unwrap_err()] {
            let StoreError::Conflict { expected, actual } = error else {
                panic!("a conflict, not {error:?}")
            };
            assert_eq!((expected, actual), (stale, second));
        }
    }
    let error = records.remove("keys", "nowhere", Some(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { expected: 3, actual: 0 }), "{error:?}");
    assert_eq!(records.version("keys").await.unwrap(), version, "nothing changed");
    assert_eq!(&records.get("keys", "a").await.unwrap().unwrap().doc[..], b"2");
    assert!(records.remove("keys", "a", Some(second)).await.unwrap());
    assert_eq!(records.get("keys", "a").await.unwrap(), None);
}

pub(crate) async fn of_many_writers_one_wins_each_revision<F: Fixture>(fixture: &F) {
    let (store, other) = (fixture.open().await, fixture.beside().await);
    let writers = (0..20).map(|n| {
        let store = if n % 2 == 0 { store.clone() } else { other.clone() };
        tokio::spawn(async move {
            loop {
                let now = store.records.get("count", "n").await.unwrap();
                let revision = now.as_ref().map_or(0, |record| record.revision);
                let count: u32 = now
                    .map_or(0, |record| std::str::from_utf8(&record.doc).unwrap().parse().unwrap());
                let doc = (count + 1).to_string().into();
                match store.records.put("count", "n", doc, Some(revision), None).await {
                    Ok(_) => return,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let count = store.records.get("count", "n").await.unwrap().unwrap().doc;
    assert_eq!(&count[..], b"20", "no update is lost");
}

pub(crate) async fn a_removed_record_is_gone_and_its_revisions_stay_stale<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let records = &store.records;
    assert!(!records.remove("keys", "a", None).await.unwrap());
    assert!(!records.remove("keys", "a", Some(0)).await.unwrap());
    let old = records.put("keys", "a", "1".into(), None, None).await.unwrap();
    assert!(records.remove("keys", "a", None).await.unwrap());
    assert!(records.list("keys", None, 10).await.unwrap().is_empty());
    let new = records.put("keys", "a", "2".into(), Some(0), None).await.unwrap();
    assert!(new > old, "a revision from before is stale, not current again");
}

pub(crate) async fn a_collection_tells_of_every_change_and_of_no_other<F: Fixture>(fixture: &F) {
    let (store, other) = (fixture.open().await, fixture.beside().await);
    let version = async |name: &str| store.records.version(name).await.unwrap();
    let mut last = version("keys").await;
    for change in 0..4 {
        match change {
            0 | 1 => drop(other.records.put("keys", "a", "1".into(), None, None).await.unwrap()),
            2 => drop(other.records.remove("keys", "a", None).await.unwrap()),
            _ => drop(other.records.put("keys", "b", "1".into(), Some(0), None).await.unwrap()),
        }
        let now = version("keys").await;
        assert_ne!(now, last, "change {change} is seen by another process");
        last = now;
    }
    other.records.put("other", "a", "1".into(), None, None).await.unwrap();
    other.records.get("keys", "b").await.unwrap();
    assert!(!other.records.remove("keys", "nowhere", None).await.unwrap());
    assert_eq!(version("keys").await, last, "what is not a change is not told");
}

pub(crate) async fn a_record_ends_with_its_time<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let records = &store.records;
    let (short, long) = (Duration::from_millis(40), Duration::from_mins(10));
    let first = records.put("keys", "short", "1".into(), None, Some(short)).await.unwrap();
    records.put("keys", "long", "1".into(), None, Some(long)).await.unwrap();
    records.put("keys", "renewed", "1".into(), None, Some(short)).await.unwrap();
    records.put("keys", "renewed", "2".into(), None, None).await.unwrap();
    let gone = async {
        while records.get("keys", "short").await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it ends");
    assert_eq!(ids(&records.list("keys", None, 2).await.unwrap()), ["long", "renewed"]);
    assert!(!records.remove("keys", "short", None).await.unwrap(), "it is as if it were not there");
    let error = records.put("keys", "short", "2".into(), Some(first), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { actual: 0, .. }), "{error:?}");
    records.put("keys", "short", "2".into(), Some(0), None).await.unwrap();
    store.upkeep.tidy(T0, 100).await.unwrap();
    let all = records.list("keys", None, 10).await.unwrap();
    assert_eq!(ids(&all), ["long", "renewed", "short"], "nothing else is cleared away");
}
