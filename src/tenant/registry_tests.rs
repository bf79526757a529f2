//! What the registry reads, what it keeps, and what it forgets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::{Registry, Tenant, TenantStatus};
use crate::agenda::{FoundLane, Lanes};
use crate::testing::{Reply, Scene, Setup};
use fanfare_store::{Changes, Directory, LaneKey, Result, StoredTenant};

/// A directory that counts the documents that are read.
struct Counting {
    inner: Arc<dyn Directory>,
    reads: AtomicUsize,
}

#[async_trait]
impl Directory for Counting {
    async fn version(&self) -> Result<u64> {
        self.inner.version().await
    }
    async fn count(&self) -> Result<u64> {
        self.inner.count().await
    }
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        let listed = self.inner.list(after, limit).await?;
        self.reads.fetch_add(listed.len(), Ordering::Relaxed);
        Ok(listed)
    }
    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        self.inner.changed_since(version, limit).await
    }
    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get(id).await
    }
    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        self.inner.put(id, doc, expected).await
    }
    async fn remove(&self, id: &str) -> Result<bool> {
        self.inner.remove(id).await
    }
}

/// A scene with tenants `t0`, `t1`, …, each with the destination `hook`, and a registry of its own.
struct Watched {
    scene: Scene,
    directory: Arc<Counting>,
    registry: Arc<Registry>,
}

impl Watched {
    async fn of(tenants: usize, in_memory: usize) -> Self {
        let mut scene = Scene::start(Setup::default(), &[]).await;
        scene.stop().await;
        for n in 0..tenants {
            scene.put(&id(n), &json!({"hook": {}})).await;
        }
        let mut store = scene.store.clone();
        let inner = store.directory.clone();
        let directory = Arc::new(Counting { inner, reads: AtomicUsize::new(0) });
        store.directory = directory.clone();
        let open = Registry::open(store, scene.channels(), scene.clock, in_memory);
        let registry = open.await.expect("the registry");
        Self { scene, directory, registry }
    }

    async fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        self.registry.find(id).await.expect("the store").usable()
    }

    /// Documents read since the last time.
    fn reads(&self) -> usize {
        self.directory.reads.swap(0, Ordering::Relaxed)
    }

    async fn change(&self, id: &str, concurrency: u32) {
        self.scene.put(id, &json!({"hook": {"concurrency": concurrency}})).await;
    }
}

