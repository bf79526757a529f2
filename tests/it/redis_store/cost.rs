//! What Redis pays: in proportion to what is done, whatever else there is.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::*;

impl Server {
    /// Calls and microseconds of each command so far, those of scripts included.
    fn commands(&self) -> HashMap<String, (u64, u64)> {
        let answer = self.command(&["INFO", "commandstats"]);
        let text: String = redis::from_redis_value(answer).expect("a text");
        let line = |line: &str| {
            let (name, facts) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let fact = |name: &str| {
                let found = facts.split(',').find_map(|fact| fact.strip_prefix(name));
                found.and_then(|value| value.strip_prefix('=')?.parse().ok())
            };
            Some((name.to_owned(), (fact("calls")?, fact("usec")?)))
        };
        text.lines().filter_map(line).collect()
    }

    /// Calls and microseconds of one command.
    fn spent(&self, command: &str) -> (u64, u64) {
        self.commands().get(command).copied().unwrap_or_default()
    }
}

fn lane_name(n: usize) -> String {
    format!("hook-{n}")
}

fn on_lane(event: &Event, n: usize, change: Change) -> DeliveryUpdate {
    let lane = lane_name(n);
    let id = DeliveryId::derive(&event.id, &lane);
    DeliveryUpdate { id, lane: lane.into(), ..updated(event, change) }
}

/// An event that waits in this number of lanes.
async fn parked(store: &Store, id: &str, lanes: usize) -> Arc<Event> {
    let event = event(id);
    store.log.append(vec![event.clone()]).await.unwrap();
    let taken = read(store, 1).await;
    store.log.admit(&taken).await.unwrap();
    let updates = (0..lanes).map(|n| on_lane(&event, n, waiting())).collect();
    let outcome = Outcome::Routed(event.clone(), updates);
    store.log.settle(vec![Settlement { entry: taken[0].0, outcome }]).await.unwrap();
    event
}

/// Microseconds of Redis for a retry of each of an event's lanes.
async fn retry_all(server: &Server, store: &Store, event: &Arc<Event>, lanes: usize) -> u64 {
    let before = server.spent("evalsha").1;
    for n in 0..lanes {
        let key = LaneKey { tenant: "acme".into(), id: lane_name(n).as_str().into() };
        let update = on_lane(event, n, Change::Retried { due_ms: T0 + 9, serve_ms: T0 + 9 });
        store.agenda.settle(&key, vec![(event.clone(), update)]).await.unwrap();
    }
    server.spent("evalsha").1 - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcome_of_a_delivery_costs_the_same_whatever_the_number_of_the_events_lanes() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let (few, many) = (24, 1_200);
    let small = parked(&store, "evt_small", few).await;
    let large = parked(&store, "evt_large", many).await;
    // Whatever the machine does beside, one of three rounds is quiet.
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let one_of_few = retry_all(&server, &store, &small, few).await / few as u64;
        let one_of_many = retry_all(&server, &store, &large, many).await / many as u64;
        rounds.push((one_of_few, one_of_many));
    }
    let is_level = |(few, many): &(u64, u64)| *many < 5 * (*few).max(20);
    assert!(rounds.iter().any(is_level), "microseconds for a delivery: {rounds:?}");
    let record = store.ledger.event("acme", "evt_large").await.unwrap().expect("the event");
    assert_eq!(record.deliveries.len(), many);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_what_waits_asks_no_lane() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    parked(&store, "evt_1", 2_000).await;
    let first = store.upkeep.backlog().await.unwrap();
    assert_eq!(first.waiting, 2_000);
    let before = server.commands();
    let again = store.upkeep.backlog().await.unwrap();
    assert_eq!(again, first);
    let after = server.commands();
    let calls = |name: &str| {
        let of = |all: &HashMap<String, (u64, u64)>| all.get(name).map_or(0, |spent| spent.0);
        of(&after) - of(&before)
    };
    assert_eq!(calls("zcard"), 0, "no queue was counted");
    let all: u64 = ["zrange", "hget", "evalsha", "hset", "hexists"].map(calls).iter().sum();
    assert!(all < 60, "{all} commands for 2,000 lanes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_that_an_earlier_version_wrote_in_one_piece_are_read_and_changed() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let event = parked(&store, "evt_old", 100).await;
    let keys: Vec<String> =
        redis::from_redis_value(server.command(&["KEYS", "fanfare:*:o:acme"])).unwrap();
    // As it was written before: one field with all lines.
    let record = store.ledger.event("acme", "evt_old").await.unwrap().expect("the event");
    let head: String =
        redis::from_redis_value(server.command(&["HGET", &keys[0], "evt_old"])).unwrap();
    let start: Vec<&str> = head.split(' ').take(2).collect();
    let mut whole = start.join(" ");
    for one in &record.deliveries {
        let lane = &one.lane;
        let _ = write!(whole, "\n\"{lane}\"\tw\t{T0}\t{T0}\t{T0}\t\"retry\"\t\"webhook\"");
    }
    server.command(&["DEL", &keys[0]]);
    server.command(&["HSET", &keys[0], "evt_old", &whole]);
    let read = store.ledger.event("acme", "evt_old").await.unwrap().expect("the event");
    assert_eq!(read.deliveries.len(), 100);
    let key = LaneKey { tenant: "acme".into(), id: lane_name(7).as_str().into() };
    let update = on_lane(&event, 7, Change::Delivered);
    store.agenda.settle(&key, vec![(event.clone(), update)]).await.unwrap();
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.waiting, counts.delivered), (99, 1));
}

