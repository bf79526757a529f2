//! The router of one process: wires the stages of the path together and runs them with everything
//! beside it, then stops them in order.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::admit::AdmitStage;
use super::attempt::AttemptStage;
use super::decode::Decoder;
use super::dispatch::DispatchStage;
use super::lobby::Lobby;
use super::notice_writer::NoticeWriter;
use super::notices::{Notice, Notifier};
use super::read::{self, Batches};
use super::route::RouteStage;
use super::settle::{self, Outbox};
use super::upkeep;
use super::warnings::WarnAfter;
use super::window::Window;
use crate::agenda::{Clock, LaneMemory, ServeOptions, Server};
use crate::catalogue::Catalogue;
use crate::event::Limits;
use crate::observe::Observe;
use crate::quota::Quotas;
use crate::tenant::Registry;
use fanfare_store::Store;

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
    /// When tenants are warned.
    pub warn: WarnAfter,
    /// Memory for the events of the window, in bytes.
    pub memory: usize,
    /// How long hourly statistics are kept.
    pub stats_retention: Duration,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            window: 4_096,
            batch: 512,
            limits: Limits::default(),
            serve: ServeOptions::default(),
            retention: Duration::from_hours(30 * 24),
            warn: WarnAfter::default(),
            memory: 40 << 20,
            stats_retention: Duration::from_hours(90 * 24),
        }
    }
}

/// The router of one process.
pub struct Router {
    store: Store,
    registry: Arc<Registry>,
    clock: Clock,
    options: RouterOptions,
    notifier: Arc<Notifier>,
    notices: mpsc::Receiver<Notice>,
    observe: Arc<Observe>,
    catalogue: Option<Arc<Catalogue>>,
    quotas: Option<Arc<Quotas>>,
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
        let (notifier, notices) = Notifier::new(clock, observe.clone());
        let (catalogue, quotas) = (None, None);
        Self { store, registry, clock, options, notifier, notices, observe, catalogue, quotas }
    }

    /// Checks entries of the stream against the schemas of their types.
    #[must_use]
    pub fn checking(mut self, catalogue: Arc<Catalogue>) -> Self {
        self.catalogue = Some(catalogue);
        self
    }

    /// Applies the tenants' quotas to entries that producers write to the stream.
    #[must_use]
    pub fn limiting(mut self, quotas: Arc<Quotas>) -> Self {
        self.quotas = Some(quotas);
        self
    }

    /// Runs until `stop`. Then it reads nothing more, waits for what is in flight and hands the
    /// rest back. The caller limits how long that may take.
    pub async fn run(self, stop: CancellationToken) {
        let (store, clock, options) = (self.store.clone(), self.clock, self.options);
        let kept = upkeep::Kept { events: options.retention, stats: options.stats_retention };
        let beside = [
            tokio::spawn(upkeep::beat(store.clone(), clock, self.registry.clone())),
            tokio::spawn(upkeep::keep_time(store.clone(), clock)),
            tokio::spawn(upkeep::clean_up(store.clone(), clock, kept)),
            tokio::spawn(upkeep::reconcile(store.clone(), clock, self.observe.clone())),
        ];
        let memory = LaneMemory::new(options.serve.memory);
        let server = self.server(memory.clone(), stop.clone());
        let server = tokio::spawn(server.run());
        let follow = tokio::spawn(self.registry.clone().follow(stop.clone()));

        let (outbox, inbox) = settle::channel(self.observe.clone());
        let (log, observe) = (store.log.clone(), self.observe.clone());
        let settle = tokio::spawn(settle::run(log, inbox, options.batch, clock, observe));
        let window = Window::new(options.window, options.batch, options.memory);
        let lobby = Lobby::new(window.clone());
        let decoder = self.decoder(window.clone(), outbox.clone(), stop.clone());
        let batches = Batches::new(store.log.clone(), window.clone(), lobby.clone(), decoder);
        let admit = self.admit_stage((window, memory), lobby, outbox);
        let writer = NoticeWriter { clock, warn: options.warn };
        let notices = tokio::spawn(writer.run(self.notices, store.clone(), self.registry));
        drop(self.notifier);
        read::run(batches, admit, &stop).await;

        // Each open event holds an outbox, and each attempt the notifier: settling ends with the
        // last delivery, and the notices with the last attempt.
        for task in [settle, server, notices, follow] {
            let _: Result<(), _> = task.await;
        }
        for task in beside {
            end(task).await;
        }
        let _ = store.upkeep.leave().await;
    }

    fn decoder(&self, window: Window, outbox: Outbox, stop: CancellationToken) -> Decoder {
        Decoder {
            registry: self.registry.clone(),
            catalogue: self.catalogue.clone(),
            quotas: self.quotas.clone(),
            clock: self.clock,
            limits: self.options.limits,
            window,
            outbox,
            observe: self.observe.clone(),
            warned_ms: AtomicI64::new(0),
            stop,
        }
    }

    /// The stages after reading, the last one first.
    fn admit_stage(
        &self,
        (window, memory): (Window, Arc<LaneMemory>),
        lobby: Lobby,
        outbox: Outbox,
    ) -> AdmitStage {
        let attempts = AttemptStage {
            agenda: self.store.agenda.clone(),
            clock: self.clock,
            notices: self.notifier.clone(),
            memory,
        };
        let route = RouteStage {
            next_warning: Mutex::default(),
            log: self.store.log.clone(),
            window,
            outbox: outbox.clone(),
            observe: self.observe.clone(),
            dispatch: DispatchStage { attempts },
        };
        AdmitStage {
            log: self.store.log.clone(),
            registry: self.registry.clone(),
            clock: self.clock,
            outbox,
            lobby,
            route: Arc::new(route),
        }
    }

    /// Serves what waits in the durable queues.
    fn server(&self, memory: Arc<LaneMemory>, stop: CancellationToken) -> Server {
        let (store, registry) = (self.store.clone(), self.registry.clone());
        let (notices, clock, options) = (self.notifier.clone(), self.clock, self.options.serve);
        Server::new(store, registry, notices, clock, options, memory, stop)
    }
}

async fn end(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}
