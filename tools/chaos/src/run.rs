//! One run: load, kills, drain, accounts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fanfare_harness::{Fanfare, Redis};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fleet::{Fleet, Programs, peak_kib};
use crate::plan::{Plan, tenant};
use crate::producer::{Load, produce};
use crate::receivers::Receivers;
use crate::report::Report;
use crate::unsettled::{Source, Unsettled};
use crate::{Options, StoreKind};

/// Between freezing a router and looking at what it had in hand: what it has sent arrives.
const SETTLE: Duration = Duration::from_millis(150);
/// When nothing at all arrives for so long, nothing more will.
const STALLED: Duration = Duration::from_mins(1);

/// One kill of a router.
pub(crate) struct Kill {
    /// Since the start of the run.
    pub(crate) frozen: Duration,
    pub(crate) dead: Duration,
    pub(crate) unsettled: Unsettled,
    /// Deliveries that their receivers had taken and the store had not on record.
    pub(crate) in_flight: usize,
}

/// Runs it. An error is a run that could not be finished; what it found is in the report.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let scratch = TempDir::new().context("a temporary folder cannot be made")?;
    let dir = options.keep.as_deref().unwrap_or(scratch.path()).join(options.store.name());
    std::fs::create_dir_all(&dir)?;
    let mut arena = Arena::set_up(programs, options, &dir).await?;
    let (gate, limit) = watch::channel(arena.share(1));
    let load = arena.load(limit);
    let stream = arena.fleet.redis.as_ref().map(Redis::url);
    let producers = tokio::spawn(produce(load.clone(), stream));
    let kills = arena.kill_all(&load, &gate, &producers).await?;
    producers.await.context("the producers panicked")??;
    ensure!(kills.len() == options.kills as usize, "the events came to an end before the kills");
    let sent = arena.began.elapsed();
    arena.drain(&load).await?;
    let left = arena.left().await?;
    arena.note_memory();
    Ok(Report::new(&arena, &load, &kills, sent, &left))
}

/// Everything that runs.
pub(crate) struct Arena<'a> {
    pub(crate) options: &'a Options,
    pub(crate) plan: Plan,
    pub(crate) began: Instant,
    pub(crate) receivers: Receivers,
    /// The most memory that a router had, in KiB.
    pub(crate) peak_kib: u64,
    /// When Redis was away: from its death until it had loaded its data.
    pub(crate) absences: Vec<(Duration, Duration)>,
    fleet: Fleet,
    routers: Vec<Fanfare>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    source: Source,
}

impl<'a> Arena<'a> {
    async fn set_up(programs: &Programs, options: &'a Options, dir: &Path) -> Result<Self> {
        let plan = Plan { seed: options.seed, events: options.events };
        let began = Instant::now();
        let receivers = Receivers::start(plan, began).await?;
        let tenant = tenant(|site| receivers.url(site));
        let fleet =
            Fleet::set_up(programs, options.store, dir, &tenant, &settings(options)).await?;
        let source = match &fleet.redis {
            None => Source::Embedded(fleet.data().join("fanfare.db")),
            Some(redis) => Source::Redis(Box::new(redis::Client::open(redis.url())?)),
        };
        let mut routers = Vec::new();
        for place in 0..replicas(options.store) {
            routers.push(fleet.start(place).await?);
        }
        let arena = Self {
            options,
            plan,
            began,
            receivers,
            peak_kib: 0,
            absences: Vec::new(),
            fleet,
            routers,
            addresses: Arc::default(),
            source,
        };
        arena.tell_addresses();
        Ok(arena)
    }

