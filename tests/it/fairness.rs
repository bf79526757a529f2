//! A tenant delays no other tenant: not with its name servers, and not with a flood of events.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanfare_receivers::Reply;
use serde_json::json;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Redis, request, until};
use crate::verifiers::SECRET;

/// The pace of the quiet tenant: 20 events a second.
const PACE: Duration = Duration::from_millis(50);
/// Events in one request of a flood.
const BATCH: usize = 1_000;
/// Events that a producer adds to the stream at once.
const BURST: usize = 5_000;
/// What a machine that is busy with other tests may add to any time.
const NOISE: Duration = Duration::from_secs(1);

/// The receiver of the quiet tenant, and when each event came.
struct Quiet {
    receiver: Counter,
    came: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Quiet {
    fn new() -> Self {
        let came = Arc::new(Mutex::new(HashMap::new()));
        let arrivals = Arc::clone(&came);
        let receiver = Counter::start(move |request| {
            let id = request.header("webhook-id").to_owned();
            arrivals.lock().expect("no holder panics").entry(id).or_insert(request.at);
            Reply::Status(200)
        });
        Self { receiver, came }
    }

    /// Sends events at the pace, and returns how long each took to arrive, the longest last.
    fn send(&self, router: &Fanfare, name: &str, count: usize) -> Vec<Duration> {
        let mut sent = Vec::new();
        for n in 0..count {
            let id = format!("evt_{name}_{n}");
            let began = Instant::now();
            let answer =
                router.post("/v1/events?tenant=quiet", &event(&id, "test.quiet", &json!({})));
            assert_eq!(answer.status, 202, "{}", answer.body);
            sent.push((id, began));
            thread::sleep(PACE.saturating_sub(began.elapsed()));
        }
        let all = || {
            let came = self.came.lock().expect("no holder panics");
            let took = |(id, began): &(String, Instant)| Some(*came.get(id)? - *began);
            sent.iter().map(took).collect::<Option<Vec<_>>>()
        };
        let mut took = until(SOON, all).unwrap_or_else(|| panic!("{name}: not all came"));
        took.sort_unstable();
        took
    }
}

/// The 99th percentile of sorted times.
fn p99(times: &[Duration]) -> Duration {
    times[(times.len() - 1) * 99 / 100]
}

#[test]
fn six_hundred_silent_name_servers_delay_no_other_tenant() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let server = silent.local_addr().expect("it is bound");
    let quiet = Quiet::new();
    let scene = Scene::embedded();
    scene.settings(&format!("[dns]\nservers = [\"{server}\"]\n"));
    // Its own name needs no name server: it is in the machine's hosts file.
    scene.tenant("quiet", &quiet.receiver.table().replace("127.0.0.1", "localhost"));
    let mut hostile = String::new();
    let ids: Vec<_> = (0..600).map(|n| format!("\"d{n}\"")).collect();
    for n in 0..600 {
        let _ = writeln!(
            hostile,
            "[[destination]]\nid = \"d{n}\"\nchannel = \"webhook\"\n\
             url = \"http://h{n}.silent.test/\"\nsecret = \"{SECRET}\"\n"
        );
    }
    let _ = writeln!(hostile, "[[route]]\nevents = [\"**\"]\nto = [{}]", ids.join(", "));
    scene.tenant("hostile", &hostile);
    let router = scene.start();
    let before = quiet.send(&router, "before", 40);

    let answer = router.post("/v1/events?tenant=hostile", &event("evt_1", "a", &json!({})));
    assert_eq!(answer.status, 202, "{}", answer.body);
    let api = thread::scope(|scope| {
        let api = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            for _ in 0..40 {
                let began = Instant::now();
                assert_eq!(router.get("/readyz").status, 200);
                assert_eq!(router.get("/v1/tenants/quiet/deliveries?limit=10").status, 200);
                slowest = slowest.max(began.elapsed());
                thread::sleep(PACE);
            }
            slowest
        });
        let during = quiet.send(&router, "during", 120);
        let allowed = p99(&before) * 3 / 2 + Duration::from_millis(100) + NOISE;
        assert!(p99(&during) <= allowed, "{:?} after {:?}", p99(&during), p99(&before));
        api.join().expect("the API answers")
    });
    assert!(api <= Duration::from_secs(2), "the API took {api:?}");
    let failed = || {
        let found = scene.deliveries("hostile");
        let tried = found.iter().filter(|delivery| delivery["attempts"] != json!([])).count();
        (tried >= 16).then_some(())
    };
    assert!(
        until(SOON, failed).is_some(),
        "its deliveries are tried: {:?}",
        scene.deliveries("hostile")
    );
}

