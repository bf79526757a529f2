//! All tenants of this process, following the store's directory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::cores::on_all_cores;
use super::diff::carry;
use super::{Channels, Disabled, Problem, Tenant, TenantSpec, compile};
use crate::agenda::{Clock, Lane, Lanes};
use crate::persist::Backoff;
use fanfare_contract::LaneId;
use fanfare_store::{LaneKey, Store, StoreError, StoredTenant};

/// Tenants at one moment.
pub type Snapshot = HashMap<Arc<str>, Arc<Tenant>>;

/// Whether this process can route a tenant's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    /// It has a table, perhaps an earlier one.
    Usable,
    /// Its document cannot be used, and there is no earlier table.
    Unusable,
    /// There is no such tenant.
    Unknown,
}

/// The tenants as they are now.
pub struct Registry {
    store: Store,
    channels: Channels,
    clock: Clock,
    current: ArcSwap<Snapshot>,
    /// Tenants whose documents cannot be used and that have no table from before.
    unusable: ArcSwap<HashSet<String>>,
    /// The directory's version that `current` is of.
    version: AtomicU64,
    /// The store lost all documents: revisions say nothing.
    forgotten: AtomicBool,
    /// One reads the directory at a time, so that no older reading takes the place of a newer one.
    reading: tokio::sync::Mutex<()>,
    /// Told of a change before it takes effect; templates follow it.
    on_change: Box<dyn Fn(&Snapshot) + Send + Sync>,
}

impl Registry {
    /// Loads all tenants. A document that does not compile is reported and left out.
    pub async fn load(
        store: Store,
        channels: Channels,
        clock: Clock,
        on_change: Box<dyn Fn(&Snapshot) + Send + Sync>,
    ) -> Result<(Arc<Self>, u64), StoreError> {
        let current = ArcSwap::from_pointee(HashMap::new());
        let unusable = ArcSwap::default();
        let forgotten = AtomicBool::new(false);
        let version = AtomicU64::new(0);
        let reading = <_>::default();
        let registry = Self {
            store,
            channels,
            clock,
            current,
            unusable,
            version,
            forgotten,
            reading,
            on_change,
        };
        let registry = Arc::new(registry);
        let version = registry.reload().await?;
        Ok((registry, version))
    }

    /// The tenants now. Cheap.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// One tenant now.
    pub fn tenant(&self, id: &str) -> Option<Arc<Tenant>> {
        self.current.load().get(id).cloned()
    }

    /// Whether this process can route a tenant's events.
    pub fn status(&self, tenant: &str) -> TenantStatus {
        if self.current.load().contains_key(tenant) {
            TenantStatus::Usable
        } else if self.unusable.load().contains(tenant) {
            TenantStatus::Unusable
        } else {
            TenantStatus::Unknown
        }
    }

    /// The channels that destinations can name.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Reads the directory anew; answers its version.
    pub async fn reload(&self) -> Result<u64, StoreError> {
        let _reading = self.reading.lock().await;
        self.read_all().await
    }

    /// Makes sure that a change which this process wrote is what it routes by from now on.
    pub async fn catch_up(&self, id: &str, revision: u64) -> Result<(), StoreError> {
        let seen = || self.tenant(id).is_some_and(|tenant| tenant.revision >= revision);
        if seen() {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        if !seen() {
            self.read_all().await?;
        }
        Ok(())
    }

    async fn read_all(&self) -> Result<u64, StoreError> {
        let (version, stored) = self.store.directory.all().await?;
        let before = self.current.load_full();
        if version == 0 && !before.is_empty() {
            // Flushed, or back without its data. Who has the files will write them again; revisions
            // begin anew then.
            tracing::warn!("the store has lost all tenants; the tables in force stay");
            self.forgotten.store(true, Ordering::Relaxed);
            return Ok(version);
        }
        let anew = self.forgotten.swap(false, Ordering::Relaxed);
        let now: Snapshot = self.take_all(&stored, &before, anew);
        let unusable = stored.into_iter().map(|tenant| tenant.id);
        let unusable = unusable.filter(|id| !now.contains_key(id.as_str())).collect();
        // Before its lanes are gone, should anybody ask in between.
        self.unusable.store(Arc::new(unusable));
        (self.on_change)(&now);
        self.current.store(Arc::new(now));
        self.version.store(version, Ordering::Relaxed);
        self.resume(&before).await?;
        Ok(version)
    }

    /// All of them.
    fn take_all(&self, stored: &[StoredTenant], before: &Snapshot, anew: bool) -> Snapshot {
        let take = |stored: &StoredTenant| {
            let tenant = self.take(stored, before.get(stored.id.as_str()), anew)?;
            Some((tenant.id.clone(), tenant))
        };
        on_all_cores(stored, take).into_iter().flatten().collect()
    }

    /// The compiled form of a stored document: kept if unchanged, the previous one if unusable.
    fn take(
        &self,
        stored: &StoredTenant,
        previous: Option<&Arc<Tenant>>,
        anew: bool,
    ) -> Option<Arc<Tenant>> {
        let is_same = |tenant: &&Arc<Tenant>| !anew && tenant.revision == stored.revision;
        if let Some(same) = previous.filter(is_same) {
            return Some(same.clone());
        }
        let compiled = read(&stored.doc).and_then(|spec| {
            let previous = previous.map(|tenant| &**tenant);
            compile(&spec, stored.revision, &self.channels, previous)
        });
        match compiled {
            Ok(tenant) => Some(Arc::new(tenant)),
            Err(problems) => {
                let kept =
                    if previous.is_some() { "its last good table stays" } else { "left out" };
                for problem in problems {
                    tracing::error!(tenant = stored.id, %problem, "a stored tenant cannot be used; {kept}");
                }
                previous.cloned()
            }
        }
    }

    /// Lanes that may send again are served at once.
    async fn resume(&self, before: &Snapshot) -> Result<(), StoreError> {
        let now = self.current.load_full();
        for tenant in now.values() {
            let Some(old) = before.get(&tenant.id) else { continue };
            for (id, lane) in &tenant.lanes {
                if old.lanes.get(id).is_some_and(|old| old.paused) && !lane.paused {
                    self.store.agenda.reschedule(&lane.key, self.clock.now_ms()).await?;
                }
            }
        }
        Ok(())
    }

    /// Follows the directory until stopped: asks twice a second whether it changed.
    pub async fn follow(self: Arc<Self>, mut version: u64, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let wait = tokio::time::sleep(Duration::from_millis(500));
            tokio::select! {
                () = wait => {}
                () = stop.cancelled() => break,
            }
            let changed = match self.store.directory.version().await {
                Ok(now) if now == version => Ok(version),
                Ok(_) => self.reload().await,
                Err(error) => Err(error),
            };
            match changed {
                Ok(now) => {
                    backoff.recovered("the directory of tenants");
                    if std::mem::replace(&mut version, now) != now && now > 0 {
                        tracing::info!(tenants = self.current.load().len(), "tenants reloaded");
                    }
                }
                Err(error) => backoff.wait("the directory of tenants", &error, &stop).await,
            }
        }
    }

