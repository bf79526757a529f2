//! Runs the parts: reads entries, routes them, serves the agenda, follows the tenants, stops in order.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Intake;
use super::admission::{self, Admitted};
use super::batches::{Batch, Batches};
use super::crowded::Crowded;
use super::dispatch::Dispatch;
use super::intake::{self, refused, rejected};
use super::notices::{Bulletin, BulletinWriter};
use super::settle::{self, Outbox, Settled, Tracking};
use crate::agenda::{Clock, Job, Lane, Mode, ServeOptions, Server, Trouble};
use crate::catalogue::Catalogue;
use crate::event::{Limits, Refusal};
use crate::observe::{Observe, Source};
use crate::tenant::{Registry, Snapshot, Standing};
use fanfare_store::{Admission, Entry, EntryId, Outcome, Payload, Rejected, Settlement, Store};

/// Bounds of the router.
#[derive(Clone, Copy, Debug)]
pub struct RouterOptions {
    /// Entries read and not yet settled, at most.
    pub window: usize,
    /// Entries read, admitted or settled at once.
    pub batch: usize,
    /// Bounds on one event.
    pub limits: Limits,
    /// Bounds of serving the agenda.
    pub serve: ServeOptions,
    /// How long events are kept.
    pub retention: Duration,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            window: 4_096,
            batch: 512,
            limits: Limits::default(),
            serve: ServeOptions::default(),
            retention: Duration::from_hours(30 * 24),
        }
    }
}

/// The router of one process.
pub struct Router {
    store: Store,
    registry: Arc<Registry>,
    clock: Clock,
    options: RouterOptions,
    dispatch: Dispatch,
    bulletin: BulletinWriter,
    observe: Arc<Observe>,
    catalogue: Option<Arc<Catalogue>>,
}

impl Router {
    /// A router over `store` with `registry`'s tenants.
    pub fn new(
        store: Store,
        registry: Arc<Registry>,
        clock: Clock,
        options: RouterOptions,
        observe: Arc<Observe>,
    ) -> Self {
        let (notices, bulletin) = Bulletin::new(clock, observe.clone());
        let dispatch = Dispatch { clock, notices, agenda: store.agenda.clone() };
        let catalogue = None;
        Self { store, registry, clock, options, dispatch, bulletin, observe, catalogue }
    }

    /// Checks entries of the stream by the schemas of their types.
    #[must_use]
    pub fn checking(mut self, catalogue: Arc<Catalogue>) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Runs until `stop`: then reads no more, lets what is in flight end, hands the rest back.
    /// The caller bounds how long that may take.
    pub async fn run(self, version: u64, stop: CancellationToken) {
        let heart = tokio::spawn(beat(self.store.clone(), self.clock));
        let notices = self.dispatch.notices.clone();
        let server = Server::new(
            self.store.clone(),
            self.registry.clone(),
            notices,
            self.clock,
            self.options.serve,
            stop.clone(),
        );
        let server = tokio::spawn(server.run());
        let follow = tokio::spawn(self.registry.clone().follow(version, stop.clone()));
        let tidy = tokio::spawn(tidy(self.store.clone(), self.clock, self.options.retention));
        let (outbox, inbox) = mpsc::unbounded_channel();
        let observe = self.observe;
        let (store, batch) = (self.store.clone(), self.options.batch);
        let settler = settle::run(store, inbox, batch, self.clock, observe.clone());
        let settler = tokio::spawn(settler);
        let bulletin = tokio::spawn(self.bulletin.run(self.store.clone(), self.registry.clone()));

        let reader = Reader {
            store: self.store.clone(),
            registry: self.registry,
            clock: self.clock,
            intake: Intake { limits: self.options.limits },
            catalogue: self.catalogue,
            dispatch: self.dispatch,
            window: Arc::new(Semaphore::new(self.options.window)),
            places: self.options.window,
            most_places: self.options.window.saturating_sub(batch) / 2,
            batch,
            outbox,
            observe,
        };
        reader.run(&stop).await;
        // Every tracking holds a sender: the settler ends when the last delivery is settled.
        for task in [settler, server, bulletin, follow] {
            let _: Result<(), _> = task.await;
        }
        end(heart).await;
        end(tidy).await;
        let _ = self.store.upkeep.leave().await;
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

/// Says every two seconds that this process lives.
async fn beat(store: Store, clock: Clock) {
    let mut tick = tokio::time::interval(Duration::from_secs(2));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let _ = store.upkeep.beat(clock.now_ms()).await;
    }
}

/// Removes what is past its time, in small steps with rests between. When it falls behind, the rests
/// are a share of what a step takes: however fast events come, they go as fast.
async fn tidy(store: Store, clock: Clock, retention: Duration) {
    const STEP: usize = 500;
    const REST: Duration = Duration::from_millis(20);
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX / 4);
    // What is kept shortly is looked at often.
    let idle = Duration::from_millis((retention / 4).clamp(100, 5_000).unsigned_abs());
    loop {
        let before = clock.now_ms() - retention;
        let began = Instant::now();
        let removed = store.upkeep.tidy(before, STEP).await.unwrap_or(0);
        let is_behind = removed >= STEP as u64;
        tokio::time::sleep(if is_behind { REST.min(began.elapsed() / 4) } else { idle }).await;
    }
}

