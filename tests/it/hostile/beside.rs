//! A router in production mode with a healthy tenant on it, and what that tenant notices while
//! somebody else attacks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Launch, Peer, request, until, usage};

/// Events of the healthy tenant per second.
const RATE: u32 = 50;
/// The healthy tenant's producers take turns, so that one slow answer delays no other event.
const PRODUCERS: u32 = 10;
/// How long a health check may take.
const HEALTH_WITHIN: Duration = Duration::from_millis(250);
/// Resident memory, in KiB.
const MEMORY_KIB: u64 = 300 * 1024;

/// The router, the healthy tenant's receiver, and everybody's keys.
pub(super) struct Beside {
    pub(super) scene: Scene,
    pub(super) router: Fanfare,
    receiver: Peer,
    keys: BTreeMap<&'static str, String>,
    sent: AtomicUsize,
    quiet: Duration,
}

/// One arrival, as the receiver prints it.
#[derive(Deserialize)]
struct Arrival {
    id: String,
    at: f64,
}

/// What was measured while something else went on.
#[derive(Debug)]
pub(super) struct Noticed {
    /// The 99th percentile of the time from an event's scheduled sending to its arrival.
    pub(super) p99: Duration,
    /// The slowest health check.
    pub(super) health: Duration,
    /// The largest resident memory that was seen, in KiB.
    pub(super) memory_kib: u64,
}

impl Beside {
    /// Starts the router with these settings, `launch` applied, and measures the quiet latency.
    pub(super) fn start(settings: &str, launch: impl FnOnce(Launch) -> Launch) -> Self {
        let scene = Scene::embedded();
        let receiver = Peer::start("https_receiver.py", &[]);
        scene.settings(&format!("{settings}\n[webhook]\nallowed_networks = [\"127.0.0.0/8\"]\n"));
        let ca = receiver.ca().expect("it speaks TLS").to_owned();
        let router = launch(scene.launch().for_customers().env("SSL_CERT_FILE", ca)).start();
        let mut beside = Self {
            scene,
            router,
            receiver,
            keys: BTreeMap::new(),
            sent: AtomicUsize::new(0),
            quiet: Duration::ZERO,
        };
        beside.people();
        // The first events warm up connections and tables.
        beside.watch(Duration::from_secs(1), |_| ());
        beside.quiet = beside.watch(Duration::from_secs(4), |_| ()).p99;
        beside
    }

    /// Makes the tenants `healthy` and `mallory`, with a key of each role.
    fn people(&mut self) {
        let create = |args: &[&str]| {
            let made = self.scene.json(&[&["keys", "create"], args].concat());
            made["secret"].as_str().expect("a key").to_owned()
        };
        self.keys.insert("operator", create(&["--role", "operator"]));
        let taken_up =
            until(SOON, || (self.as_("operator").get("/v1/tenants").status == 200).then_some(()));
        taken_up.expect("the operator's key");
        for tenant in ["healthy", "mallory"] {
            self.as_("operator").post("/v1/tenants", &json!({"id": tenant})).is(201);
        }
        for (name, tenant, role) in [
            ("healthy", "healthy", "admin"),
            ("admin", "mallory", "admin"),
            ("publisher", "mallory", "publisher"),
            ("reader", "mallory", "reader"),
        ] {
            let key = json!({"role": role, "label": name});
            let made =
                self.as_("operator").post(&format!("/v1/tenants/{tenant}/keys"), &key).is(201);
            let secret = made["data"]["key"].as_str().expect("a key").to_owned();
            self.keys.insert(name, secret);
        }
        let settings = json!({"url": self.receiver.url("/").replace("http:", "https:")});
        let hooks = json!({"channel": "webhook", "settings": settings});
        let healthy = self.as_("healthy");
        healthy.put("/v1/tenants/healthy/destinations/hooks", &hooks).is(201);
        let route = json!({"events": ["**"], "to": ["hooks"]});
        healthy.post("/v1/tenants/healthy/routes", &route).is(201);
    }

    /// A client with the key of that name.
    pub(super) fn as_(&self, name: &str) -> Client {
        Client::new(self.router.address(), &self.keys[name])
    }

