//! Follows the store's directory: reads what changed of the tenants in memory, and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;

use super::{Registry, repairs};
use crate::persist::Backoff;
use fanfare_store::{ChangedTenant, Changes, StoreError};

/// How often the directory's version is read.
const EVERY: Duration = Duration::from_millis(500);
/// Changes in one answer of the store.
const CHANGES: usize = 1_000;
/// Tenants that are read at once.
const AT_ONCE: usize = 16;

impl Registry {
    /// Follows the directory until stopped: checks twice a second whether it changed.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut is_started = false;
        loop {
            match self.step(&mut is_started).await {
                Ok(0) => backoff.recovered("the directory of tenants"),
                Ok(changed) => {
                    backoff.recovered("the directory of tenants");
                    tracing::info!(changed, "tenants reloaded");
                }
                Err(error) => backoff.wait("the directory of tenants", &error, &stop).await,
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => break,
            }
        }
    }

    async fn step(&self, is_started: &mut bool) -> Result<usize, StoreError> {
        if !*is_started {
            // Lanes may have been resumed while no server ran, for example in a tenant's file.
            let mut tenants = self.paused.tenants(&*self.store.records).await?;
            // And destinations may have been repaired.
            tenants.extend(repairs::remembered(&*self.store.records).await?);
            let load = tenants.iter().map(|tenant| self.load(tenant).boxed()).collect();
            at_once(load).await?;
            *is_started = true;
        }
        self.resume_unchecked().await?;
        self.refresh().await
    }

    /// Reads what changed since the last time. Returns how many tenants changed, in memory or not.
    pub async fn refresh(&self) -> Result<usize, StoreError> {
        let _alone = self.following.lock().await;
        let mut changed = 0;
        loop {
            let since = self.version.load(Ordering::Relaxed);
            match self.store.directory.version().await? {
                now if now == since => return Ok(changed),
                // Redis was flushed or restarted without its data. A process with tenant files
                // writes them again, and revisions then start over.
                0 => {
                    tracing::warn!(
                        "the store has lost all tenants; the routing tables in memory stay in effect"
                    );
                    self.is_lost.store(true, Ordering::Relaxed);
                    self.version.store(0, Ordering::Relaxed);
                    return Ok(changed);
                }
                _ => {}
            }
            let changes = self.store.directory.changed_since(since, CHANGES).await?;
            changed += changes.tenants.len();
            self.apply(changes).await?;
        }
    }

    async fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        let Changes { version, tenants, has_more: _, is_incomplete } = changes;
        if is_incomplete || self.is_lost.load(Ordering::Relaxed) {
            self.loaded.forget_unknown();
            let ids = self.loaded.ids();
            let read = ids.iter().map(|id| self.read_new(id).boxed()).collect();
            at_once(read).await?;
            self.is_lost.store(false, Ordering::Relaxed);
        } else {
            let follow = tenants.iter().map(|one| self.follow_change(one).boxed()).collect();
            at_once(follow).await?;
        }
        self.version.store(version, Ordering::Relaxed);
        Ok(())
    }

    async fn follow_change(&self, changed: &ChangedTenant) -> Result<(), StoreError> {
        self.follow_tenant(&changed.id, changed.revision).await
    }

    async fn load(&self, id: &str) -> Result<(), StoreError> {
        self.find(id).await.map(drop)
    }

    /// Reads a tenant again, whatever its revision.
    async fn read_new(&self, id: &str) -> Result<(), StoreError> {
        let _alone = self.locks.lock(id).await;
        self.read(id, true).await.map(drop)
    }
}

/// Does some work, a few parts of it at once.
async fn at_once(work: Vec<BoxFuture<'_, Result<(), StoreError>>>) -> Result<(), StoreError> {
    stream::iter(work).buffer_unordered(AT_ONCE).try_collect().await
}
