//! All tenants of this process, kept up to date with the store's directory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::cores::on_all_cores;
use super::paused::Paused;
use super::stored::{self, PutError, document, read, stored};
use super::{Channels, Disabled, Tenant, TenantSpec, compile};
use crate::agenda::{Clock, Lane, Lanes};
use crate::persist::Backoff;
use fanfare_contract::LaneId;
use fanfare_store::{LaneKey, Store, StoreError, StoredTenant};

/// The tenants at one moment, by id.
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
    /// The directory's version that `current` was read from.
    version: AtomicU64,
    /// The store lost all documents, so revisions start over and cannot be compared.
    forgotten: AtomicBool,
    /// The lanes that are paused.
    paused: Paused,
    /// One read of the directory at a time, so that an older result never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
    /// Called with the new tenants before they take effect. Templates follow the tenants this way.
    /// It may take a while, so it does not run on the runtime's threads.
    on_change: Arc<dyn Fn(&Snapshot) + Send + Sync>,
}

impl Registry {
    /// Loads all tenants. A document that does not compile is logged and left out.
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
        let (paused, reading) = <_>::default();
        let registry = Self {
            store,
            channels,
            clock,
            current,
            unusable,
            version,
            forgotten,
            paused,
            reading,
            on_change: on_change.into(),
        };
        let registry = Arc::new(registry);
        let version = registry.reload().await?;
        Ok((registry, version))
    }

    /// The current tenants. Cheap.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// One tenant.
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

    /// Reads the directory. Returns its version.
    pub async fn reload(&self) -> Result<u64, StoreError> {
        let _reading = self.reading.lock().await;
        self.read_all().await
    }

    /// Makes sure that a change written by this process is in effect when this returns.
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
            // Redis was flushed or restarted without its data. A process with tenant files writes
            // them again, and revisions then start over.
            tracing::warn!(
                "the store has lost all tenants; their current routing tables stay in effect"
            );
            self.forgotten.store(true, Ordering::Relaxed);
            return Ok(version);
        }
        let recompile = self.forgotten.swap(false, Ordering::Relaxed);
        let now: Snapshot = self.compile_all(&stored, &before, recompile);
        let unusable = stored.into_iter().map(|tenant| tenant.id);
        let unusable = unusable.filter(|id| !now.contains_key(id.as_str())).collect();
        // Set this before the lanes disappear, so that no lane seems deleted in between.
        self.unusable.store(Arc::new(unusable));
        let now = Arc::new(now);
        let (on_change, seen) = (self.on_change.clone(), now.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || on_change(&seen)).await {
            tracing::error!(%error, "what follows the tenants has failed; it keeps its state");
        }
        self.current.store(now);
        self.version.store(version, Ordering::Relaxed);
        self.resume().await?;
        Ok(version)
    }

    fn compile_all(&self, stored: &[StoredTenant], before: &Snapshot, recompile: bool) -> Snapshot {
        let compile = |stored: &StoredTenant| {
            let tenant = self.compile(stored, before.get(stored.id.as_str()), recompile)?;
            Some((tenant.id.clone(), tenant))
        };
        on_all_cores(stored, compile).into_iter().flatten().collect()
    }

    /// Compiles a stored document. Returns the previous result if the document is unchanged, or if
    /// it does not compile.
    fn compile(
        &self,
        stored: &StoredTenant,
        previous: Option<&Arc<Tenant>>,
        recompile: bool,
    ) -> Option<Arc<Tenant>> {
        let is_same = |tenant: &&Arc<Tenant>| !recompile && tenant.revision == stored.revision;
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
                let effect = if previous.is_some() {
                    "its previous document stays in effect"
                } else {
                    "it is left out"
                };
                for problem in problems {
                    tracing::error!(tenant = stored.id, %problem, "a stored tenant does not compile; {effect}");
                }
                previous.cloned()
            }
        }
    }

    /// Schedules lanes that were resumed, so that they are served at once.
    async fn resume(&self) -> Result<(), StoreError> {
        let now = self.current.load_full();
        for lane in self.paused.follow(&*self.store.records, &now).await? {
            self.store.agenda.reschedule(&lane, self.clock.now_ms()).await?;
        }
        Ok(())
    }

    /// Follows the directory until stopped: checks twice a second whether it changed.
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

    /// Writes a tenant's document, as [`stored::put`].
    pub async fn put(&self, spec: TenantSpec) -> Result<bool, PutError> {
        stored::put(&self.store, &self.channels, spec, self.clock.now_ms()).await
    }

    /// Disables a destination or one of its lanes, durably.
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
        // `follow` logs failures of the directory.
        if let Ok(now) = self.store.directory.version().await
            && now != self.version.load(Ordering::Relaxed)
        {
            let _ = self.reload().await;
        }
    }
}
