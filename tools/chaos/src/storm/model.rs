//! The receivers, what arrived at them, and what must be true of it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use fanfare_receivers::{HttpReceiver, Received, Reply};
use serde_json::Value;

use super::faults::Fault;
use super::{DEAD_AFTER, dice, sites_of};
use crate::plan::SECRET;

/// The tenant whose events go to many destinations.
pub(crate) const STORM: &str = "storm";
/// The tenant whose events must arrive in order.
pub(crate) const ORDER: &str = "order";
/// What may come again after a fault has ended. A delivery that was in flight for long when its
/// router died is due again after its deadline and a margin, half a minute later.
const EXCUSED_FOR: Duration = Duration::from_secs(75);
/// What had arrived this long before a fault may not be on record when it comes.
const EXCUSED_BEFORE: Duration = Duration::from_secs(4);
/// How many things of a kind are named.
const NAMED: usize = 5;

/// One destination.
pub(crate) struct Site {
    pub(crate) id: &'static str,
    pub(crate) tenant: &'static str,
    options: &'static str,
    /// Per mille of the first tries that are refused.
    refuses: u64,
    /// Per mille of the first tries that get no answer.
    hangs: u64,
    /// The longest time for an answer, in milliseconds.
    slow_ms: u64,
}

/// The destinations.
pub(crate) const SITES: [Site; 6] = [
    site("steady", "concurrency = 64\n", 0, 0, 200),
    site("flaky", "concurrency = 64\n", 250, 0, 150),
    site("hanging", "timeout = \"2s\"\nconcurrency = 64\n", 0, 30, 200),
    site("moved", "concurrency = 64\n", 50, 0, 200),
    site("paused", "concurrency = 64\n", 0, 0, 100),
    Site { tenant: ORDER, ..site("fifo", "fifo = true\n", 60, 0, 10) },
];

const fn site(
    id: &'static str,
    options: &'static str,
    refuses: u64,
    hangs: u64,
    slow_ms: u64,
) -> Site {
    Site { id, tenant: STORM, options, refuses, hangs, slow_ms }
}

/// Tries after which a delivery is taken, whatever the dice say.
const MOST_FAULTS: u32 = 3;

/// One delivery: the number of its event, and the place of its destination.
type Key = (u32, usize);

/// What arrived.
#[derive(Default)]
struct Seen {
    tries: HashMap<Key, u32>,
    /// When each delivery was taken.
    taken: HashMap<Key, Vec<Duration>>,
    /// The events of the tenant with order, as they were first taken.
    order: Vec<u32>,
    /// Strange things.
    wrong: Vec<String>,
    accepted: HashMap<&'static str, BTreeSet<u32>>,
    /// Times in which something may arrive again.
    excuses: Vec<(Duration, Duration)>,
    /// Deliveries of these places may end without arriving, because they were cancelled.
    cancelled: BTreeSet<usize>,
    /// Deliveries of these places were replayed.
    replayed: BTreeSet<usize>,
}

/// The receivers and what is known.
pub(crate) struct Model {
    events: u32,
    began: Instant,
    receivers: Vec<HttpReceiver>,
    seen: Arc<Mutex<Seen>>,
    /// Requests that are being answered.
    busy: Arc<Mutex<Vec<Instant>>>,
}

/// An event as a producer writes it.
pub(crate) fn event(tenant: &str, n: u32) -> String {
    format!(
        "{{\"id\":\"evt_{tenant}{n:05}\",\"type\":\"chaos.happened\",\"created\":1735228800,\
         \"data\":{{\"n\":{n}}}}}"
    )
}

impl Model {
    pub(crate) async fn start(seed: u64, events: u32) -> Result<Self> {
        let began = Instant::now();
        let (seen, busy) = (Arc::default(), Arc::<Mutex<Vec<Instant>>>::default());
        let mut receivers = Vec::new();
        for place in 0..SITES.len() {
            let (seen, busy) = (Arc::clone(&seen), Arc::clone(&busy));
            let script = move |request: &Received, _| {
                let at = request.at.duration_since(began);
                let reply = take(&mut lock(&seen), seed, place, request, at);
                let lasts = match &reply {
                    Reply::After(time, _) => *time,
                    Reply::Hang => Duration::from_secs(2),
                    _ => Duration::ZERO,
                };
                let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                busy.retain(|until: &Instant| *until > now);
                busy.push(now + lasts);
                reply
            };
            receivers.push(HttpReceiver::scripted(script).await?);
        }
        Ok(Self { events, began, receivers, seen, busy })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Since the start.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Requests in the receivers' hands.
    pub(crate) fn in_flight(&self) -> usize {
        let now = Instant::now();
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.iter().filter(|until| **until > now).count()
    }

    /// The address of a destination; a second one of the same receiver.
    pub(crate) fn url(&self, place: usize, path: &str) -> String {
        self.receivers[place].url(path)
    }

    /// The files of both tenants.
    pub(crate) fn tenants(&self) -> [String; 2] {
        [STORM, ORDER].map(|tenant| {
            let retry = vec!["\"500ms\""; 47].join(", ");
            let mut file = format!("[tenant]\nid = \"{tenant}\"\n");
            let mut ids = Vec::new();
            for place in sites_of(tenant) {
                let site = &SITES[place];
                ids.push(format!("\"{}\"", site.id));
                let _ = write!(
                    file,
                    "\n[[destination]]\nid = \"{}\"\nchannel = \"webhook\"\nurl = \"{}\"\n\
                     secret = \"{SECRET}\"\nretry = [\"200ms\", {retry}]\n{}",
                    site.id,
                    self.url(place, "/first"),
                    site.options
                );
            }
            let ids = ids.join(", ");
            let _ = write!(file, "\n[[route]]\nevents = [\"chaos.**\"]\nto = [{ids}]\n");
            file
        })
    }

    /// Events were accepted.
    pub(crate) fn accept(&self, tenant: &'static str, events: &[u32]) {
        self.seen().accepted.entry(tenant).or_default().extend(events);
    }

    /// How many events of a tenant were accepted.
    pub(crate) fn accepted_of(&self, tenant: &str) -> usize {
        self.seen().accepted.get(tenant).map_or(0, BTreeSet::len)
    }

    /// How many events were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.seen().accepted.values().map(BTreeSet::len).sum()
    }

