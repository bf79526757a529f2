//! The tenants' documents, their revisions, and the change feed.

use fanfare_store::{ChangedTenant, Changes, Directory, StoreError, StoredTenant};
use futures::TryStreamExt as _;

use super::Fixture;

async fn all(directory: &dyn Directory) -> Vec<StoredTenant> {
    directory.all().try_collect().await.expect("the tenants")
}

fn ids(tenants: &[StoredTenant]) -> Vec<&str> {
    tenants.iter().map(|tenant| tenant.id.as_str()).collect()
}

fn changed(changes: &Changes) -> Vec<(&str, Option<u64>)> {
    changes.tenants.iter().map(|one| (one.id.as_str(), one.revision)).collect()
}

pub(crate) async fn a_tenant_is_put_and_read_back<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert!(all(&*store.directory).await.is_empty());
    assert_eq!(store.directory.count().await.unwrap(), 0);
    let empty = store.directory.version().await.unwrap();
    let doc = &b"any bytes \x00\xff"[..];
    let first = store.directory.put("globex", doc.into(), None).await.unwrap();
    store.directory.put("acme", "{}".into(), None).await.unwrap();
    let second = store.directory.put("globex", "2".into(), None).await.unwrap();
    assert!(second > first, "revisions count up");
    assert_ne!(store.directory.version().await.unwrap(), empty);
    let tenants = all(&*store.directory).await;
    assert_eq!(ids(&tenants), ["acme", "globex"], "by id");
    assert_eq!((tenants[1].revision, &tenants[1].doc[..]), (second, &b"2"[..]));
    assert_eq!(store.directory.count().await.unwrap(), 2);

    let store = fixture.crash(store).await;
    assert_eq!(all(&*store.directory).await, tenants, "it is durable");
}

pub(crate) async fn tenants_are_listed_by_id_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    // In another order than that of the ids.
    for n in 0..25 {
        let id = format!("t{:02}", (n * 7) % 25);
        store.directory.put(&id, "{}".into(), None).await.unwrap();
    }
    store.directory.remove("t03").await.unwrap();
    let (mut listed, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.directory.list(after.as_deref(), 10).await.unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        listed.extend(page);
    }
    let expected: Vec<_> = (0..25).filter(|n| *n != 3).map(|n| format!("t{n:02}")).collect();
    assert_eq!(ids(&listed), expected);
    let page = store.directory.list(Some("t0"), 2).await.unwrap();
    assert_eq!(ids(&page), ["t00", "t01"], "after an id that does not exist");
}

pub(crate) async fn a_page_of_long_documents_is_short<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let long = bytes::Bytes::from(vec![b'x'; 5 << 20]);
    for id in ["a", "b", "c"] {
        store.directory.put(id, long.clone(), None).await.unwrap();
    }
    assert_eq!(ids(&store.directory.list(None, 10).await.unwrap()), ["a", "b"]);
    assert_eq!(ids(&all(&*store.directory).await), ["a", "b", "c"]);
}

pub(crate) async fn the_feed_has_each_changed_tenant_once<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    store.directory.put("before", "1".into(), None).await.unwrap();
    let begun = store.directory.version().await.unwrap();
    let nothing = store.directory.changed_since(begun, 10).await.unwrap();
    assert_eq!(nothing, Changes { version: begun, ..Changes::default() });

    store.directory.put("acme", "1".into(), None).await.unwrap();
    let globex = store.directory.put("globex", "1".into(), None).await.unwrap();
    let acme = store.directory.put("acme", "2".into(), None).await.unwrap();
    let changes = store.directory.changed_since(begun, 10).await.unwrap();
    assert_eq!(changed(&changes), [("globex", Some(globex)), ("acme", Some(acme))]);
    assert_eq!(changes.version, store.directory.version().await.unwrap());
    assert!(!changes.has_more && !changes.is_incomplete);

    store.directory.remove("globex").await.unwrap();
    let then = store.directory.changed_since(changes.version, 10).await.unwrap();
    let removed = ChangedTenant { id: "globex".into(), revision: None };
    assert_eq!(then.tenants, [removed], "a removal is a change");
    let again = store.directory.changed_since(then.version, 10).await.unwrap();
    assert_eq!(again.tenants, []);

    let store = fixture.crash(store).await;
    let after = store.directory.changed_since(begun, 10).await.unwrap();
    assert_eq!(changed(&after), [("acme", Some(acme)), ("globex", None)], "it is durable");
}

