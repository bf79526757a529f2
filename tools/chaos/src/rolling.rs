//! A rolling restart: two replicas on one Redis, each stopped by SIGTERM and started again, one
//! after the other, while events come at a steady pace over HTTP and the stream. Nothing may be lost,
//! nothing may come twice, nothing out of order where order is kept, and at no destination may
//! arrivals pause for longer than a second: not where attempts fail and are tried again, nor where
//! order is kept, whose lane one replica holds.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fanfare_harness::Fanfare;
use fanfare_receivers::{HttpReceiver, Received, Reply};
use redis::AsyncCommands as _;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::StoreKind;
use crate::fleet::{Fleet, PATIENCE, Programs};
use crate::plan::SECRET;
use crate::producer::client;

/// The destinations; events go to one after the other.
const SITES: [(&str, &str); 2] = [("plain", ""), ("ordered", "fifo = true\n")];
/// Events whose number is a multiple of this are refused once; they go to the first.
const REFUSED: u32 = 40;
/// Before the first stop, between two, and after the last start.
const BETWEEN: Duration = Duration::from_secs(2);
/// When nothing arrives for so long, nothing more will.
const STALLED: Duration = Duration::from_secs(30);
/// The longest pause that is promised.
const PAUSE: Duration = Duration::from_secs(1);

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Rolling {
    /// Events a second.
    pub rate: u32,
    /// How often both replicas are restarted.
    pub rounds: u32,
}

/// What it came to.
#[derive(Clone, Debug)]
pub struct Rolled {
    /// Replicas that were stopped and started again.
    pub restarts: u32,
    /// Events that were taken.
    pub events: u32,
    /// How many of them never arrived.
    pub lost: usize,
    /// How many arrivals were not the first.
    pub duplicates: usize,
    /// How many came to the second destination out of order.
    pub disordered: usize,
    /// The longest time between two arrivals, by destination.
    pub pauses: [Duration; SITES.len()],
    /// The longest time from taking an event to its arrival, by destination.
    pub waits: [Duration; SITES.len()],
    /// The longest time that a replica took to stop.
    pub stop: Duration,
}

impl Rolled {
    /// Nothing lost, nothing twice, nothing out of order.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.disordered == 0
    }

    /// And no pause of more than a second.
    pub fn is_good(&self) -> bool {
        self.is_whole() && self.pauses.iter().all(|pause| *pause <= PAUSE)
    }

    /// Prints it.
    pub fn print(&self) {
        let ms = |times: &[Duration; SITES.len()]| {
            let named = SITES.iter().zip(times);
            let named = named.map(|((name, _), time)| format!("{name} {} ms", time.as_millis()));
            named.collect::<Vec<_>>().join(", ")
        };
        println!("restarts                  {}", self.restarts);
        println!("events                    {}", self.events);
        println!("lost                      {}", self.lost);
        println!("duplicates                {}", self.duplicates);
        println!("out of order              {}", self.disordered);
        println!("longest pause             {}", ms(&self.pauses));
        println!("longest from taken to arrived   {}", ms(&self.waits));
        println!("longest stop              {} ms", self.stop.as_millis());
        if !self.is_good() {
            println!(
                "not as promised: none lost, none twice, none out of order, no pause over a second"
            );
        }
    }
}

/// What arrived, by event: when, and how often.
#[derive(Default)]
struct Tally {
    seen: HashMap<u32, (Instant, u32)>,
    refused: HashSet<u32>,
    /// Arrivals in their order, by destination.
    order: [Vec<(u32, Instant)>; SITES.len()],
    /// When each event was taken.
    taken: HashMap<u32, Instant>,
}