    /// Something happened to the routers or the store that explains duplicates.
    pub(crate) fn excuse(&self, from: Duration, until: Duration, fault: Fault) {
        if fault.explains_duplicates() {
            let from = from.saturating_sub(EXCUSED_BEFORE);
            self.seen().excuses.push((from, until + DEAD_AFTER + EXCUSED_FOR));
        }
    }

    /// Deliveries to a destination were cancelled.
    pub(crate) fn cancelled(&self, place: usize) {
        self.seen().cancelled.insert(place);
    }

    /// Deliveries to a destination were replayed.
    pub(crate) fn replayed(&self, place: usize) {
        self.seen().replayed.insert(place);
    }

    /// How many deliveries arrived.
    pub(crate) fn delivered(&self) -> usize {
        self.seen().taken.len()
    }

    /// How many arrived again.
    pub(crate) fn duplicates(&self) -> usize {
        self.seen().taken.values().map(|times| times.len() - 1).sum()
    }

    /// What is not as it must be, given the counts of both tenants.
    pub(crate) fn failures(&self, counts: &[Value; 2]) -> Vec<String> {
        let seen = self.seen();
        let mut failures = Vec::new();
        let mut note = |what: &str, list: Vec<String>| {
            if !list.is_empty() {
                let named: Vec<&str> = list.iter().take(NAMED).map(String::as_str).collect();
                failures.push(format!("{} {what}: {}", list.len(), named.join("; ")));
            }
        };
        note("strange", seen.wrong.clone());
        for (tenant, counts) in [STORM, ORDER].into_iter().zip(counts) {
            let accepted = seen.accepted.get(tenant).cloned().unwrap_or_default();
            let mut open = Vec::new();
            for name in ["pending", "waiting", "dead", "unrouted"] {
                if counts[name] != 0 {
                    open.push(format!("{} {name}", counts[name]));
                }
            }
            note(&format!("counts of {tenant} that must be 0"), open);
            if counts["received"] != accepted.len() {
                let (known, all) = (&counts["received"], accepted.len());
                note("accounts", vec![format!("{known} of {all} events of {tenant} are known")]);
            }
            let keys = accepted.iter().flat_map(|n| sites_of(tenant).map(move |site| (*n, site)));
            let missing: Vec<Key> = keys.filter(|key| !seen.taken.contains_key(key)).collect();
            let (excused, lost): (Vec<Key>, Vec<Key>) =
                missing.into_iter().partition(|(_, site)| seen.cancelled.contains(site));
            note("lost", lost.iter().map(name).collect());
            if counts["suppressed"].as_u64().unwrap_or(0) < excused.len() as u64 {
                note("lost, fewer were cancelled", excused.iter().map(name).collect());
            }
        }
        let again = seen
            .taken
            .iter()
            .flat_map(|(key, times)| times.windows(2).map(move |pair| (*key, pair[0], pair[1])));
        let unexplained = again.filter(|(key, before, again)| {
            let covers = |(from, until): &(Duration, Duration)| {
                from <= again && before <= until && again <= until
            };
            !seen.replayed.contains(&key.1) && !seen.excuses.iter().any(covers)
        });
        let unexplained = unexplained
            .map(|(key, before, again)| format!("{} at {before:.1?} and {again:.1?}", name(&key)));
        note("again without a reason", unexplained.collect());
        let wrong_order = seen.order.windows(2).filter(|pair| pair[0] > pair[1]);
        note(
            "out of order",
            wrong_order.map(|pair| format!("{} before {}", pair[0], pair[1])).collect(),
        );
        failures
    }

    /// Events of the tenant without order.
    pub(crate) fn events(&self) -> u32 {
        self.events
    }
}

fn take(seen: &mut Seen, seed: u64, place: usize, request: &Received, at: Duration) -> Reply {
    let site = &SITES[place];
    let id = request.header("webhook-id");
    let number = id.strip_prefix("evt_").and_then(|id| id.strip_prefix(site.tenant));
    let Some(n) = number.and_then(|n| n.parse::<u32>().ok()) else {
        // Notices of Fanfare itself have no route here.
        seen.wrong.push(format!("{id} came to {}", site.id));
        return Reply::Status(200);
    };
    let key = (n, place);
    let tries = seen.tries.entry(key).or_default();
    let (one, two) = (u64::from(n), u64::from(*tries) << 8 | place as u64);
    *tries += 1;
    if *tries <= MOST_FAULTS {
        let roll = dice(seed, "answer", one, two, 1_000);
        if roll < site.refuses {
            return Reply::Status(500);
        }
        // Only in some runs, because what hung when a router died takes long to come again.
        let hangs = if dice(seed, "hangs", 0, 0, 5) == 0 { site.hangs } else { 0 };
        if roll < site.refuses + hangs {
            return Reply::Hang;
        }
    }
    let times = seen.taken.entry(key).or_default();
    times.push(at);
    if times.len() == 1 && site.tenant == ORDER {
        seen.order.push(n);
    }
    let wait = Duration::from_millis(dice(seed, "slow", one, two, site.slow_ms.max(1)));
    Reply::After(wait, Box::new(Reply::Status(200)))
}

fn name((n, site): &Key) -> String {
    format!("{n} to {}", SITES[*site].id)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
