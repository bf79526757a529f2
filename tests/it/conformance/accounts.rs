//! A property: whatever the order of operations, crashes among them, nothing is lost or counted
//! twice. A model keeps its own account; the store's must agree after every step.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use fanfare_contract::Event;
use fanfare_store::{
    Appended, Change, Claim, Counts, DeliveryUpdate, Ms, Next, Settlement, StateKind, Store,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Fixture;
use super::kit::{
    LEASE, LEASE_MS, T0, append, at, attempt, dead, event_at, lane, routed, suppressed, take,
    take_fresh, update, waiting,
};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const LANES: [&str; 3] = ["hook", "mail~ann", "mail~bob"];
const CASES: u32 = 12;
/// How long to look for a shorter sequence that fails too: an entry that never comes is only
/// missed after [`super::kit::PATIENCE`].
const SHRINKING_MS: u32 = 60_000;

#[derive(Clone, Debug)]
enum Step {
    /// New events, some of them twice.
    Append { count: u8, seed: u64 },
    /// Reads everything there is and settles a part of it.
    Route { seed: u64 },
    /// Serves what is due, with mixed results; leaves some lanes claimed.
    Serve { seed: u64 },
    /// The process dies.
    Crash,
    /// Removes what is old and done.
    Tidy,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..12_u8, any::<u64>()).prop_map(|(count, seed)| Step::Append { count, seed }),
        4 => any::<u64>().prop_map(|seed| Step::Route { seed }),
        4 => any::<u64>().prop_map(|seed| Step::Serve { seed }),
        1 => Just(Step::Crash),
        1 => Just(Step::Tidy),
    ];
    prop::collection::vec(step, 1..25)
}

pub(crate) fn accounts_add_up<F: Fixture>() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        cases: CASES,
        max_shrink_time: SHRINKING_MS,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let fixture = F::start().await;
            let mut world = World::new(&fixture).await;
            for step in steps {
                world.step(&fixture, &step).await;
                world.compare().await;
            }
            world.finish(&fixture).await;
        });
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What the model knows of one event: nothing yet, or the states of its deliveries.
#[derive(Debug)]
struct Known {
    received_ms: Ms,
    deliveries: Option<BTreeMap<&'static str, StateKind>>,
}

struct World {
    /// Away only while the process is being replaced.
    store: Option<Store>,
    now: Ms,
    events: BTreeMap<(String, String), Known>,
    /// Entries that were accepted and not settled; some of them are read already.
    outstanding: usize,
    read: usize,
}

/// A number that depends on the seed and on what it is for.
fn pick(seed: u64, what: impl Hash, below: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, what).hash(&mut hasher);
    hasher.finish() % below
}

impl World {
    async fn new<F: Fixture>(fixture: &F) -> Self {
        let store = Some(fixture.open().await);
        Self { store, now: T0, events: BTreeMap::new(), outstanding: 0, read: 0 }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("a process is there")
    }

    async fn step<F: Fixture>(&mut self, fixture: &F, step: &Step) {
        self.now += 1_000;
        match *step {
            Step::Append { count, seed } => self.append::<F>(count, seed).await,
            Step::Route { seed } => self.route(|id| pick(seed, id, 4) > 0, seed).await,
            Step::Serve { seed } => self.serve(seed, true).await,
            Step::Crash => self.crash(fixture).await,
            Step::Tidy => self.tidy().await,
        }
    }

    async fn append<F: Fixture>(&mut self, count: u8, seed: u64) {
        let mut batch = Vec::new();
        for n in 0..count {
            let tenant = TENANTS[usize::from(n) % TENANTS.len()];
            // One in eight repeats an id that may be there already.
            let id = match pick(seed, (n, "again"), 8) {
                0 => format!("evt_{}", pick(seed, n, 4)),
                _ => format!("evt_{}_{n}", pick(seed, "name", 1 << 40)),
            };
            let known = self.events.get(&(tenant.to_owned(), id.clone()));
            let received_ms = known.map_or(self.now, |known| known.received_ms);
            self.events
                .entry((tenant.to_owned(), id.clone()))
                .or_insert(Known { received_ms, deliveries: None });
            batch.push(event_at(tenant, &id, received_ms));
        }
        let answers = self.store().log.append(batch).await.expect("append");
        self.outstanding +=
            answers.iter().filter(|one| F::ADDS_KNOWN || **one == Appended::Accepted).count();
    }

    /// Reads all that is unread. What is not chosen stays with this process until it crashes.
    async fn route(&mut self, chosen: impl Fn(&str) -> bool, seed: u64) {
        let unread = self.outstanding - self.read;
        let fresh = take_fresh(self.store(), unread).await;
        self.outstanding -= unread - fresh.len();
        self.read += fresh.len();
        let mut batch: Vec<Settlement> = Vec::new();
        for taken in fresh.iter().filter(|taken| chosen(&taken.event.id)) {
            let updates: Vec<_> = LANES
                .into_iter()
                .filter_map(|to| self.outcome(&taken.event, to, pick(seed, (to, taken.entry), 6)))
                .collect();
            self.know(&taken.event, &updates);
            batch.push(routed(taken, updates));
        }
        self.outstanding -= batch.len();
        self.read -= batch.len();
        self.store().log.settle(batch).await.expect("settle");
    }

    /// One of the outcomes by number; none for numbers above 4.
    fn outcome(&self, event: &Event, to: &'static str, number: u64) -> Option<DeliveryUpdate> {
        let change = match number {
            0 => Change::Delivered,
            1 => waiting(self.now),
            2 => waiting(self.now + 2_500),
            3 => suppressed("disabled"),
            4 => dead("http_500"),
            _ => return None,
        };
        let mut update = at(update(event, to, change), self.now);
        update.attempts.push(attempt(1, "http_500"));
        Some(update)
    }

