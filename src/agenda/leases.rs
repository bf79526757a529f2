//! The leases that this process holds, renewed in one call for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Clock;
use crate::store::{Claim, Store};

/// What is held now.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<HashMap<String, (Claim, CancellationToken)>>,
}

impl Leases {
    /// Notes a claim; the guard forgets it when dropped.
    pub(super) fn hold(self: &Arc<Self>, claim: Claim) -> Lease {
        let lost = CancellationToken::new();
        let token = claim.token.clone();
        self.lock().insert(token, (claim.clone(), lost.clone()));
        Lease { claim, lost, leases: self.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Claim, CancellationToken)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews all of them every third of `lease`, for ever. A store that is away is tried again:
    /// the leases may run out meanwhile, and then the next answer says so.
    pub(super) async fn keep(self: Arc<Self>, store: Store, clock: Clock, lease: Duration) {
        let mut tick = tokio::time::interval(lease / 3);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let claims: Vec<Claim> = self.lock().values().map(|(claim, _)| claim.clone()).collect();
            if claims.is_empty() {
                continue;
            }
            let Ok(kept) = store.agenda.renew(&claims, clock.now_ms(), lease).await else {
                continue;
            };
            let held = self.lock();
            for (claim, kept) in claims.iter().zip(kept) {
                if let Some((_, lost)) = held.get(&claim.token).filter(|_| !kept) {
                    lost.cancel();
                }
            }
        }
    }
}

/// One held claim.
pub(super) struct Lease {
    pub(super) claim: Claim,
    /// Cancelled when another process has it now.
    pub(super) lost: CancellationToken,
    leases: Arc<Leases>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.claim.token);
    }
}