impl Tally {
    fn take(&mut self, site: usize, request: &Received) -> Reply {
        let id = request.header("webhook-id");
        let Some(n) = id.strip_prefix("evt_roll").and_then(|n| n.parse::<u32>().ok()) else {
            return Reply::Status(500);
        };
        if site == 0 && n.is_multiple_of(REFUSED) && self.refused.insert(n) {
            return Reply::Status(500);
        }
        self.order[site].push((n, request.at));
        self.seen.entry(n).or_insert((request.at, 0)).1 += 1;
        Reply::Status(200)
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs it.
pub async fn rolling(programs: &Programs, options: &Rolling) -> Result<Rolled> {
    let dir = TempDir::new()?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut receivers = Vec::new();
    for site in 0..SITES.len() {
        let tally = Arc::clone(&tally);
        let script = move |request: &Received, _| lock(&tally).take(site, request);
        receivers.push(HttpReceiver::scripted(script).await?);
    }
    let tenant = tenant(&receivers);
    let fleet = Fleet::set_up(programs, StoreKind::Redis, dir.path(), &tenant, "").await?;
    let redis = fleet.redis.as_ref().context("the store is in Redis")?;
    let mut routers = vec![fleet.start(0).await?, fleet.start(1).await?];
    let addresses = Arc::new(Mutex::new(routers.iter().map(Fanfare::address).collect::<Vec<_>>()));
    let (stop, stopped) = watch::channel(false);
    let load =
        Load { rate: options.rate.max(1), addresses: addresses.clone(), tally: tally.clone() };
    let producing = tokio::spawn(produce(load, redis.url(), stopped));
    let mut longest = Duration::ZERO;
    for turn in 0..options.rounds.max(1) * 2 {
        tokio::time::sleep(BETWEEN).await;
        ensure!(!producing.is_finished(), "the producers ended");
        let place = turn as usize % 2;
        let began = Instant::now();
        let router = routers.remove(place);
        router.stop_async(PATIENCE).await?;
        longest = longest.max(began.elapsed());
        routers.insert(place, fleet.start(place).await?);
        *lock(&addresses) = routers.iter().map(Fanfare::address).collect();
    }
    tokio::time::sleep(BETWEEN).await;
    stop.send_replace(true);
    let events = producing.await.context("the producers panicked")??;
    drain(&tally, events).await;
    let rolled = judge(&lock(&tally), events, options.rounds.max(1) * 2, longest);
    Ok(rolled)
}

fn tenant(receivers: &[HttpReceiver]) -> String {
    let mut tenant = "[tenant]\nid = \"acme\"\n".to_owned();
    for ((id, more), receiver) in SITES.iter().zip(receivers) {
        let url = receiver.url("/");
        let _ = write!(
            tenant,
            "\n[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n\
             retry = [\"200ms\", \"1s\", \"1s\"]\n{more}\n[[route]]\nevents = [\"roll.{id}\"]\nto = [\"{id}\"]\n"
        );
    }
    tenant
}

struct Load {
    rate: u32,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    tally: Arc<Mutex<Tally>>,
}

fn envelope(n: u32) -> String {
    let (site, _) = SITES[n as usize % SITES.len()];
    format!("{{\"id\":\"evt_roll{n}\",\"type\":\"roll.{site}\",\"data\":{{\"n\":{n}}}}}")
}

/// Sends events at the pace until told to stop; answers how many. One after the other, so that what
/// is sent in order is taken in order. Ten over HTTP, then ten with `XADD`.
async fn produce(load: Load, redis: String, stopped: watch::Receiver<bool>) -> Result<u32> {
    let http = client()?;
    let mut stream = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / load.rate);
    let mut n = 0;
    while !*stopped.borrow() {
        tick.tick().await;
        if n / 10 % 2 == 0 {
            let mut turn = n as usize;
            while !post(&http, &load, turn, &envelope(n)).await {
                turn += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } else {
            let fields = [("tenant", "acme"), ("event", &envelope(n))];
            let _: String = stream.xadd("fanfare:events", "*", &fields).await?;
        }
        lock(&load.tally).taken.insert(n, Instant::now());
        n += 1;
    }
    Ok(n)
}

async fn post(http: &reqwest::Client, load: &Load, turn: usize, body: &str) -> bool {
    let address = {
        let addresses = lock(&load.addresses);
        addresses.get(turn % addresses.len().max(1)).copied()
    };
    let Some(address) = address else { return false };
    let request = http.post(format!("http://{address}/v1/events?tenant=acme"));
    let answer = request.body(body.to_owned()).send().await;
    answer.is_ok_and(|answer| answer.status() == 202)
}

/// Waits until everything has arrived, or nothing does any more; then a while for late repetitions.
async fn drain(tally: &Mutex<Tally>, events: u32) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < STALLED {
        let arrived = lock(tally).seen.len();
        if arrived >= events as usize {
            break;
        }
        if arrived > last {
            (last, since) = (arrived, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(BETWEEN).await;
}

fn judge(tally: &Tally, events: u32, restarts: u32, stop: Duration) -> Rolled {
    let pause = |site: usize| {
        let times = tally.order[site].iter().map(|(_, at)| *at).collect::<Vec<_>>();
        let gaps = times.windows(2).map(|two| two[1].saturating_duration_since(two[0]));
        gaps.max().unwrap_or_default()
    };
    let wait = |site: usize| {
        let of = tally.seen.iter().filter(|(n, _)| **n as usize % SITES.len() == site);
        let waits =
            of.filter_map(|(n, (at, _))| Some(at.saturating_duration_since(*tally.taken.get(n)?)));
        waits.max().unwrap_or_default()
    };
    let ordered = &tally.order[1];
    Rolled {
        restarts,
        events,
        lost: events as usize - tally.seen.len(),
        duplicates: tally.seen.values().map(|(_, times)| *times as usize - 1).sum(),
        disordered: ordered.windows(2).filter(|two| two[1].0 <= two[0].0).count(),
        pauses: [pause(0), pause(1)],
        waits: [wait(0), wait(1)],
        stop,
    }
}
