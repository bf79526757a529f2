//! Claims lanes whose time has come and serves each one in its own task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::leases::{Lease, Leases};
use super::memory::LaneMemory;
use super::round::{Context, Round};
use super::serve::serve;
use super::shares::{Share, Shares};
use super::unknown_lanes::UnknownLanes;
use super::{Clock, FoundLane, Gate, Lanes, Notices, ServeOptions};
use crate::flow::{
    CLAIM_MAX, CLAIM_WAIT_MAX_MS, CLAIM_WAIT_MIN_MS, CLAIM_WAIT_SHARE_FULL, CLOCK_GRACE,
    OUTAGE_GRACE, SERVE_AGAIN_MS, SERVE_AGAIN_REFUSED_MS, SHARE_FULL_WAIT_MS,
};
use crate::persist::Backoff;
use fanfare_store::{Claim, Next, Store, StoreError};

/// Serves the agenda of one store.
pub struct Server {
    context: Arc<Context>,
    leases: Arc<Leases>,
    tasks: TaskTracker,
}

impl Server {
    /// A server that claims nothing once `stop` is cancelled.
    pub fn new(
        store: Store,
        lanes: Arc<dyn Lanes>,
        notices: Arc<dyn Notices>,
        clock: Clock,
        options: ServeOptions,
        memory: Arc<LaneMemory>,
        stop: CancellationToken,
    ) -> Self {
        let share = options.tenant_lanes.min(options.lanes.div_ceil(2)).max(1);
        let context = Context {
            store,
            lanes,
            notices,
            clock,
            options,
            stop,
            unknown_lanes: UnknownLanes::default(),
            slots: Arc::new(Semaphore::new(options.lanes.min(Semaphore::MAX_PERMITS))),
            shares: Shares::new(share),
            memory,
        };
        Self { context: Arc::new(context), leases: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Serves until stopped, then until everything in flight has ended.
    pub async fn run(self) {
        let Context { store, clock, options, stop, .. } = &*self.context;
        let keeper = self.leases.clone().keep(store.clone(), *clock, options.lease);
        let keeper = tokio::spawn(keeper);
        let mut backoff = Backoff::default();
        let mut away_since = None;
        let mut steps = clock.steps();
        while !stop.is_cancelled() {
            self.let_others_finish(&mut away_since).await;
            if std::mem::replace(&mut steps, clock.steps()) != clock.steps() {
                // Leases that seem to have ended are being renewed, here and in other processes.
                self.sleep(CLOCK_GRACE).await;
            }
            match self.claim().await {
                Ok(claims) => {
                    backoff.recovered("the agenda");
                    self.serve_all(claims).await;
                }
                Err(error) => {
                    away_since.get_or_insert_with(Instant::now);
                    backoff.wait("the agenda", &error, stop).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
        keeper.abort();
    }

    /// After a long outage of the store, leases have expired, while their holders still wait to
    /// record what they have sent. To claim at once would send all of it again.
    async fn let_others_finish(&self, away_since: &mut Option<Instant>) {
        let Context { store, options, .. } = &*self.context;
        if away_since.is_none() || store.agenda.next_time().await.is_err() {
            return;
        }
        if away_since.take().is_some_and(|since| since.elapsed() >= options.lease / 3) {
            self.sleep(OUTAGE_GRACE).await;
        }
    }

    /// Claims as many lanes as there are free slots. Waits for the first slot.
    async fn claim(&self) -> Result<Vec<(Claim, OwnedSemaphorePermit)>, StoreError> {
        let Context { store, clock, options, slots, stop, .. } = &*self.context;
        let first = tokio::select! {
            slot = slots.clone().acquire_owned() => slot.ok(),
            () = stop.cancelled() => None,
        };
        let Some(first) = first else { return Ok(Vec::new()) };
        let mut free = vec![first];
        while free.len() < CLAIM_MAX
            && let Ok(slot) = slots.clone().try_acquire_owned()
        {
            free.push(slot);
        }
        let now = clock.now_ms();
        let (max, per_tenant) = (free.len(), options.per_tenant);
        let limits = self.context.shares.limits(per_tenant);
        let claims =
            store.agenda.claim_limited(now, options.lease, max, per_tenant, &limits).await?;
        Ok(claims.into_iter().zip(free).collect())
    }

    /// Starts to serve the claimed lanes. Those beyond their tenant's share are released for later.
    /// If none can be served, waits until that may have changed.
    async fn serve_all(&self, claims: Vec<(Claim, OwnedSemaphorePermit)>) {
        if claims.is_empty() {
            return self.wait_until_due().await;
        }
        let Context { store, clock, shares, .. } = &*self.context;
        let mut is_any_started = false;
        for (claim, slot) in claims {
            if self.leases.has(&claim.lane) {
                // The lease ended while this process still serves the lane. It must not serve it
                // twice at the same time.
                let next = Next::NotBefore(clock.now_ms() + SERVE_AGAIN_MS);
                let _ = store.agenda.release(&claim, next).await;
            } else if let Some(share) = shares.take(&claim.lane.tenant) {
                self.start(claim, slot, share);
                is_any_started = true;
            } else {
                let next = Next::NotBefore(clock.now_ms() + SHARE_FULL_WAIT_MS);
                // If this fails, the lease runs out by itself.
                let _ = store.agenda.release(&claim, next).await;
            }
        }
        if !is_any_started {
            self.sleep(CLAIM_WAIT_SHARE_FULL).await;
        }
    }

    /// Waits until a lane may be due that can be served. Those of tenants at their share cannot.
    async fn wait_until_due(&self) {
        let Context { store, clock, stop, shares, .. } = &*self.context;
        let full: Vec<_> = shares.limits(1).into_iter().map(|(tenant, _)| tenant).collect();
        let next = store.agenda.next_time_without(&full).await.ok().flatten();
        let wait = next.map_or(CLAIM_WAIT_MAX_MS, |at| {
            (at - clock.now_ms()).clamp(CLAIM_WAIT_MIN_MS, CLAIM_WAIT_MAX_MS)
        });
        let wait = Duration::from_millis(wait.unsigned_abs());
        tokio::select! {
            () = store.agenda.changed(wait) => {}
            () = shares.freed() => {}
            () = stop.cancelled() => {}
        }
    }

    fn start(&self, claim: Claim, slot: OwnedSemaphorePermit, share: Share) {
        let lease = self.leases.hold(claim);
        let context = self.context.clone();
        self.tasks.spawn(async move {
            let _places = (slot, share);
            serve_claim(&context, &lease).await;
        });
    }

    /// Sleeps, or until stopped.
    async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.context.stop.cancelled() => {}
        }
    }
}

/// Serves one claimed lane and releases it.
async fn serve_claim(context: &Context, lease: &Lease) {
    let Lease { claim, lost, .. } = lease;
    let gate = || context.lanes.current(&claim.lane).map(|lane| lane.gate.clone());
    let is_same = |before: &Option<Arc<Gate>>| match (before, &gate()) {
        (Some(before), Some(now)) => Arc::ptr_eq(before, now),
        _ => true,
    };
    // Loads the tenant's table, if it is not in memory.
    let before = match context.lanes.find(&claim.lane).await {
        Ok(FoundLane::There(lane)) => Some(lane.gate.clone()),
        _ => None,
    };
    let next = match serve(&Round { context, claim, lost }).await {
        Ok(next) => next,
        Err(error) => {
            let (tenant, destination) = (&*claim.lane.tenant, &*claim.lane.id);
            if error.is_about_data() {
                tracing::warn!(
                    tenant, destination, %error,
                    "a lane could not be served; it will be tried again in a minute"
                );
                Next::NotBefore(context.clock.now_ms() + SERVE_AGAIN_REFUSED_MS)
            } else {
                tracing::debug!(tenant, destination, %error, "a lane could not be served");
                Next::NotBefore(context.clock.now_ms() + SERVE_AGAIN_MS)
            }
        }
    };
    // The destination was repaired meanwhile: a hold by its former settings means nothing.
    let next = if is_same(&before) { next } else { Next::WhenDue };
    let last = gate();
    // If this fails, the lease runs out by itself.
    let _ = context.store.agenda.release(claim, next).await;
    if !is_same(&last) {
        let _ = context.store.agenda.reschedule(&claim.lane, context.clock.now_ms()).await;
    }
}