/// Entries of a batch, decoded, each with its place in the window.
struct Prepared {
    taken: Vec<(EntryId, Arc<Event>)>,
    placed: Vec<(Source, OwnedSemaphorePermit)>,
}

/// Reads the log and sets each entry on its way.
struct Reader {
    store: Store,
    registry: Arc<Registry>,
    clock: Clock,
    intake: Intake,
    catalogue: Option<Arc<Catalogue>>,
    dispatch: Dispatch,
    window: Arc<Semaphore>,
    /// In all.
    places: usize,
    /// Of one event, whatever the number of its deliveries: the rest of its batch has places too.
    most_places: usize,
    batch: usize,
    outbox: Outbox,
    observe: Arc<Observe>,
}

impl Reader {
    async fn run(self, stop: &CancellationToken) {
        let mut trouble = Trouble::default();
        let bounds = (self.places, self.batch, self.most_places);
        let mut batches = Batches::new(self.store.log.clone(), self.window.clone(), bounds);
        while !stop.is_cancelled() {
            let prepare = |batch| self.prepare(batch);
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = batches.next(prepare) => next,
            };
            match next {
                Ok(prepared) => {
                    trouble.over("the event log");
                    let Some(prepared) = prepared else { continue };
                    let ahead = batches.read_ahead(prepare);
                    let (held_up, ()) = tokio::join!(self.take(prepared, stop), ahead);
                    batches.note(held_up);
                }
                Err(error) => trouble.wait("the event log", &error, stop).await,
            }
        }
    }

    /// A place for each of an event's deliveries: ten of one event fill the memory and the lanes as
    /// much as one of ten. The rest of the log waits for them, where waiting costs nothing.
    async fn places_for(
        &self,
        deliveries: usize,
        mut place: OwnedSemaphorePermit,
        crowded: &mut Crowded<'_>,
    ) -> OwnedSemaphorePermit {
        let more = deliveries.saturating_sub(1).min(self.most_places);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if let Ok(more) = self.window.clone().try_acquire_many_owned(more) {
            place.merge(more);
            return place;
        }
        // Those that stand aside hold places too.
        crowded.flush().await;
        if let Ok(more) = self.window.clone().acquire_many_owned(more).await {
            place.merge(more);
        }
        place
    }

    /// Decodes a batch; what cannot be decoded goes to the dead letters.
    fn prepare(&self, batch: Batch) -> Prepared {
        let Batch { entries, mut places } = batch;
        self.observe.metrics.read(entries.len());
        let tenants = self.registry.snapshot();
        let mut taken = Vec::with_capacity(entries.len());
        let mut placed = Vec::with_capacity(entries.len());
        for entry in entries {
            let place = places.split(1).expect("no more are read than there are places");
            let source = match &entry.payload {
                Payload::Event(_) => Source::Store,
                Payload::Raw(_) => Source::Stream,
            };
            match self.decode(&tenants, entry) {
                Ok(pair) => {
                    taken.push(pair);
                    placed.push((source, place));
                }
                Err((id, rejected)) => {
                    self.settle((id, source), Outcome::Rejected(rejected), place);
                }
            }
        }
        Prepared { taken, placed }
    }

    /// Admits and routes a batch. Answers whether crowded lanes held it up.
    async fn take(&self, prepared: Prepared, stop: &CancellationToken) -> bool {
        let Prepared { taken, placed } = prepared;
        let tenants = self.registry.snapshot();
        let Some(admitted) = admission::admit(&*self.store.log, &taken, stop).await else {
            return false;
        };
        let mut crowded = Crowded::new(&self.dispatch, &self.window, self.places);
        let entries = taken.len();
        for (((id, event), admitted), (source, place)) in
            taken.into_iter().zip(admitted).zip(placed)
        {
            match admitted {
                Admitted::As(Admission::Fresh) => {
                    self.route(&tenants, (id, source), event, place, &mut crowded).await;
                }
                Admitted::As(Admission::Settled | Admission::Duplicate) => {
                    self.settle((id, source), Outcome::Duplicate, place);
                }
                Admitted::Refused(reason) => {
                    let refusal = Refusal::new("store_refused", reason);
                    let rejected = refused(id, &event, refusal, self.clock.now_ms());
                    self.settle((id, source), Outcome::Rejected(rejected), place);
                }
            }
        }
        crowded.flush().await;
        crowded.was_held_up(entries, self.batch)
    }

    fn decode(
        &self,
        tenants: &Snapshot,
        entry: Entry,
    ) -> Result<(EntryId, Arc<Event>), (EntryId, Rejected)> {
        match entry.payload {
            Payload::Event(event) => match self.registry.standing(&event.tenant) {
                // One that was removed meanwhile hears of nothing.
                Standing::Usable | Standing::Unknown => Ok((entry.id, event)),
                // But here nobody knows where the event should go.
                Standing::Unusable => {
                    let refusal = intake::unusable(&event.tenant);
                    Err((entry.id, refused(entry.id, &event, refusal, self.clock.now_ms())))
                }
            },
            Payload::Raw(fields) => {
                let standing = |tenant: &str| {
                    let is_here = tenants.contains_key(tenant);
                    if is_here { Standing::Usable } else { self.registry.standing(tenant) }
                };
                let now = self.clock.now_ms();
                let event = self.intake.take(entry.id, &fields, &standing, now);
                let event = event.map_err(|rejected| (entry.id, rejected))?;
                // What is flagged is taken; a producer of the stream has no answer to be told in.
                match self.catalogue.as_ref().map(|catalogue| catalogue.check(&event)) {
                    Some(Err(refusal)) => {
                        Err((entry.id, rejected(entry.id, &fields, refusal, now)))
                    }
                    _ => Ok((entry.id, Arc::new(event))),
                }
            }
        }
    }

    async fn route(
        &self,
        tenants: &Snapshot,
        entry: (EntryId, Source),
        event: Arc<Event>,
        place: OwnedSemaphorePermit,
        crowded: &mut Crowded<'_>,
    ) {
        if let (Some(spans), Source::Stream) = (&self.observe.spans, entry.1) {
            spans.read(&event);
        }
        let began = self.observe.span_time();
        let Some(tenant) = tenants.get(&event.tenant) else {
            return self.settle(entry, Outcome::Unrouted(event), place);
        };
        let targets = tenant.targets_of(&event);
        let lanes: Vec<&Arc<Lane>> = targets.flat_map(|target| &target.lanes).collect();
        if let (Some(spans), Some(began)) = (&self.observe.spans, began) {
            spans.routed(&event, began);
        }
        if lanes.is_empty() {
            return self.settle(entry, Outcome::Unrouted(event), place);
        }
        let place = self.places_for(lanes.len(), place, crowded).await;
        let told = (self.outbox.clone(), self.observe.clone());
        let entry = (entry.0, entry.1, self.store.log.arrived_ms(entry.0));
        let ticket = Tracking::new(entry, event.clone(), lanes.len(), place, told);
        // Order in a FIFO lane must not wait for somebody else's slow answer, so an event that also
        // goes to one is queued for all.
        let queued = lanes.len() > 1 && lanes.iter().any(|lane| matches!(lane.mode, Mode::Fifo));
        for lane in lanes {
            if queued {
                self.dispatch.queue(lane, &event, &*ticket);
                continue;
            }
            crowded.send(lane, Job { event: event.clone(), ticket: ticket.clone() });
            crowded.let_others_go_on().await;
        }
    }

    fn settle(
        &self,
        (entry, source): (EntryId, Source),
        outcome: Outcome,
        place: OwnedSemaphorePermit,
    ) {
        let settlement = Settlement { entry, outcome };
        // The settler outlives the reader.
        let ended = self.observe.span_time();
        let settled = Settled { settlement, source, ended, _place: place, durable: None };
        let _ = self.outbox.send(settled);
    }
}