pub(crate) async fn the_feed_comes_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    store.directory.put("before", "1".into(), None).await.unwrap();
    let mut since = store.directory.version().await.unwrap();
    let expected: Vec<_> = (0..23).map(|n| format!("t{:02}", (n * 7) % 23)).collect();
    for id in &expected {
        store.directory.put(id, "1".into(), None).await.unwrap();
    }
    let mut found = Vec::new();
    loop {
        let page = store.directory.changed_since(since, 10).await.unwrap();
        assert!(page.tenants.len() <= 10 && !page.is_incomplete);
        assert!(page.version > since || !page.has_more, "each page leads on");
        since = page.version;
        found.extend(page.tenants.into_iter().map(|one| one.id));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(found, expected, "in the order of the changes");
    assert_eq!(since, store.directory.version().await.unwrap());
}

pub(crate) async fn a_version_of_the_future_shows_that_changes_are_missing<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    store.directory.put("acme", "1".into(), None).await.unwrap();
    let now = store.directory.version().await.unwrap();
    let changes = store.directory.changed_since(now + 10, 10).await.unwrap();
    assert!(changes.is_incomplete, "{changes:?}");
    assert_eq!(changes.version, now);
}

pub(crate) async fn a_stale_revision_is_refused<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let first = store.directory.put("acme", "1".into(), Some(0)).await.unwrap();
    let second = store.directory.put("acme", "2".into(), Some(first)).await.unwrap();
    let version = store.directory.version().await.unwrap();
    for stale in [0, first, second + 7] {
        let error = store.directory.put("acme", "3".into(), Some(stale)).await.unwrap_err();
        let StoreError::Conflict { expected, actual } = error else {
            panic!("a conflict, not {error:?}")
        };
        assert_eq!((expected, actual), (stale, second));
    }
    let error = store.directory.put("globex", "1".into(), Some(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { expected: 3, actual: 0 }), "{error:?}");
    assert_eq!(store.directory.version().await.unwrap(), version, "nothing changed");
    let tenants = all(&*store.directory).await;
    assert_eq!((tenants.len(), &tenants[0].doc[..]), (1, &b"2"[..]));
}

pub(crate) async fn a_removed_tenant_is_gone<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert!(!store.directory.remove("acme").await.unwrap());
    let old = store.directory.put("acme", "1".into(), None).await.unwrap();
    let version = store.directory.version().await.unwrap();
    let one = store.directory.get("acme").await.unwrap().unwrap();
    assert_eq!(all(&*store.directory).await, [one]);
    assert!(store.directory.remove("acme").await.unwrap());
    assert_eq!(store.directory.get("acme").await.unwrap(), None);
    assert_ne!(store.directory.version().await.unwrap(), version);
    assert!(!store.directory.remove("acme").await.unwrap());
    assert!(all(&*store.directory).await.is_empty());
    assert_eq!(store.directory.count().await.unwrap(), 0);
    let new = store.directory.put("acme", "2".into(), Some(0)).await.unwrap();
    assert!(new > old, "a revision from before is stale, not current again");
    assert_eq!(store.directory.count().await.unwrap(), 1);
}

pub(crate) async fn every_process_sees_a_change_of_the_directory<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let other = fixture.beside().await;
    let before = store.directory.version().await.unwrap();
    other.directory.put("acme", "1".into(), None).await.unwrap();
    let after = store.directory.version().await.unwrap();
    assert_ne!(before, after);
    assert_eq!(all(&*store.directory).await, all(&*other.directory).await);
}
