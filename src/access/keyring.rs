//! All API keys in memory, kept up to date with the store.
//!
//! Requests are authenticated from memory alone. The keyring polls the version of the keys'
//! collection twice a second. While the store is unavailable, known keys stay valid.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::{self, CreateError, Created, Document, KEYS, USES};
use super::new_key::NewKey;
use super::principal::{Denied, Principal};
use super::secret::{Hash, Secret};
use crate::agenda::Clock;
use crate::quota::{Bucket, RateDecision, RateLimit};
use fanfare_store::{Ms, Records, Store, StoreError};

/// How often the store is polled for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Shortest time between two reads of the store because of unknown keys.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(100);
/// How often the last uses of keys are written to the store.
const SAVE_USES_INTERVAL: Duration = Duration::from_mins(1);

/// The keys of one process.
pub struct Keyring {
    records: Arc<dyn Records>,
    clock: Clock,
    /// The rate limit of each key. `None` for no limit.
    limit: Option<RateLimit>,
    known: ArcSwap<KnownKeys>,
    /// One read at a time, so that older keys never replace newer ones.
    reading: Mutex<()>,
    /// When the store was last read because of an unknown key.
    refreshed: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct KnownKeys {
    version: u64,
    by_hash: HashMap<[u8; 16], Arc<Entry>>,
    by_id: HashMap<Arc<str>, Arc<Entry>>,
}

struct Entry {
    hash: Hash,
    principal: Arc<Principal>,
    expires_ms: Option<Ms>,
    state: Arc<KeyState>,
}

/// The state of a key that is kept when keys are reloaded.
struct KeyState {
    bucket: Bucket,
    /// 0 until this process uses the key.
    used_ms: AtomicI64,
    saved_ms: AtomicI64,
}

/// An authenticated request.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The principal that it comes from.
    pub principal: Arc<Principal>,
    /// The rate limit's decision. `None` if there is no limit.
    pub rate: Option<RateDecision>,
}

impl Keyring {
    /// Reads all keys.
    pub async fn load(
        store: &Store,
        clock: Clock,
        limit: Option<RateLimit>,
    ) -> Result<Arc<Self>, StoreError> {
        let records = store.records.clone();
        let (known, reading, refreshed) = (ArcSwap::default(), Mutex::default(), Mutex::default());
        let keyring = Self { records, clock, limit, known, reading, refreshed };
        keyring.refresh().await?;
        Ok(Arc::new(keyring))
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.known.load().by_hash.is_empty()
    }

    /// How many keys of each tenant have not expired.
    pub fn counts(&self) -> HashMap<Arc<str>, u64> {
        let (known, now) = (self.known.load(), self.clock.now_ms());
        let valid = |entry: &&Arc<Entry>| entry.expires_ms.is_none_or(|expires| expires > now);
        let mut counts = HashMap::new();
        let tenants = known.by_hash.values().filter(valid);
        for tenant in tenants.filter_map(|entry| entry.principal.tenant.clone()) {
            *counts.entry(tenant).or_default() += 1;
        }
        counts
    }

    /// Authenticates a request by the text of its key, and counts it against the key's rate limit.
    pub fn admit(&self, key: &str) -> Result<Admitted, Denied> {
        let hash = Secret::parse(key).ok_or(Denied::UnknownKey)?.hash();
        let known = self.known.load();
        let entry = known.by_hash.get(&hash.index()).filter(|entry| entry.hash.is(&hash));
        let entry = entry.ok_or(Denied::UnknownKey)?;
        let now = self.clock.now_ms();
        if entry.expires_ms.is_some_and(|expires| expires <= now) {
            return Err(Denied::Expired);
        }
        entry.state.used_ms.store(now, Ordering::Relaxed);
        let rate = self.limit.map(|limit| entry.state.bucket.take(limit, 1, Instant::now()));
        Ok(Admitted { principal: entry.principal.clone(), rate })
    }

