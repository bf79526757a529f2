//! Claims lanes whose time has come and serves each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::leases::{Lease, Leases};
use super::serve::{Round, serve};
use super::shares::{Share, Shares};
use super::strangers::Strangers;
use super::{Clock, Lanes, Notices};
use fanfare_store::{Claim, Ms, Next, Store, StoreError};

/// Bounds of serving.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// How long a claim holds without a sign of life.
    pub lease: Duration,
    /// Lanes served at once in this process.
    pub lanes: usize,
    /// Of one tenant among those that one claim brings.
    pub per_tenant: usize,
    /// Of one tenant among those that are served at once, and never more than half of `lanes`: a
    /// tenant whose receivers all hang leaves room for the others.
    pub tenant_lanes: usize,
    /// A lane with more work than this goes back behind the others, if there are any.
    pub slice: Duration,
    /// Deliveries read from a queue at once.
    pub batch: usize,
    /// Most events in one digest message.
    pub digest_events: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            lanes: 1_024,
            per_tenant: 16,
            tenant_lanes: 128,
            slice: Duration::from_secs(5),
            batch: 128,
            digest_events: 10_000,
        }
    }
}

/// Serves the agenda of one store.
#[derive(Clone)]
pub struct Server {
    pub(super) store: Store,
    pub(super) lanes: Arc<dyn Lanes>,
    pub(super) notices: Arc<dyn Notices>,
    pub(super) clock: Clock,
    pub(super) options: ServeOptions,
    pub(super) stop: CancellationToken,
    pub(super) strangers: Arc<Strangers>,
    slots: Arc<Semaphore>,
    shares: Arc<Shares>,
    leases: Arc<Leases>,
    tasks: TaskTracker,
}