    /// An id that no other event has.
    pub(super) fn id(&self, what: &str) -> String {
        format!("evt_{what}_{}", self.sent.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds a key, to be used under a name.
    pub(super) fn add_key(&mut self, name: &'static str, key: String) {
        self.keys.insert(name, key);
    }

    /// Runs an attack beside the healthy tenant, and checks that it notices nothing.
    ///
    /// A machine that is busy with something else can miss the bounds too, so an attack that misses
    /// them runs again, up to three times in all. An attack that hurts misses them each time.
    pub(super) fn withstands(&self, what: &str, attack: impl Fn(&Self)) {
        let bound = self.quiet.mul_f64(1.5) + Duration::from_millis(100);
        let good = |noticed: &Noticed| noticed.p99 <= bound && noticed.health <= HEALTH_WITHIN;
        let mut noticed = self.watch(Duration::from_secs(2), &attack);
        for _ in 0..2 {
            if good(&noticed) {
                break;
            }
            eprintln!("{what}: {noticed:?}, once more");
            noticed = self.watch(Duration::from_secs(4), &attack);
        }
        eprintln!("{what}: {noticed:?}, p99 bound {bound:?}");
        assert!(good(&noticed), "{what}: {noticed:?}; the healthy p99 is bounded by {bound:?}");
        assert!(noticed.memory_kib < MEMORY_KIB, "{what}: {noticed:?}");
    }

    /// Sends the healthy tenant's events for `at_least`, and as long as `attack` takes.
    fn watch(&self, at_least: Duration, attack: impl Fn(&Self)) -> Noticed {
        let over = AtomicBool::new(false);
        let began = Instant::now();
        thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|n| {
                    scope.spawn({
                        let over = &over;
                        move || self.produce(n, began, over)
                    })
                })
                .collect();
            let health = scope.spawn(|| self.check_health(&over));
            // It ends when this does, also with a panic.
            let ends = EndsOnDrop(&over);
            // Producers keep their connections open, so they have them when an attack begins.
            thread::sleep(Duration::from_millis(500));
            attack(self);
            thread::sleep(at_least.saturating_sub(began.elapsed()));
            drop(ends);
            let sent: BTreeMap<String, f64> = producers
                .into_iter()
                .flat_map(|thread| thread.join().expect("a producer"))
                .collect();
            let (health, memory_kib) = health.join().expect("the health checks");
            Noticed { p99: self.p99(&sent), health, memory_kib }
        })
    }

    /// One producer's events, each with the time at which it should have been sent.
    fn produce(&self, turn: u32, began: Instant, over: &AtomicBool) -> Vec<(String, f64)> {
        let mut client = self.as_("healthy").kept_open();
        let wall = unix_seconds() - began.elapsed().as_secs_f64();
        let mut sent = Vec::new();
        let mut place = turn;
        while !over.load(Ordering::Relaxed) {
            let due = Duration::from_secs(1) / RATE * place;
            thread::sleep(due.saturating_sub(began.elapsed()));
            let id = self.id("healthy");
            client.publish(&event(&id, "kyc.session.processed", &json!({"score": 12})));
            sent.push((id, wall + due.as_secs_f64()));
            place += PRODUCERS;
        }
        sent
    }

    /// Checks the health until it is over. Returns the slowest answer and the largest memory.
    fn check_health(&self, over: &AtomicBool) -> (Duration, u64) {
        let mut slowest = Duration::ZERO;
        let mut memory_kib = 0;
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let answer = request(self.router.address(), "GET", "/healthz", &[], b"");
            // A check whose connection was cut counts as late.
            let is_good = answer.is_ok_and(|answer| answer.status == 200);
            let took = if is_good { began.elapsed() } else { 2 * HEALTH_WITHIN };
            slowest = slowest.max(took);
            memory_kib = memory_kib.max(usage::resident_kib(self.router.id()).unwrap_or(0));
            thread::sleep(Duration::from_millis(50));
        }
        (slowest, memory_kib)
    }

    /// Waits until all of it has arrived.
    fn p99(&self, sent: &BTreeMap<String, f64>) -> Duration {
        let missing = until(SOON, || {
            let arrivals: Vec<Arrival> = self.receiver.received();
            let arrived: BTreeMap<_, _> =
                arrivals.into_iter().map(|one| (one.id, one.at)).collect();
            let late = |(id, due): (&String, &f64)| arrived.get(id).map(|at| (at - due).max(0.0));
            let latencies: Option<Vec<f64>> = sent.iter().map(late).collect();
            latencies
        });
        let mut latencies =
            missing.unwrap_or_else(|| panic!("events are lost:\n{}", self.router.stderr()));
        latencies.sort_by(f64::total_cmp);
        Duration::from_secs_f64(latencies[latencies.len() * 99 / 100])
    }

    /// SIGTERM ends the router within its grace time, whatever its clients do.
    pub(super) fn ends_within(mut self, grace: Duration) {
        self.router.sigterm();
        let began = Instant::now();
        let status = self.router.wait_exit(grace + Duration::from_secs(5));
        assert!(status.success(), "{status}: {}", self.router.stderr());
        eprintln!("ended after {:?}", began.elapsed());
    }
}

/// Ends the producers and the health checks.
struct EndsOnDrop<'a>(&'a AtomicBool);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}
