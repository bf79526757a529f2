//! The tenants of this process. Each is read and compiled when it is first used, and read again when
//! it changes (`follow`). Tenants that send nothing cost nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::loaded::{Entry, Loaded, TenantStatus};
use super::locks::TenantLocks;
use super::paused::Paused;
use super::repairs;
use super::stored::{self, PutError, document, read, stored};
use super::{Channels, Disabled, Tenant, TenantSpec, compile};
use crate::agenda::{Clock, FoundLane, Lane, Lanes};
use fanfare_contract::LaneId;
use fanfare_store::{LaneKey, Store, StoreError, StoredTenant};

/// The tenants as they are now.
pub struct Registry {
    pub(super) store: Store,
    channels: Channels,
    clock: Clock,
    pub(super) loaded: Loaded,
    /// Held while a tenant is read, so that an older document never replaces a newer one.
    pub(super) locks: TenantLocks,
    /// The version of the directory that the tenants in memory are of.
    pub(super) version: AtomicU64,
    /// One task follows the directory at a time.
    pub(super) following: tokio::sync::Mutex<()>,
    /// The store lost all documents, so revisions start over and cannot be compared.
    pub(super) is_lost: AtomicBool,
    /// The lanes that are paused.
    pub(super) paused: Paused,
    /// Tenants whose paused lanes are still to be compared with those in the store.
    unchecked: Mutex<BTreeSet<Arc<str>>>,
}

impl Registry {
    /// The tenants of `store`, of which about `in_memory` stay in memory. Reads none of them.
    pub async fn open(
        store: Store,
        channels: Channels,
        clock: Clock,
        in_memory: usize,
    ) -> Result<Arc<Self>, StoreError> {
        let version = AtomicU64::new(store.directory.version().await?);
        let loaded = Loaded::new(in_memory, clock);
        let (locks, following, is_lost) = <_>::default();
        let (paused, unchecked) = <_>::default();
        Ok(Arc::new(Self {
            store,
            channels,
            clock,
            loaded,
            locks,
            version,
            following,
            is_lost,
            paused,
            unchecked,
        }))
    }

    /// A tenant, read from the store if it is not in memory.
    pub async fn find(&self, id: &str) -> Result<TenantStatus, StoreError> {
        if let Some(entry) = self.loaded.get(id) {
            return Ok(entry.status);
        }
        let _alone = self.locks.lock(id).await;
        match self.loaded.get(id) {
            Some(entry) => Ok(entry.status),
            None => self.read(id, false).await,
        }
    }

    /// A tenant if it is in memory. `None` if the store has to be asked.
    pub fn in_memory(&self, id: &str) -> Option<TenantStatus> {
        Some(self.loaded.get(id)?.status)
    }

    /// All usable tenants in memory.
    pub fn all_in_memory(&self) -> Vec<Arc<Tenant>> {
        self.loaded.usable()
    }

    /// The channels that destinations can name.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Makes sure that a change written by this process is in effect when this returns. `revision`
    /// is that of the new document.
    pub async fn catch_up(&self, id: &str, revision: u64) -> Result<(), StoreError> {
        self.follow_tenant(id, Some(revision)).await
    }

    /// The same for a tenant that was removed.
    pub async fn catch_up_removed(&self, id: &str) -> Result<(), StoreError> {
        self.follow_tenant(id, None).await
    }

    /// Reads a tenant again if it is in memory and not of this revision.
    pub(super) async fn follow_tenant(
        &self,
        id: &str,
        revision: Option<u64>,
    ) -> Result<(), StoreError> {
        let _alone = self.locks.lock(id).await;
        self.loaded.may_exist(id);
        let is_changed = match self.loaded.get(id) {
            Some(entry) => revision.is_none_or(|revision| entry.revision < revision),
            // What waits may not have to wait any longer, and a paused lane may have been resumed.
            None => {
                repairs::waits(&self.store, id).await?
                    || self.paused.concerns(&*self.store.records, id).await?
            }
        };
        if is_changed {
            self.read(id, false).await?;
        }
        Ok(())
    }