/// Events of a tenant, received at `T0`, with this outcome.
async fn recorded(store: &Store, tenant: &str, first: usize, count: usize, change: &Change) {
    let event = |n: usize| {
        let id = format!("evt_{n}");
        let body = format!(r#"{{"id":"{id}","type":"a.b","created":7,"data":{{}}}}"#);
        Arc::new(Event::new(tenant.into(), id.into(), "a.b".into(), 7, T0, body.into()))
    };
    store.log.append((first..first + count).map(event).collect()).await.unwrap();
    let taken = read(store, count).await;
    store.log.admit(&taken).await.unwrap();
    let batch = taken.iter().map(|(entry, event)| settled(*entry, event, change.clone()));
    store.log.settle(batch.collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_stay_past_its_retention_is_not_searched_each_time() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    recorded(&store, "acme", 0, 4_000, &waiting()).await;
    let looked_at = || server.spent("hget").0;
    let before = looked_at();
    assert_eq!(store.upkeep.tidy(T0 + 1, 500).await.unwrap(), 0);
    let first = looked_at() - before;
    assert!(first >= 4_000, "{first}");
    let before = looked_at();
    for _ in 0..10 {
        assert_eq!(store.upkeep.tidy(T0 + 1, 500).await.unwrap(), 0);
    }
    let others = looked_at() - before;
    assert!(others < 2_000, "{others} in ten more, {first} in the first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_takes_turns_among_tenants_however_much_the_first_ones_have() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let tenants: Vec<String> = (0..24).map(|n| format!("tenant-{n}")).collect();
    for tenant in &tenants {
        recorded(&store, tenant, 0, 100, &Change::Delivered).await;
    }
    // As fast as old events are removed, others grow old everywhere.
    for round in 1..=tenants.len() {
        assert_eq!(store.upkeep.tidy(T0 + 1, 100).await.unwrap(), 100);
        recorded(&store, &tenants[round % tenants.len()], round * 100, 100, &Change::Delivered)
            .await;
    }
    for tenant in &tenants {
        let first = store.ledger.event(tenant, "evt_0").await.unwrap();
        assert!(first.is_none(), "the oldest of {tenant} had no turn");
    }
}
