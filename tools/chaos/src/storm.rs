//! Short runs with every kind of fault at random, and a model that knows what must be true at the
//! end: nothing lost, duplicates only with a reason, FIFO order, nothing stranded, a clean audit.
//!
//! A run takes some seconds, so that a thousand seeds take hours. Load is near capacity: receivers
//! take a while, so hundreds of deliveries are in flight whenever a fault comes. Everything random
//! follows from the seed (`dice`); only time differs.
//!
//! - `faults`: what is done to routers and to the store.
//! - `people`: what operators do meanwhile: edit, pause, resume, cancel, replay.
//! - `model`: the receivers, what arrived, and what must be true.

mod faults;
mod model;
mod people;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fanfare_harness::{Fanfare, Redis};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fleet::{Fleet, Programs};
use crate::producer::client;
use crate::{StoreKind, plan};
use faults::Fault;
use model::{Model, ORDER, SITES, STORM};

/// For how long events are sent.
const SPAN: Duration = Duration::from_millis(2_500);
/// Lease of a lane, and time until a silent replica is taken for dead.
const DEAD_AFTER: Duration = Duration::from_secs(2);
/// After the faults have ended, everything must be done within this time. Reconciliation takes place
/// every ten seconds, and a machine may be busy with other tests.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// Between two looks at the store.
const LOOK: Duration = Duration::from_millis(300);

/// One run.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Over which store.
    pub store: StoreKind,
    /// From which everything random follows.
    pub seed: u64,
    /// Events of the tenant whose order does not matter. A third as many go to the other tenant.
    pub events: u32,
    /// Keeps logs and data of runs that are not good below this folder.
    pub keep: Option<PathBuf>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Stormed {
    /// The seed.
    pub seed: u64,
    /// Over which store.
    pub store: StoreKind,
    /// What was done, in order.
    pub faults: Vec<String>,
    /// Events that were accepted.
    pub events: usize,
    /// Deliveries that arrived, each counted once.
    pub delivered: usize,
    /// Deliveries that arrived again, all of them with a reason.
    pub duplicates: usize,
    /// The most requests that receivers had in hand when a fault came.
    pub in_flight: usize,
    /// How long it took after the last fault until everything was done.
    pub recovered: Duration,
    /// What is not good; empty when all is.
    pub failures: Vec<String>,
}

impl Stormed {
    /// Whether everything that must be true is.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// One line.
    pub fn line(&self) -> String {
        format!(
            "{} seed {}: {} events, {} deliveries, {} again, {} in flight, recovered in {:.1} s; {}",
            self.store.name(),
            self.seed,
            self.events,
            self.delivered,
            self.duplicates,
            self.in_flight,
            self.recovered.as_secs_f64(),
            self.faults.join(", ")
        )
    }
}

/// A number from 0 below `below`, always the same for the same things.
pub(crate) fn dice(seed: u64, what: &str, one: u64, two: u64, below: u64) -> u64 {
    plan::Plan { seed, events: 0 }.dice(what, one, two, below)
}

/// Everything that runs.
pub(crate) struct World {
    pub(crate) storm: Storm,
    pub(crate) fleet: Fleet,
    pub(crate) model: Arc<Model>,
    pub(crate) routers: Vec<Option<Fanfare>>,
    /// Where routers listen now.
    pub(crate) addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

/// Runs one storm. An error is a run that could not be finished.
pub async fn storm(programs: &Programs, storm: &Storm) -> Result<Stormed> {
    let scratch = TempDir::new().context("a temporary folder cannot be made")?;
    let mut world = World::set_up(programs, storm, scratch.path()).await?;
    let load = world.load();
    let done = world.faults().await;
    let (faults, in_flight) = match done {
        Ok(done) => done,
        Err(error) => return Err(error.context(format!("seed {}", storm.seed))),
    };
    let ended = Instant::now();
    load.await.context("the load panicked")??;
    let settled = world.settled().await?;
    let recovered = ended.elapsed();
    let mut failures = world.model.failures(&settled);
    failures.extend(world.ended_by_itself());
    failures.extend(world.audit().await?);
    let stormed = Stormed {
        seed: storm.seed,
        store: storm.store,
        faults,
        events: world.model.accepted(),
        delivered: world.model.delivered(),
        duplicates: world.model.duplicates(),
        in_flight,
        recovered,
        failures,
    };
    drop(world);
    if let (false, Some(keep)) = (stormed.is_good(), &storm.keep) {
        let to = keep.join(format!("{}-{}", storm.store.name(), storm.seed));
        std::fs::create_dir_all(keep)?;
        let from = scratch.keep();
        // Another file system is fine too: the path is in the message then.
        if std::fs::rename(&from, &to).is_err() {
            eprintln!("kept in {}", from.display());
        }
    }
    Ok(stormed)
}

impl World {
    async fn set_up(programs: &Programs, storm: &Storm, dir: &std::path::Path) -> Result<Self> {
        let model = Model::start(storm.seed, storm.events).await?;
        let settings = format!(
            "grace = \"3s\"\n[router]\nlease = \"{0}s\"\n[redis]\ndead_after = \"{0}s\"\n",
            DEAD_AFTER.as_secs()
        );
        let [storm_file, order_file] = model.tenants();
        let fleet = Fleet::set_up(programs, storm.store, dir, &storm_file, &settings).await?;
        std::fs::write(fleet.dir().join("tenants").join("order.toml"), order_file)?;
        let count = match storm.store {
            StoreKind::Embedded => 1,
            StoreKind::Redis => 3,
        };
        let mut routers = Vec::new();
        for place in 0..count {
            routers.push(Some(fleet.start(place).await?));
        }
        let (storm, addresses) = (storm.clone(), Arc::default());
        let world = Self { storm, fleet, model: Arc::new(model), routers, addresses };
        world.tell_addresses();
        Ok(world)
    }

