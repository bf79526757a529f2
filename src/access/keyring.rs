//! All keys in memory, following the store.
//!
//! A request is let in from memory alone. Changes are seen by asking for the collection's version a
//! few times a second; while the store is away, the keys that were known stay good.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::{self, Document, KEYS, Made, MakeError, NewKey, USES};
use super::pace::{Bucket, Pace, Taken};
use super::principal::{Denied, Principal};
use super::secret::{Hash, Secret};
use crate::agenda::Clock;
use fanfare_store::{Ms, Records, Store, StoreError};

/// How often changes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// And for the sake of a key that nobody knows.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// How often uses are written down.
const NOTE_EVERY: Duration = Duration::from_mins(1);

/// The keys of one process.
pub struct Keyring {
    records: Arc<dyn Records>,
    clock: Clock,
    /// None lets every key go as fast as it likes.
    pace: Option<Pace>,
    known: ArcSwap<Known>,
    /// One reads at a time, so that nobody puts older keys in the place of newer ones.
    reading: Mutex<()>,
    /// When it was last looked for a key that nobody knew.
    looked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    version: u64,
    by_hash: HashMap<[u8; 16], Arc<Entry>>,
}

struct Entry {
    hash: Hash,
    principal: Arc<Principal>,
    expires_ms: Option<Ms>,
    state: Arc<State>,
}

/// What outlives a reload.
struct State {
    bucket: Bucket,
    /// 0 while it was not used by this process.
    used_ms: AtomicI64,
    noted_ms: AtomicI64,
}

/// A request that was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who it comes from.
    pub principal: Arc<Principal>,
    /// How its key stands with its pace; none when there is no limit.
    pub pace: Option<Taken>,
}

impl Keyring {
    /// Reads all keys.
    pub async fn load(
        store: &Store,
        clock: Clock,
        pace: Option<Pace>,
    ) -> Result<Arc<Self>, StoreError> {
        let records = store.records.clone();
        let (known, reading, looked) = (ArcSwap::default(), Mutex::default(), Mutex::default());
        let keyring = Self { records, clock, pace, known, reading, looked };
        keyring.refresh().await?;
        Ok(Arc::new(keyring))
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.known.load().by_hash.is_empty()
    }

    /// Lets a request in, or not, by the text of its key. Takes one from the key's pace.
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
        let pace = self.pace.map(|pace| entry.state.bucket.take(pace, Instant::now()));
        Ok(Admitted { principal: entry.principal.clone(), pace })
    }

    /// The same; but a key that nobody knows may have been made a moment ago by another process, so
    /// the store is asked before it is refused.
    pub async fn admit_or_look(&self, key: &str) -> Result<Admitted, Denied> {
        match self.admit(key) {
            Err(Denied::UnknownKey) if Secret::parse(key).is_some() => self.look().await,
            known => return known,
        }
        self.admit(key)
    }

    /// Looks for changes, ten times a second at most whoever asks: one look is for all who wait.
    async fn look(&self) {
        let asked = Instant::now();
        let mut looked = self.looked.lock().await;
        match *looked {
            Some(since) if since >= asked => return,
            Some(before) => tokio::time::sleep_until(before + LOOK_AT_MOST_EVERY).await,
            None => {}
        }
        *looked = Some(Instant::now());
        if let Err(error) = self.refresh().await {
            tracing::debug!(%error, "keys were not looked at");
        }
    }

    /// Makes a key, which is good here when this returns, elsewhere within a second.
    pub async fn create(&self, new: NewKey) -> Result<Made, MakeError> {
        let made = keys::create(&*self.records, new, self.clock.now_ms()).await?;
        self.refresh().await?;
        Ok(made)
    }

    /// Revokes a key, here when this returns, elsewhere within a second. False when there is none.
    pub async fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let revoked = keys::revoke(&*self.records, id).await?;
        self.refresh().await?;
        Ok(revoked)
    }

    /// Takes up changes now.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        // Asked before: what changes while they are read is read again next time.
        let version = self.records.version(KEYS).await?;
        let before = self.known.load_full();
        if version == before.version && version != 0 {
            return Ok(());
        }
        let states: HashMap<&str, &Arc<State>> =
            before.by_hash.values().map(|entry| (&*entry.principal.key_id, &entry.state)).collect();
        let mut by_hash = HashMap::new();
        for record in keys::all(&*self.records, KEYS).await? {
            let Some(document) = Document::read(&record) else { continue };
            let Some(hash) = document.hash() else { continue };
            let state = states.get(record.id.as_str()).map_or_else(Arc::default, |s| (*s).clone());
            let principal = Arc::new(document.principal(&record.id));
            let expires_ms = document.expires_ms();
            by_hash.insert(hash.index(), Arc::new(Entry { hash, principal, expires_ms, state }));
        }
        self.known.store(Arc::new(Known { version, by_hash }));
        Ok(())
    }

    /// Follows the store, and writes down uses, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut noted = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => break,
            }
            // The store tells of its own absence; what was known goes on being good.
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "keys were not looked at");
            }
            if noted.elapsed() >= NOTE_EVERY {
                noted = Instant::now();
                self.note_uses().await;
            }
        }
        self.note_uses().await;
    }

    /// Writes down when keys were last used, of those that were used since the last time.
    pub async fn note_uses(&self) {
        let known = self.known.load_full();
        for entry in known.by_hash.values() {
            let used = entry.state.used_ms.load(Ordering::Relaxed);
            if used <= entry.state.noted_ms.load(Ordering::Relaxed) {
                continue;
            }
            let doc = used.to_string().into();
            match self.records.put(USES, &entry.principal.key_id, doc, None, None).await {
                Ok(_) => entry.state.noted_ms.store(used, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(%error, "the use of a key was not written down");
                    return;
                }
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { bucket: Bucket::full(), used_ms: AtomicI64::new(0), noted_ms: AtomicI64::new(0) }
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