    /// Fails if the key with this id was revoked or has expired since it was admitted.
    pub fn check(&self, key_id: &str) -> Result<(), Denied> {
        let known = self.known.load();
        let entry = known.by_id.get(key_id).ok_or(Denied::UnknownKey)?;
        let now = self.clock.now_ms();
        let expired = entry.expires_ms.is_some_and(|expires| expires <= now);
        if expired { Err(Denied::Expired) } else { Ok(()) }
    }

    /// Like [`Keyring::admit`], but reads the store before it refuses an unknown key, because
    /// another process may have created the key a moment ago.
    pub async fn admit_or_refresh(&self, key: &str) -> Result<Admitted, Denied> {
        match self.admit(key) {
            Err(Denied::UnknownKey) if Secret::parse(key).is_some() => {
                self.refresh_for_unknown().await;
            }
            known => return known,
        }
        self.admit(key)
    }

    /// Reads the store, at most ten times a second. One read serves all requests that wait for it.
    async fn refresh_for_unknown(&self) {
        let asked = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        match *refreshed {
            Some(since) if since >= asked => return,
            Some(before) => tokio::time::sleep_until(before + MIN_REFRESH_INTERVAL).await,
            None => {}
        }
        *refreshed = Some(Instant::now());
        if let Err(error) = self.refresh().await {
            tracing::debug!(%error, "API keys could not be read");
        }
    }

    /// Creates a key. It is valid in this process when this returns, and in others within a second.
    pub async fn create(&self, new: NewKey) -> Result<Created, CreateError> {
        let created = keys::create(&*self.records, new, self.clock.now_ms()).await?;
        self.refresh().await?;
        Ok(created)
    }

    /// Revokes a key: in this process when this returns, in others within a second. Returns false
    /// if there is no such key.
    pub async fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let revoked = keys::revoke(&*self.records, id).await?;
        self.refresh().await?;
        Ok(revoked)
    }

    /// Reads changes from the store now.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        // Read the version first: what changes during the read is read again next time.
        let version = self.records.version(KEYS).await?;
        let before = self.known.load_full();
        if version == before.version && version != 0 {
            return Ok(());
        }
        let mut by_hash = HashMap::new();
        let mut by_id = HashMap::new();
        for record in keys::all(&*self.records, KEYS).await? {
            let Some(document) = Document::read(&record) else { continue };
            let Some(hash) = document.hash() else { continue };
            let known = before.by_id.get(record.id.as_str());
            let state = known.map_or_else(Arc::default, |entry| entry.state.clone());
            let principal = Arc::new(document.principal(&record.id));
            let expires_ms = document.expires_ms();
            let entry = Arc::new(Entry { hash, principal, expires_ms, state });
            by_id.insert(entry.principal.key_id.clone(), entry.clone());
            by_hash.insert(hash.index(), entry);
        }
        self.known.store(Arc::new(KnownKeys { version, by_hash, by_id }));
        Ok(())
    }

    /// Follows the store and saves when keys were last used, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut saved = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stop.cancelled() => break,
            }
            // The store logs its own failures. Known keys stay valid.
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "API keys could not be read");
            }
            if saved.elapsed() >= SAVE_USES_INTERVAL {
                saved = Instant::now();
                self.save_uses().await;
            }
        }
        self.save_uses().await;
    }

    /// Saves when keys were last used, for those used since the last time.
    pub async fn save_uses(&self) {
        let known = self.known.load_full();
        for entry in known.by_hash.values() {
            let used = entry.state.used_ms.load(Ordering::Relaxed);
            if used <= entry.state.saved_ms.load(Ordering::Relaxed) {
                continue;
            }
            let doc = used.to_string().into();
            match self.records.put(USES, &entry.principal.key_id, doc, None, None).await {
                Ok(_) => entry.state.saved_ms.store(used, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "the last use of a key could not be saved");
                    return;
                }
            }
        }
    }
}

impl Default for KeyState {
    fn default() -> Self {
        Self { bucket: Bucket::full(), used_ms: AtomicI64::new(0), saved_ms: AtomicI64::new(0) }
    }
}

mod exchange;
#[cfg(test)]
mod tests;