impl Server {
    /// A server that takes nothing new once `stop` is cancelled.
    pub fn new(
        store: Store,
        lanes: Arc<dyn Lanes>,
        notices: Arc<dyn Notices>,
        clock: Clock,
        options: ServeOptions,
        stop: CancellationToken,
    ) -> Self {
        let most = options.tenant_lanes.min(options.lanes.div_ceil(2)).max(1);
        Self {
            store,
            lanes,
            notices,
            clock,
            options,
            stop,
            strangers: Arc::default(),
            slots: Arc::new(Semaphore::new(options.lanes.min(Semaphore::MAX_PERMITS))),
            shares: Shares::new(most),
            leases: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Serves until stopped, then until what is in flight has ended.
    pub async fn run(self) {
        let keeper = self.leases.clone().keep(self.store.clone(), self.clock, self.options.lease);
        let keeper = tokio::spawn(keeper);
        let mut trouble = Trouble::default();
        let mut away = None;
        while !self.stop.is_cancelled() {
            self.let_others_settle(&mut away).await;
            match self.claim().await {
                Ok(claims) => {
                    trouble.over("the agenda");
                    let none = claims.is_empty();
                    let begun = self.begin_all(claims).await;
                    if none {
                        self.idle().await;
                    } else if begun == 0 {
                        self.rest().await;
                    }
                }
                Err(error) => {
                    away.get_or_insert_with(Instant::now);
                    trouble.wait("the agenda", &error, &self.stop).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
        keeper.abort();
    }

    /// A store that was away for long comes back with leases that have run out, while their holders
    /// still wait to write what they have sent. Who claimed at once would send it all again.
    async fn let_others_settle(&self, away: &mut Option<Instant>) {
        // The longest wait between two tries of a settlement.
        const GRACE: Duration = Duration::from_millis(2_500);
        if away.is_none() || self.store.agenda.next_time().await.is_err() {
            return;
        }
        let long = away.take().is_some_and(|since| since.elapsed() >= self.options.lease / 3);
        if long {
            tokio::select! {
                () = tokio::time::sleep(GRACE) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// May a round of this tenant's go on after its slice? Not when others wait for its place.
    pub(super) fn has_room(&self, tenant: &Arc<str>) -> bool {
        self.slots.available_permits() > 0 && !self.shares.is_full(tenant)
    }

    async fn claim(&self) -> Result<Vec<(Claim, OwnedSemaphorePermit)>, StoreError> {
        // Waits for one slot, then takes what is free.
        let first = tokio::select! {
            slot = self.slots.clone().acquire_owned() => slot.ok(),
            () = self.stop.cancelled() => None,
        };
        let Some(first) = first else { return Ok(Vec::new()) };
        let mut free = vec![first];
        while free.len() < 64
            && let Ok(slot) = self.slots.clone().try_acquire_owned()
        {
            free.push(slot);
        }
        let (now, lease, per_tenant) =
            (self.clock.now_ms(), self.options.lease, self.options.per_tenant);
        let claims = self.store.agenda.claim(now, lease, free.len(), per_tenant).await?;
        Ok(claims.into_iter().zip(free).collect())
    }

    /// Until something may be due.
    async fn idle(&self) {
        // Not less than a little: whatever the store says, this is no busy loop.
        const SHORTEST_MS: Ms = 2;
        const LONGEST_MS: Ms = 1_000;
        let next = self.store.agenda.next_time().await.ok().flatten();
        let wait =
            next.map_or(LONGEST_MS, |at| (at - self.clock.now_ms()).clamp(SHORTEST_MS, LONGEST_MS));
        let wait = Duration::from_millis(wait.unsigned_abs());
        tokio::select! {
            () = self.store.agenda.changed(wait) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// After a claim that only brought lanes of tenants that have their share.
    async fn rest(&self) {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Begins to serve; what is beyond a tenant's share is put off. Answers how many were begun.
    async fn begin_all(&self, claims: Vec<(Claim, OwnedSemaphorePermit)>) -> usize {
        const PUT_OFF_MS: Ms = 500;
        let mut begun = 0;
        for (claim, slot) in claims {
            if let Some(share) = self.shares.take(&claim.lane.tenant) {
                self.begin(claim, slot, share);
                begun += 1;
            } else {
                let next = Next::NotBefore(self.clock.now_ms() + PUT_OFF_MS);
                // If this fails, the lease runs out by itself.
                let _ = self.store.agenda.release(&claim, next).await;
            }
        }
        begun
    }

    fn begin(&self, claim: Claim, slot: OwnedSemaphorePermit, share: Share) {
        let lease = self.leases.hold(claim);
        let server = self.clone();
        self.tasks.spawn(async move {
            let _places = (slot, share);
            server.serve_claim(lease).await;
        });
    }

    async fn serve_claim(&self, lease: Lease) {
        let round = Round { server: self, claim: &lease.claim, lost: &lease.lost };
        let next = match serve(&round).await {
            Ok(next) => next,
            Err(error) => {
                let lane = &lease.claim.lane;
                let (tenant, destination) = (&*lane.tenant, &*lane.id);
                if error.is_temporary() {
                    tracing::debug!(tenant, destination, %error, "a lane could not be served");
                    Next::NotBefore(self.clock.now_ms() + 1_000)
                } else {
                    // Whatever it is, it will not be over in a moment.
                    tracing::warn!(
                        tenant, destination, %error,
                        "a lane could not be served; it will be tried again in a minute"
                    );
                    Next::NotBefore(self.clock.now_ms() + 60_000)
                }
            }
        };
        // If this fails, the lease runs out by itself.
        let _ = self.store.agenda.release(&lease.claim, next).await;
    }
}

/// Waits between failures of the store. What is more than an absence it tells once, and once that it
/// is over.
#[derive(Default)]
pub struct Trouble {
    failures: u32,
    told: bool,
}

impl Trouble {
    /// Waits a while, longer each time, or until `stop`.
    pub async fn wait(&mut self, what: &str, error: &StoreError, stop: &CancellationToken) {
        if self.failures == 0 {
            // That the store is away is told once, by `store::condition`, not by all who need it.
            if error.is_temporary() {
                tracing::debug!(%error, "{what} cannot be reached; trying again until it can");
            } else {
                tracing::warn!(%error, "{what} cannot be used; trying again until it can");
                self.told = true;
            }
        }
        self.rest(stop).await;
    }

    /// Waits a while, longer each time, and says nothing.
    pub async fn rest(&mut self, stop: &CancellationToken) {
        self.failures += 1;
        let wait = Duration::from_millis(50 << self.failures.min(5));
        let wait = crate::delivery::spread(wait, 0.3, rand::random());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }

    /// It went well.
    pub fn over(&mut self, what: &str) {
        self.failures = 0;
        if std::mem::take(&mut self.told) {
            tracing::info!("{what} can be used again");
        }
    }
}
