//! The order of arrival over several replicas, each of which reads a part of the stream.

use super::*;
use crate::crash::Counter;
use crate::scene::{SOON, Scene};
use crate::support::{Fanfare, until};
use fanfare_store::{Change, Reason};

/// In its lane since it arrived, as the router queues it.
fn queued(entry: EntryId) -> Change {
    let due_ms = i64::try_from(entry.major).expect("a time");
    Change::Queued { due_ms, serve_ms: T0, reason: Reason::Fifo }
}

async fn queue(store: &Store, (entry, event): &(EntryId, Arc<Event>)) {
    store.log.admit(&[(*entry, Arc::clone(event))]).await.expect("admit");
    store.log.settle(vec![settled(*entry, event, queued(*entry))]).await.expect("settle");
}

/// The event at the head; none when nothing is due; an empty one when it may not go yet.
async fn head(store: &Store, claim: &Claim) -> Option<String> {
    match store.agenda.head(claim, T0).await.expect("head") {
        Head::None => None,
        Head::Ready(item) => Some(item.event.id.to_string()),
        Head::Early { .. } => Some(String::new()),
    }
}

async fn claim(store: &Store) -> Claim {
    store.agenda.claim(T0, PATIENCE, 1, 1).await.expect("claim").remove(0)
}

/// Two replicas that each read one of two neighbours; the later is queued, the earlier is not.
async fn overtaken(server: &Server) -> (Store, Store, (EntryId, Arc<Event>), Claim) {
    let (one, two) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    one.log.append(events(2)).await.unwrap();
    let earlier = read(&one, 1).await.remove(0);
    let later = read(&two, 1).await.remove(0);
    assert_eq!((&*earlier.1.id, &*later.1.id), ("evt_0", "evt_1"));
    queue(&two, &later).await;
    let claim = claim(&two).await;
    assert_eq!(head(&two, &claim).await.as_deref(), Some(""), "it has overtaken the other");
    (one, two, earlier, claim)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_waits_for_what_another_replica_has_read() {
    let server = Server::new(Redis::start());
    let (one, two, earlier, claim) = overtaken(&server).await;
    one.log.append(vec![event("evt_2")]).await.unwrap();
    queue(&one, &earlier).await;
    let unread = head(&two, &claim).await;
    assert_eq!(unread.as_deref(), Some("evt_0"), "what nobody has read is later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_waits_no_more_once_the_entry_before_it_was_rejected_or_goes_elsewhere() {
    for goes_elsewhere in [true, false] {
        let server = Server::new(Redis::start());
        let (one, two, (entry, event), claim) = overtaken(&server).await;
        let outcome = if goes_elsewhere { Outcome::Unrouted(event) } else { Outcome::Duplicate };
        one.log.settle(vec![Settlement { entry, outcome }]).await.unwrap();
        assert_eq!(head(&two, &claim).await.as_deref(), Some("evt_1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_waits_for_what_is_taken_over_from_a_replica_that_is_gone() {
    let server = Server::new(Redis::start());
    let (one, two, _, claim) = overtaken(&server).await;
    one.upkeep.leave().await.unwrap();
    assert_eq!(head(&two, &claim).await.as_deref(), Some(""), "nobody has it");
    let taken = decoded(two.log.take_over(9).await.unwrap()).remove(0);
    assert_eq!(head(&two, &claim).await.as_deref(), Some(""), "it is in hand");
    queue(&two, &taken).await;
    assert_eq!(head(&two, &claim).await.as_deref(), Some("evt_0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_goes_though_the_group_or_the_whole_stream_is_lost() {
    for lost in
        [&["XGROUP", "DESTROY", "fanfare:events", "fanfare"][..], &["DEL", "fanfare:events"]]
    {
        let server = Server::new(Redis::start());
        let store = server.open(Duration::MAX).await;
        store.log.append(events(1)).await.unwrap();
        let first = read(&store, 1).await.remove(0);
        queue(&store, &first).await;
        server.command(lost);
        let claim = claim(&store).await;
        assert_eq!(head(&store, &claim).await.as_deref(), Some("evt_0"), "after {lost:?}");
        // And when another has been begun in its place.
        assert!(store.log.read(1, Duration::from_millis(10)).await.unwrap().is_empty());
        assert_eq!(head(&store, &claim).await.as_deref(), Some("evt_0"), "after {lost:?}");
    }
}

/// A replica that reads an event and holds it, beside a router that gets the two after it.
struct Held {
    runtime: tokio::runtime::Runtime,
    replica: Store,
    first: (EntryId, Arc<Event>),
    counter: Counter,
    router: Fanfare,
    beating: tokio::task::JoinHandle<()>,
    _scene: Scene,
    _server: Server,
}

impl Held {
    fn start(fifo: &str) -> Self {
        let server = Server::new(Redis::start());
        let counter = Counter::slow(Duration::ZERO);
        let scene = Scene::on(&server.redis);
        let table = counter.table().replace("retry =", &format!("fifo = {fifo}\nretry ="));
        scene.tenant("acme", &table);
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().expect("a runtime");
        let (replica, first) = runtime.block_on(async {
            let replica = server.open(Duration::MAX).await;
            replica.log.append(events(1)).await.expect("append");
            let first = read(&replica, 1).await.remove(0);
            (replica, first)
        });
        let alive = replica.clone();
        let beating = runtime.spawn(async move {
            while alive.upkeep.beat(0).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let router = scene.start();
        let later = vec![event("evt_1"), event("evt_2")];
        runtime.block_on(replica.log.append(later)).expect("append");
        Self { runtime, replica, first, counter, router, beating, _scene: scene, _server: server }
    }

    /// How often the router has looked at a lane.
    fn looks(&self) -> u64 {
        let text = self.router.get("/metrics").body;
        let count = "fanfare_store_call_seconds_count{call=\"due\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(count)).unwrap_or("0");
        line.parse().expect("a count")
    }

    /// Waits until both wait in their lane and the router has looked at it again and again.
    fn see_it_wait(&self) {
        let waits = async |id| match self.replica.ledger.event("acme", id).await {
            Ok(Some(record)) => record.deliveries.iter().any(|one| one.state.is_waiting()),
            _ => false,
        };
        let both = || self.runtime.block_on(async { waits("evt_1").await && waits("evt_2").await });
        until(SOON, || both().then_some(())).expect("both are queued");
        let before = self.looks();
        until(SOON, || (self.looks() >= before + 3).then_some(())).expect("it looks");
        assert_eq!(self.counter.order(), [""; 0], "the first is not there");
    }

    fn see_the_order(&self) {
        self.counter.wait_for(3, SOON);
        assert_eq!(self.counter.order(), ["evt_0", "evt_1", "evt_2"]);
        assert_eq!(self.counter.duplicates(), 0);
    }
}

#[test]
fn what_a_replica_holds_up_is_delivered_before_what_another_has_read_after_it() {
    let scene = Held::start("true");
    scene.see_it_wait();
    let (entry, event) = &scene.first;
    let mut first = updated(event, queued(*entry));
    first.lane = "hooks".into();
    first.id = DeliveryId::derive(&event.id, "hooks");
    let outcome = Outcome::Routed(Arc::clone(event), vec![first]);
    scene.runtime.block_on(async {
        scene.replica.log.admit(std::slice::from_ref(&scene.first)).await.expect("admit");
        let settlement = Settlement { entry: *entry, outcome };
        scene.replica.log.settle(vec![settlement]).await.expect("settle");
    });
    scene.see_the_order();
}

#[test]
fn what_a_replica_leaves_behind_is_delivered_before_what_another_has_read_after_it() {
    let mut scene = Held::start("\"strict\"");
    scene.see_it_wait();
    scene.beating.abort();
    scene.runtime.block_on(async {
        assert!((&mut scene.beating).await.is_err(), "it gives no more signs of life");
        scene.replica.upkeep.leave().await.expect("it leaves");
    });
    scene.see_the_order();
}