fn id(n: usize) -> String {
    format!("t{n}")
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_read_when_it_is_first_used_and_no_other() {
    let watched = Watched::of(50, 100).await;
    assert_eq!(watched.reads(), 0, "opening reads none");
    assert!(watched.find("t7").await.is_some());
    assert!(watched.find("t7").await.is_some());
    assert_eq!(watched.reads(), 1);
    assert!(watched.registry.in_memory("t8").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_tenant_reads_that_tenant_alone() {
    let watched = Watched::of(50, 100).await;
    for n in 0..20 {
        watched.find(&id(n)).await.expect("a tenant");
    }
    watched.reads();
    watched.change("t3", 7).await;
    watched.change("t40", 7).await;
    watched.registry.refresh().await.expect("the store");
    assert_eq!(watched.reads(), 1, "one is in memory");
    assert_eq!(watched.find("t3").await.expect("it is there").revision, 2);
    watched.registry.refresh().await.expect("the store");
    assert_eq!(watched.find("t40").await.expect("it is there").revision, 2, "it was not");
    assert_eq!(watched.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_this_process_is_in_effect_at_once() {
    let watched = Watched::of(2, 100).await;
    watched.find("t0").await.expect("a tenant");
    watched.change("t0", 7).await;
    watched.registry.catch_up("t0", 2).await.expect("the store");
    let Some(TenantStatus::Usable(tenant)) = watched.registry.in_memory("t0") else {
        panic!("it is in memory")
    };
    assert_eq!(tenant.revision, 2);
    watched.reads();
    watched.registry.catch_up("t1", 2).await.expect("the store");
    watched.registry.refresh().await.expect("the store");
    assert_eq!(watched.reads(), 0, "nothing that is not in use is read");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_removed_and_made_again_follows() {
    let watched = Watched::of(1, 100).await;
    watched.find("t0").await.expect("a tenant");
    watched.scene.store.directory.remove("t0").await.expect("the store");
    watched.registry.refresh().await.expect("the store");
    assert!(watched.find("t0").await.is_none());
    watched.change("t0", 3).await;
    watched.registry.refresh().await.expect("the store");
    assert!(watched.find("t0").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_id_without_a_tenant_is_looked_up_once_until_there_is_one() {
    let watched = Watched::of(0, 100).await;
    for _ in 0..10 {
        assert!(watched.find("nobody").await.is_none());
    }
    assert_eq!(watched.reads(), 1);
    watched.change("nobody", 3).await;
    watched.registry.refresh().await.expect("the store");
    assert!(watched.find("nobody").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn no_more_tenants_stay_in_memory_than_allowed() {
    let watched = Watched::of(300, 20).await;
    for n in 0..300 {
        watched.find(&id(n)).await.expect("a tenant");
    }
    let kept = watched.registry.all_in_memory().len();
    assert!((10..=40).contains(&kept), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_in_use_stays_and_its_lane_has_one_gate() {
    let watched = Watched::of(300, 20).await;
    let key = LaneKey { tenant: "t0".into(), id: "hook".into() };
    let found = Lanes::find(&*watched.registry, &key).await.expect("the store");
    let FoundLane::There(held) = found else { panic!("a lane") };
    for n in 1..300 {
        watched.find(&id(n)).await.expect("a tenant");
    }
    let current = watched.registry.current(&key).expect("it is in memory");
    assert!(Arc::ptr_eq(&current, &held));

    // Its document changes while it is held: another lane, the same gate.
    watched.scene.put("t0", &json!({"hook": {}, "other": {}})).await;
    watched.registry.refresh().await.expect("the store");
    let changed = watched.registry.current(&key).expect("it is in memory");
    assert!(!Arc::ptr_eq(&changed, &held) && Arc::ptr_eq(&changed.gate, &held.gate));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_cannot_be_used_leaves_the_one_before_in_effect() {
    let watched = Watched::of(2, 100).await;
    watched.find("t0").await.expect("a tenant");
    for id in ["t0", "t1"] {
        watched.scene.store.directory.put(id, "{".into(), None).await.expect("the store");
    }
    watched.registry.refresh().await.expect("the store");
    assert_eq!(watched.find("t0").await.expect("it stays").revision, 1);
    let status = watched.registry.find("t1").await.expect("the store");
    assert!(matches!(status, TenantStatus::Unusable));
    watched.reads();
    watched.registry.refresh().await.expect("the store");
    watched.registry.catch_up("t0", 2).await.expect("the store");
    assert_eq!(watched.reads(), 0, "it is not read again and again");
}

#[tokio::test(start_paused = true)]
async fn of_many_that_look_for_a_tenant_one_reads_it() {
    let watched = Watched::of(1, 100).await;
    let finds = (0..50).map(|_| watched.find("t0"));
    let found = futures::future::join_all(finds).await;
    assert!(found.iter().all(Option::is_some));
    assert_eq!(watched.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_lanes_of_tenants_that_are_not_in_memory_are_served() {
    let mut scene = Scene::start(Setup::default(), &[]).await;
    scene.stop().await;
    scene.receivers.script(|_| Reply::Refuse);
    for n in 0..100 {
        scene.put(&id(n), &json!({"hook": {}})).await;
    }
    scene.run_with(16).await;
    for n in 0..100 {
        scene.send(&id(n), ["evt_1".to_owned()]).await;
    }
    scene.pass(Duration::from_secs(2)).await;
    scene.stop().await;
    scene.receivers.script(|_| Reply::Take);
    // The next process has none of them in memory.
    scene.run_with(16).await;
    scene.pass(Duration::from_mins(2)).await;
    for n in 0..100 {
        let counts = scene.counts(&id(n)).await;
        assert_eq!((counts.delivered, counts.waiting), (1, 0), "{}", id(n));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_was_resumed_while_no_server_ran_is_served_at_once() {
    let mut scene =
        Scene::start(Setup::default(), &[("acme", json!({"hook": {"paused": true}}))]).await;
    scene.send("acme", ["evt_1".to_owned()]).await;
    scene.pass(Duration::from_secs(2)).await;
    assert_eq!(scene.counts("acme").await.waiting, 1);
    scene.stop().await;
    scene.put("acme", &json!({"hook": {}})).await;
    scene.run().await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.counts("acme").await.delivered, 1);
    let paused = scene.store.records.list("paused", None, 10).await.expect("the store");
    assert!(paused.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_delays_the_first_use_and_loses_nothing() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    scene.world.faults.fail("directory.get", 5);
    scene.send("acme", ["evt_1".to_owned()]).await;
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.counts("acme").await.delivered, 1);
}