    /// Writes a tenant's document after checking that it compiles. What was disabled stays so,
    /// unless the destination changed. Answers whether anything changed.
    pub async fn put(&self, spec: TenantSpec) -> Result<bool, PutError> {
        put(&self.store, &self.channels, spec).await
    }

    /// Notes durably that nothing will reach a destination, or one lane of it.
    pub async fn disable(
        &self,
        tenant: &str,
        lane: &LaneId,
        disabled: Disabled,
    ) -> Result<(), StoreError> {
        loop {
            let Some((mut spec, revision)) = stored(&self.store, tenant).await? else {
                return Ok(());
            };
            let there = spec.destinations.iter().any(|one| one.id == lane.destination());
            if !there || spec.disabled.contains_key(lane) {
                return Ok(());
            }
            spec.disabled.insert(lane.clone(), disabled.clone());
            match self.store.directory.put(tenant, document(&spec), Some(revision)).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Lanes for Registry {
    fn lane(&self, key: &LaneKey) -> Option<Arc<Lane>> {
        self.current.load().get(&key.tenant)?.lanes.get(&key.id).cloned()
    }

    fn is_unusable(&self, tenant: &str) -> bool {
        self.status(tenant) == TenantStatus::Unusable
    }

    async fn refresh(&self) {
        // Whoever follows the directory tells of its troubles.
        if let Ok(now) = self.store.directory.version().await
            && now != self.version.load(Ordering::Relaxed)
        {
            let _ = self.reload().await;
        }
    }
}

/// Why a document was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It does not compile.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See [`Registry::put`]; for tools that have no registry.
pub async fn put(
    store: &Store,
    channels: &Channels,
    mut spec: TenantSpec,
) -> Result<bool, PutError> {
    loop {
        let before = stored(store, &spec.id).await?;
        if let Some((before, _)) = &before {
            carry(before, &mut spec);
        }
        compile(&spec, 0, channels, None).map_err(PutError::Problems)?;
        let revision = before.as_ref().map_or(0, |(_, revision)| *revision);
        if before.is_some_and(|(before, _)| before == spec) {
            return Ok(false);
        }
        match store.directory.put(&spec.id, document(&spec), Some(revision)).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A tenant's document and revision in the store.
pub async fn stored(store: &Store, id: &str) -> Result<Option<(TenantSpec, u64)>, StoreError> {
    let Some(found) = store.directory.get(id).await? else { return Ok(None) };
    let unreadable = |_| StoreError::Corrupt(format!("tenant {id} is no document of Fanfare's"));
    let spec = serde_json::from_slice(&found.doc).map_err(unreadable)?;
    Ok(Some((spec, found.revision)))
}

/// All tenants' documents in the store by id, as they are there: read, they take several times the
/// memory.
pub async fn all_stored(store: &Store) -> Result<HashMap<String, Bytes>, StoreError> {
    let (_, all) = store.directory.all().await?;
    Ok(all.into_iter().map(|tenant| (tenant.id, tenant.doc)).collect())
}

/// Reads a tenant's document.
pub fn read(doc: &Bytes) -> Result<TenantSpec, Vec<Problem>> {
    serde_json::from_slice(doc)
        .map_err(|error| vec![Problem::new("tenant", "", format!("unreadable: {error}"))])
}

/// A tenant as it is stored.
pub fn document(spec: &TenantSpec) -> Bytes {
    serde_json::to_vec(spec).expect("a document is strings, numbers and lists").into()
}
