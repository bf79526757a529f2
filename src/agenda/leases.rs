//! The leases that this process holds. One call renews all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Clock;
use fanfare_store::{Claim, LaneKey, Store};

/// The leases held now.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    claim: Claim,
    lost: CancellationToken,
    /// When it was claimed, or when the last successful renewal began.
    renewed: Instant,
}

impl Leases {
    /// Adds a claim. Dropping the returned lease removes it.
    pub(super) fn hold(self: &Arc<Self>, claim: Claim) -> Lease {
        let lost = CancellationToken::new();
        let token = claim.token.clone();
        let held = Held { claim: claim.clone(), lost: lost.clone(), renewed: Instant::now() };
        self.lock().insert(token, held);
        Lease { claim, lost, leases: self.clone() }
    }

    /// Whether this process still serves the lane.
    pub(super) fn has(&self, lane: &LaneKey) -> bool {
        self.lock().values().any(|held| held.claim.lane == *lane)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews all leases every third of `lease`, forever. If the store is away or does not answer,
    /// they expire. Another process may serve the lane then, and this one starts nothing more.
    pub(super) async fn keep(self: Arc<Self>, store: Store, clock: Clock, lease: Duration) {
        let mut tick = tokio::time::interval(lease / 3);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // After a jump of the clock, leases must be renewed before they seem to have ended.
            tokio::select! {
                _ = tick.tick() => {}
                () = clock.stepped() => {}
            }
            let claims: Vec<Claim> = self.lock().values().map(|held| held.claim.clone()).collect();
            if claims.is_empty() {
                continue;
            }
            let asked = Instant::now();
            let renew = store.agenda.renew(&claims, clock.now_ms(), lease);
            if let Ok(Ok(kept)) = tokio::time::timeout(lease / 3, renew).await {
                self.note(&claims, &kept, asked);
            }
            for held in self.lock().values().filter(|held| held.renewed.elapsed() >= lease) {
                held.lost.cancel();
            }
        }
    }

    fn note(&self, claims: &[Claim], kept: &[bool], asked: Instant) {
        let mut all = self.lock();
        for (claim, kept) in claims.iter().zip(kept) {
            match all.get_mut(&claim.token) {
                Some(held) if *kept => held.renewed = asked,
                Some(held) => held.lost.cancel(),
                None => {}
            }
        }
    }
}

/// One claim, held until dropped.
pub(super) struct Lease {
    pub(super) claim: Claim,
    /// Cancelled when another process may have the lane.
    pub(super) lost: CancellationToken,
    leases: Arc<Leases>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.claim.token);
    }
}