/// What floods the store, and how many events it accepted.
fn flood(router: SocketAddr, tenant: &str, senders: usize, stop: &AtomicBool) -> usize {
    let accepted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for sender in 0..senders {
            let accepted = &accepted;
            scope.spawn(move || {
                let path = format!("/v1/events?tenant={tenant}");
                for batch in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let events = (0..BATCH).map(|n| {
                        event(&format!("evt_{sender}_{batch}_{n}"), "test.flood", &json!({}))
                    });
                    let body = format!("[{}]", events.collect::<Vec<_>>().join(","));
                    let headers = [("content-type", "application/json")];
                    let answer = request(router, "POST", &path, &headers, body.as_bytes());
                    // At the end, the router is gone.
                    let Ok(answer) = answer else { break };
                    if answer.status == 202 {
                        accepted.fetch_add(BATCH, Ordering::Relaxed);
                    } else {
                        // A quota may refuse it, which is as good.
                        assert_eq!(answer.status, 429, "{}", answer.body);
                        thread::sleep(PACE);
                    }
                }
            });
        }
    });
    accepted.into_inner()
}

/// While a tenant floods by the API, the events of another one pass what the flood has put before
/// them.
fn a_flood_delays_no_other(scene: &Scene, noise: Duration) {
    let quiet = Quiet::new();
    let loud = Counter::slow(Duration::ZERO);
    scene.tenant("quiet", &quiet.receiver.table());
    scene.tenant("flood", &loud.table());
    let mut router = scene.start();
    let before = quiet.send(&router, "before", 60);
    let (stop, address) = (AtomicBool::new(false), router.address());
    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(address, "flood", 8, &stop));
        let began = until(SOON, || (loud.distinct() > 0).then_some(()));
        assert!(began.is_some(), "the flood began");
        let first = loud.distinct();
        let during = quiet.send(&router, "during", 100);
        let passed = loud.distinct() - first;
        stop.store(true, Ordering::Relaxed);
        router.kill9();
        let accepted = flooding.join().expect("the flood ends");
        let allowed = p99(&before) * 3 / 2 + Duration::from_millis(100) + noise;
        assert!(
            p99(&during) <= allowed,
            "{:?} during the flood, {:?} before; {accepted} accepted, {passed} delivered meanwhile",
            p99(&during),
            p99(&before),
        );
        assert!(passed > 0, "the flood goes on too");
    });
}

#[test]
fn a_flood_into_a_folder_delays_no_other_tenant() {
    a_flood_delays_no_other(&Scene::embedded(), 2 * NOISE);
}

#[test]
fn a_flood_into_redis_delays_no_other_tenant() {
    let redis = Redis::start();
    // In one queue for all, the flood would put a minute of work before an event.
    a_flood_delays_no_other(&Scene::on(&redis), 5 * NOISE);
}

#[test]
fn a_burst_that_a_producer_adds_to_the_stream_delays_no_other_tenant() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let quiet = Quiet::new();
    // It answers slowly, so that its backlog lasts.
    let loud = Counter::slow(Duration::from_millis(20));
    scene.tenant("quiet", &quiet.receiver.table());
    scene.tenant("flood", &loud.table());
    let router = scene.start();
    quiet.send(&router, "before", 5);
    let client = redis::Client::open(redis.url()).expect("its address");
    let mut connection = client.get_connection().expect("it runs");
    let mut burst = redis::pipe();
    for n in 0..BURST {
        let event = event(&format!("evt_{n}"), "test.flood", &json!({}));
        let fields = [("tenant", "flood"), ("event", &event)];
        burst.xadd("fanfare:events", "*", &fields).ignore();
    }
    burst.query::<()>(&mut connection).expect("it is added");
    let took = quiet.send(&router, "during", 1);
    let passed = loud.distinct();
    assert!(took[0] <= 2 * NOISE, "{took:?}");
    assert!(passed < BURST, "all of the burst came before it, in {took:?}");
    loud.wait_for(BURST, SOON);
    assert_eq!(loud.duplicates(), 0);
}