    /// Events that may be sent before kill number `kill` (from 1) is over.
    fn share(&self, kill: u32) -> u32 {
        let all = u64::from(self.options.events);
        let part = all * u64::from(kill) / u64::from(self.options.kills + 1);
        if kill > self.options.kills {
            return self.options.events;
        }
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    fn load(&self, limit: watch::Receiver<u32>) -> Arc<Load> {
        let planned = self.options.gap.as_secs_f64() * f64::from(self.options.kills.max(1));
        let pace = f64::from(self.options.events) / planned.max(1.0);
        Load::new(self.plan, self.began, pace, limit, self.addresses.clone())
    }

    /// Kills one router after another, the one that lived longest, and Redis now and then; each
    /// time there is load.
    async fn kill_all(
        &mut self,
        load: &Load,
        gate: &watch::Sender<u32>,
        producers: &JoinHandle<Result<()>>,
    ) -> Result<Vec<Kill>> {
        let mut kills = Vec::new();
        let mut last = Instant::now();
        for number in 1..=self.options.kills {
            let enough = self.share(number - 1) + (self.share(number) - self.share(number - 1)) / 2;
            while load.accepted() < enough || last.elapsed() < self.options.gap {
                if producers.is_finished() {
                    // They have failed; the caller will see why.
                    return Ok(kills);
                }
                self.all_alive()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            last = Instant::now();
            let before = self.options.redis_kills * (number - 1) / self.options.kills;
            let with_redis = self.fleet.redis.is_some()
                && self.options.redis_kills * number / self.options.kills > before;
            kills.push(self.kill(number, with_redis).await?);
            gate.send_replace(self.share(number + 1));
        }
        gate.send_replace(self.options.events);
        Ok(kills)
    }

    /// Kills a router. With Redis: every other time Redis dies first and the router while it is
    /// away, else the router lives to see it go and come back.
    async fn kill(&mut self, number: u32, with_redis: bool) -> Result<Kill> {
        let place = (number as usize - 1) % self.routers.len();
        let away = Duration::from_millis(200 + self.plan.dice("away", number.into(), 0, 1_800));
        let at_once = with_redis && self.absences.len().is_multiple_of(2);
        let frozen = self.began.elapsed();
        self.routers[place].freeze();
        tokio::time::sleep(SETTLE).await;
        let unsettled = self.source.look().await?;
        let in_flight = self.in_flight(&unsettled);
        if at_once {
            self.kill_redis();
        }
        let mut router = self.routers.remove(place);
        self.peak_kib = self.peak_kib.max(peak_kib(&router));
        router.kill9();
        let dead = self.began.elapsed();
        self.tell_addresses();
        if at_once {
            tokio::time::sleep(away).await;
            self.start_redis().await?;
        }
        self.routers.insert(place, self.fleet.start(place).await?);
        self.tell_addresses();
        if with_redis && !at_once {
            tokio::time::sleep(self.options.gap / 3).await;
            self.kill_redis();
            tokio::time::sleep(away).await;
            self.start_redis().await?;
        }
        self.say(&format!(
            "kill {number} of {}{}: {in_flight} in flight",
            self.options.kills,
            if with_redis { " and Redis" } else { "" },
        ));
        Ok(Kill { frozen, dead, unsettled, in_flight })
    }

    fn in_flight(&self, unsettled: &Unsettled) -> usize {
        let tally = self.receivers.tally();
        let events = unsettled.events.iter().flat_map(|&n| self.plan.sites(n).map(move |s| (n, s)));
        let waiting = unsettled.waiting.iter().copied();
        let waiting = waiting.filter(|(n, _)| !unsettled.events.contains(n));
        events.chain(waiting).filter(|key| tally.has(*key)).count()
    }

    fn kill_redis(&mut self) {
        if let Some(redis) = &mut self.fleet.redis {
            redis.kill9();
            self.absences.push((self.began.elapsed(), Duration::MAX));
        }
    }

    async fn start_redis(&mut self) -> Result<()> {
        if let Some(redis) = &mut self.fleet.redis {
            redis.restart_async().await?;
        }
        if let Some((_, back)) = self.absences.last_mut() {
            *back = self.began.elapsed();
        }
        Ok(())
    }

    /// A router that ends by itself is a defect.
    fn all_alive(&mut self) -> Result<()> {
        let ended = self.routers.iter_mut().any(|router| router.exited().is_some());
        ensure!(!ended, "a router ended by itself: see {}", self.fleet.dir().display());
        Ok(())
    }

    /// Waits until everything has arrived, or nothing arrives any more; and then a while for
    /// duplicates that are late.
    async fn drain(&mut self, load: &Load) -> Result<()> {
        let expected = self.plan.deliveries();
        let (mut last, mut since) = (0, Instant::now());
        loop {
            self.all_alive()?;
            let taken = self.receivers.tally().taken();
            if taken >= expected {
                break;
            }
            if taken > last {
                (last, since) = (taken, Instant::now());
            }
            if since.elapsed() > STALLED {
                self.say(&format!("{} deliveries do not arrive", expected - taken));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.say(&format!("all {} events arrived; waiting for late ones", load.accepted()));
        let late = match self.options.store {
            StoreKind::Embedded => Duration::from_secs(3),
            StoreKind::Redis => self.options.lease() + Duration::from_secs(5),
        };
        let until = Instant::now() + late;
        while Instant::now() < until {
            self.all_alive()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What the store has open in the end. What arrived last may not be on record yet: an answer
    /// that drips is read for two seconds, and a lane of the dead is served when its lease is over.
    async fn left(&mut self) -> Result<Unsettled> {
        let until = Instant::now() + self.options.lease() + Duration::from_secs(10);
        loop {
            let left = self.source.look().await?;
            if left.is_empty() || Instant::now() > until {
                return Ok(left);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn note_memory(&mut self) {
        let peaks = self.routers.iter().map(peak_kib);
        self.peak_kib = peaks.chain([self.peak_kib]).max().unwrap_or(0);
    }

    fn tell_addresses(&self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        *addresses = self.routers.iter().map(Fanfare::address).collect();
    }

    fn say(&self, what: &str) {
        if self.options.progress {
            let seconds = self.began.elapsed().as_secs();
            eprintln!("{:>4} s  {}: {what}", seconds, self.options.store.name());
        }
    }
}

/// Three: one that dies, one that starts, one that lived long enough to see who is dead.
fn replicas(store: StoreKind) -> usize {
    match store {
        StoreKind::Embedded => 1,
        StoreKind::Redis => 3,
    }
}

fn settings(options: &Options) -> String {
    options.dead_after.map_or_else(String::new, |time| {
        let time = time.as_secs();
        format!("[router]\nlease = \"{time}s\"\n\n[redis]\ndead_after = \"{time}s\"\n")
    })
}