    pub(crate) fn tell_addresses(&self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        *addresses = self.routers.iter().flatten().map(Fanfare::address).collect();
    }

    /// Starts producers and the people.
    fn load(&self) -> tokio::task::JoinHandle<Result<()>> {
        let (storm, model, addresses) =
            (self.storm.clone(), self.model.clone(), self.addresses.clone());
        let stream = self.fleet.redis.as_ref().map(Redis::url);
        tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            for producer in 0..3 {
                let part = Part { storm: storm.clone(), model: model.clone(), producer };
                let addresses = addresses.clone();
                match &stream {
                    Some(url) if producer == 0 => tasks.spawn(part.over_stream(url.clone())),
                    _ => tasks.spawn(part.over_http(addresses)),
                };
            }
            let part = Part { storm: storm.clone(), model: model.clone(), producer: 0 };
            tasks.spawn(part.in_order(addresses.clone()));
            tasks.spawn(people::live(storm, model, addresses));
            while let Some(ended) = tasks.join_next().await {
                ended.context("a part of the load panicked")??;
            }
            Ok(())
        })
    }

    /// Does the faults of the seed, one after another. Returns what was done, and the most requests
    /// that receivers had in hand.
    async fn faults(&mut self) -> Result<(Vec<String>, usize)> {
        let seed = self.storm.seed;
        let count = 3 + dice(seed, "how many", 0, 0, 4);
        let began = Instant::now();
        let (mut done, mut in_flight) = (Vec::new(), 0);
        for number in 0..count {
            let share = u32::try_from(number + 1).unwrap_or(1);
            let due = SPAN * share / u32::try_from(count + 1).unwrap_or(1);
            tokio::time::sleep_until((began + due).into()).await;
            in_flight = in_flight.max(self.model.in_flight());
            let fault = Fault::of(seed, number, self.storm.store);
            let from = self.model.now();
            let what = fault.strike(self, number).await?;
            self.model.excuse(from, self.model.now(), fault);
            done.push(what);
        }
        // Faults are over: every router runs again.
        for place in 0..self.routers.len() {
            self.revive(place).await?;
        }
        Ok((done, in_flight))
    }

    /// Starts a router that does not run.
    pub(crate) async fn revive(&mut self, place: usize) -> Result<()> {
        if self.routers[place].is_none() {
            self.routers[place] = Some(self.fleet.start(place).await?);
            self.tell_addresses();
        }
        Ok(())
    }

    /// Waits until nothing is under way, and returns the counts of both tenants.
    async fn settled(&self) -> Result<[Value; 2]> {
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            let counts = [self.counts(STORM).await, self.counts(ORDER).await];
            if let [Ok(storm), Ok(order)] = counts {
                let is_done = |counts: &Value| {
                    counts["pending"] == 0 && counts["waiting"] == 0 && counts["received"] != 0
                };
                let all = [&storm, &order].into_iter().all(is_done)
                    && storm["received"] == self.model.accepted_of(STORM)
                    && order["received"] == self.model.accepted_of(ORDER);
                if all || Instant::now() > until {
                    return Ok([storm, order]);
                }
            } else if Instant::now() > until {
                let [storm, order] = counts;
                return Ok([storm?, order?]);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The counts of a tenant, by `fanfare audit`.
    async fn counts(&self, tenant: &str) -> Result<Value> {
        let audits = self.command(&["audit", "--json", "--tenant", tenant]).await?;
        let audits: Value = serde_json::from_str(&audits.1)
            .with_context(|| format!("the audit answered: {} {}", audits.1, audits.2))?;
        Ok(audits[0]["found"].clone())
    }

    /// What `fanfare audit` finds wrong, in the whole store.
    async fn audit(&self) -> Result<Vec<String>> {
        let (code, out, err) = self.command(&["audit"]).await?;
        Ok((code != Some(0)).then(|| format!("the audit finds: {out} {err}")).into_iter().collect())
    }

    async fn command(&self, args: &[&str]) -> Result<(Option<i32>, String, String)> {
        let store = self.fleet.address();
        let config = self.fleet.dir().join("fanfare.toml").display().to_string();
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.extend(["--store".to_owned(), store, "--config".to_owned(), config]);
        let program = self.fleet.program();
        let output = tokio::process::Command::new(program).args(all).output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
    }

    /// A router that ends by itself is a defect.
    fn ended_by_itself(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        for (place, router) in self.routers.iter_mut().enumerate() {
            if router.as_mut().is_some_and(|router| router.exited().is_some()) {
                ended.push(format!("router {place} ended by itself"));
            }
        }
        ended
    }
}

/// One producer.
struct Part {
    storm: Storm,
    model: Arc<Model>,
    producer: u32,
}

impl Part {
    /// The events of this producer, in batches with the time at which each is due.
    fn batches(&self) -> Vec<(Duration, Vec<u32>)> {
        let mine: Vec<u32> = (0..self.storm.events).filter(|n| n % 3 == self.producer).collect();
        let mut batches = Vec::new();
        let mut rest = &mine[..];
        while let Some(first) = rest.first() {
            let size = 1 + dice(self.storm.seed, "batch", u64::from(*first), 0, 16);
            let (batch, later) = rest.split_at(rest.len().min(usize::try_from(size).unwrap_or(1)));
            let due = SPAN * *first / self.storm.events.max(1);
            batches.push((due, batch.to_vec()));
            rest = later;
        }
        batches
    }

    async fn over_http(self, addresses: Arc<Mutex<Vec<SocketAddr>>>) -> Result<()> {
        let (client, began) = (client()?, Instant::now());
        for (due, batch) in self.batches() {
            tokio::time::sleep_until((began + due).into()).await;
            let events: Vec<String> = batch.iter().map(|n| model::event(STORM, *n)).collect();
            let body = format!("[{}]", events.join(","));
            post(&client, &addresses, STORM, &body).await?;
            self.model.accept(STORM, &batch);
        }
        Ok(())
    }

    /// One event after another, each once the one before it was accepted.
    async fn in_order(self, addresses: Arc<Mutex<Vec<SocketAddr>>>) -> Result<()> {
        let (client, began) = (client()?, Instant::now());
        let count = self.storm.events / 3;
        for n in 0..count {
            tokio::time::sleep_until((began + SPAN * n / count.max(1)).into()).await;
            post(&client, &addresses, ORDER, &model::event(ORDER, n)).await?;
            self.model.accept(ORDER, &[n]);
        }
        Ok(())
    }

    async fn over_stream(self, url: String) -> Result<()> {
        let (client, began) = (redis::Client::open(url)?, Instant::now());
        for (due, batch) in self.batches() {
            tokio::time::sleep_until((began + due).into()).await;
            let until = Instant::now() + SETTLED_WITHIN;
            loop {
                let mut pipe = redis::pipe();
                for n in &batch {
                    pipe.cmd("XADD").arg("fanfare:events").arg("*");
                    pipe.arg("tenant").arg(STORM).arg("event").arg(model::event(STORM, *n));
                }
                let added = async {
                    let mut connection = client.get_multiplexed_async_connection().await?;
                    pipe.query_async::<Vec<String>>(&mut connection).await
                };
                let added = tokio::time::timeout(Duration::from_secs(5), added).await;
                if matches!(added, Ok(Ok(_))) {
                    break;
                }
                ensure!(Instant::now() < until, "Redis takes no events");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            self.model.accept(STORM, &batch);
        }
        Ok(())
    }
}

/// Posts events until they are accepted.
async fn post(
    client: &reqwest::Client,
    addresses: &Mutex<Vec<SocketAddr>>,
    tenant: &str,
    body: &str,
) -> Result<()> {
    let until = Instant::now() + SETTLED_WITHIN;
    for turn in 0_usize.. {
        let address = {
            let all = addresses.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(turn % all.len().max(1)).copied()
        };
        if let Some(address) = address {
            let url = format!("http://{address}/v1/events?tenant={tenant}");
            let sent = client
                .post(url)
                .timeout(Duration::from_secs(4))
                .header("content-type", "application/json")
                .body(body.to_owned())
                .send()
                .await;
            if let Ok(answer) = sent {
                let status = answer.status().as_u16();
                if status == 202 {
                    return Ok(());
                }
                ensure!(matches!(status, 404 | 429 | 500..), "events were refused: {status}");
            }
        }
        ensure!(Instant::now() < until, "no router accepts events");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    Ok(())
}

/// The places of the destinations that get the events of a tenant.
pub(crate) fn sites_of(tenant: &str) -> impl Iterator<Item = usize> {
    let wanted = tenant.to_owned();
    (0..SITES.len()).filter(move |site| SITES[*site].tenant == wanted)
}