    /// Reads a tenant and puts it into memory. The caller holds its lock. With `is_new`, revisions
    /// cannot be compared with those in memory.
    pub(super) async fn read(&self, id: &str, is_new: bool) -> Result<TenantStatus, StoreError> {
        let before = self.loaded.get(id);
        let entry = match self.store.directory.get(id).await? {
            Some(stored) => self.compiled(&stored, before.clone(), is_new),
            None => Entry { revision: 0, status: TenantStatus::Unknown },
        };
        let status = entry.status.clone();
        let before = before.and_then(|entry| entry.status.usable());
        self.lift(before.as_deref(), &status);
        // Noted first: this task may be dropped before the lanes are compared.
        self.unchecked().insert(id.into());
        self.loaded.put(id, entry);
        self.resume(id).await?;
        Ok(status)
    }

    /// Compiles a stored document. Keeps the previous result if the document is unchanged, or if it
    /// does not compile.
    fn compiled(&self, stored: &StoredTenant, before: Option<Entry>, is_new: bool) -> Entry {
        let StoredTenant { id, revision, doc } = stored;
        if let Some(same) = before.clone().filter(|one| !is_new && one.revision == *revision) {
            return same;
        }
        let previous = before.and_then(|entry| entry.status.usable());
        let compiled = read(doc)
            .and_then(|spec| compile(&spec, *revision, &self.channels, previous.as_deref()));
        let status = match compiled {
            Ok(tenant) => TenantStatus::Usable(Arc::new(tenant)),
            Err(problems) => {
                let effect = if previous.is_some() {
                    "its previous document stays in effect"
                } else {
                    "it is left out"
                };
                for problem in problems {
                    tracing::error!(tenant = id, %problem, "a stored tenant does not compile; {effect}");
                }
                previous.map_or(TenantStatus::Unusable, TenantStatus::Usable)
            }
        };
        Entry { revision: *revision, status }
    }

    /// Lifts what holds repaired lanes back, beside other work.
    fn lift(&self, before: Option<&Tenant>, now: &TenantStatus) {
        let TenantStatus::Usable(now) = now else { return };
        let lifts = repairs::learn(before, now, self.clock.now_ms());
        if !lifts.is_empty() {
            let (store, tenant) = (self.store.clone(), now.id.clone());
            tokio::spawn(repairs::lift_all(store, self.clock, tenant, lifts));
        }
    }

    /// Schedules the lanes of a tenant that were resumed, so that they are served at once.
    async fn resume(&self, id: &str) -> Result<(), StoreError> {
        let tenant = self.loaded.get(id).and_then(|entry| entry.status.usable());
        for lane in self.paused.follow(&*self.store.records, id, tenant.as_deref()).await? {
            self.store.agenda.reschedule(&lane, self.clock.now_ms()).await?;
        }
        self.unchecked().remove(id);
        Ok(())
    }

    /// Does what [`Registry::resume`] could not do.
    pub(super) async fn resume_unchecked(&self) -> Result<(), StoreError> {
        let unchecked = self.unchecked().clone();
        for id in unchecked {
            let _alone = self.locks.lock(&id).await;
            self.resume(&id).await?;
        }
        Ok(())
    }

    fn unchecked(&self) -> MutexGuard<'_, BTreeSet<Arc<str>>> {
        self.unchecked.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn find(&self, key: &LaneKey) -> Result<FoundLane, StoreError> {
        Ok(match self.find(&key.tenant).await? {
            TenantStatus::Usable(tenant) => match tenant.lanes.get(&key.id) {
                Some(lane) => FoundLane::There(lane.clone()),
                None => FoundLane::Unknown,
            },
            TenantStatus::Unusable => FoundLane::Unusable,
            TenantStatus::Unknown => FoundLane::Unknown,
        })
    }

    fn current(&self, key: &LaneKey) -> Option<Arc<Lane>> {
        self.in_memory(&key.tenant)?.usable()?.lanes.get(&key.id).cloned()
    }

    async fn refresh(&self) {
        // `follow` logs failures of the directory.
        let _ = self.refresh().await;
    }
}