    /// The model's side of a settlement.
    fn know(&mut self, event: &Event, updates: &[DeliveryUpdate]) {
        let key = (event.tenant.to_string(), event.id.to_string());
        let known = self.events.get_mut(&key).expect("it was appended");
        let deliveries = known.deliveries.get_or_insert_default();
        for update in updates {
            let to = LANES.into_iter().find(|to| **to == *update.lane);
            deliveries.insert(to.expect("one of the lanes"), update.change.target_kind());
        }
    }

    async fn serve(&mut self, seed: u64, leave_some: bool) {
        let claims = self.store().agenda.claim(self.now, LEASE, 4, 2).await.expect("claim");
        for claim in claims {
            self.serve_lane(&claim, seed).await;
            if leave_some && pick(seed, &claim.lane, 4) == 0 {
                continue;
            }
            self.store().agenda.release(&claim, Next::WhenDue).await.expect("release");
        }
    }

    async fn serve_lane(&mut self, claim: &Claim, seed: u64) {
        let due = self.store().agenda.due(claim, self.now, 5).await.expect("due");
        let mut updates: Vec<(Arc<Event>, DeliveryUpdate)> = Vec::new();
        for item in due {
            let to = LANES.into_iter().find(|to| **to == *claim.lane.id);
            let number = pick(seed, item.id.as_str(), 6);
            if let Some(update) = self.outcome(&item.event, to.expect("one of the lanes"), number) {
                self.know(&item.event, std::slice::from_ref(&update));
                updates.push((item.event, update));
            }
        }
        self.store().agenda.settle(&claim.lane, updates).await.expect("settle");
    }

    async fn crash<F: Fixture>(&mut self, fixture: &F) {
        let store = self.store.take().expect("a process is there");
        self.store = Some(fixture.crash(store).await);
        self.read = 0;
    }

    async fn tidy(&mut self) {
        // A store may learn of an event when it is admitted: so nothing may be unread.
        self.route(|_| false, 0).await;
        let before = self.now - 3_000;
        let done = |known: &Known| {
            let waits = |kinds: &BTreeMap<_, StateKind>| {
                kinds.values().any(|kind| *kind == StateKind::Waiting)
            };
            known.deliveries.as_ref().is_some_and(|kinds| !waits(kinds))
        };
        let all = self.events.len();
        self.events.retain(|_, known| known.received_ms >= before || !done(known));
        let removed = self.store().upkeep.tidy(before, 10_000).await.expect("tidy");
        assert_eq!(removed, (all - self.events.len()) as u64, "what tidy removed");
    }

    fn expected(&self, tenant: &str) -> Counts {
        let mut counts = Counts::default();
        for (_, known) in self.events.iter().filter(|((owner, _), _)| owner == tenant) {
            counts.received += 1;
            match &known.deliveries {
                None => counts.pending += 1,
                Some(kinds) if kinds.is_empty() => counts.unrouted += 1,
                Some(kinds) => kinds.values().for_each(|kind| *counts.of(*kind) += 1),
            }
        }
        counts
    }

    async fn compare(&self) {
        if self.outstanding > self.read {
            return; // a store may not count what nobody has read
        }
        let mut waiting = 0;
        for tenant in TENANTS {
            let counts =
                self.store().ledger.counts(tenant, T0, self.now + 1).await.expect("counts");
            assert_eq!(counts, self.expected(tenant), "the account of {tenant}");
            let mut queued = 0;
            for to in LANES {
                queued += self.store().agenda.waiting(&lane(tenant, to)).await.expect("waiting");
            }
            assert_eq!(queued, counts.waiting, "the queues of {tenant}");
            self.compare_usage(tenant, queued).await;
            waiting += queued;
        }
        let next = self.store().agenda.next_time().await.expect("next time");
        assert!(waiting == 0 || next.is_some(), "{waiting} wait and no lane is to be served");
    }

    /// The numbers that the store keeps are what counting would find.
    async fn compare_usage(&self, tenant: &str, waiting: u64) {
        let usage = self.store().ledger.usage(&[tenant.into()]).await.expect("usage")[0];
        assert_eq!(usage.waiting, waiting, "what waits of {tenant}");
        let own = self.events.iter().filter(|((owner, _), _)| owner == tenant);
        let bodies =
            own.map(|((_, id), known)| event_at(tenant, id, known.received_ms).body.len() as u64);
        let bodies: Vec<u64> = bodies.collect();
        let (least, most) = (bodies.iter().sum(), bodies.iter().map(|size| size + 200).sum());
        assert!((least..=most).contains(&usage.stored_bytes), "{usage:?}, bodies of {least} bytes");
    }

    /// Everything that was accepted can be brought to an end.
    async fn finish<F: Fixture>(&mut self, fixture: &F) {
        self.crash(fixture).await;
        self.route(|_| true, 1).await;
        assert_eq!(self.outstanding, 0, "all was settled");
        for round in 0..400 {
            self.now += LEASE_MS;
            self.serve(round, false).await;
            if self.store().agenda.next_time().await.expect("next time").is_none() {
                break;
            }
        }
        self.compare().await;
        let waiting: u64 = TENANTS.iter().map(|tenant| self.expected(tenant).waiting).sum();
        assert_eq!(waiting, 0, "nothing waits for ever");
        assert!(take(self.store(), 0).await.is_empty());
        append(self.store(), &[]).await;
    }
}
