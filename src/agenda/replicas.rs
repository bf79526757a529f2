//! What replicas keep together: the paces of lanes, their concurrency, and as a hint their circuits.
//!
//! With a store that one process uses alone, everything is in memory and nothing is asked.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fanfare_contract::{Policy, Rate};

use super::gate::{Gate, LanePace};
use crate::flow::COMMON_PACES_KEPT;
use fanfare_store::{LaneKey, Limits, Ms, OpenCircuit, Store};

/// Limits over all replicas.
#[derive(Default)]
pub struct Replicas {
    /// `None` if this process is alone for good.
    limits: Option<Arc<dyn Limits>>,
    /// Live replicas; 0 until it is known.
    count: AtomicU32,
    /// Paces that several destinations share, such as those of one Slack channel.
    common: Mutex<HashMap<String, Weak<LanePace>>>,
    /// Circuits that opened (until when) or closed and are not reported yet.
    circuits: Mutex<HashMap<LaneKey, Option<Ms>>>,
    /// What this process reported as open.
    reported: Mutex<HashMap<LaneKey, OpenCircuit>>,
    /// Lanes whose gates have a hint.
    hinted: Mutex<HashSet<LaneKey>>,
}

/// The gate of a lane in the current table, and the revision of its tenant.
type Current = (Arc<Gate>, u64);

impl Replicas {
    /// A process that is alone.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// The processes of a store.
    pub fn of(store: &Store) -> Arc<Self> {
        let limits = store.limits.is_shared().then(|| store.limits.clone());
        Arc::new(Self { limits, ..Self::default() })
    }

    /// How many replicas share the concurrency of a lane, at least 1.
    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed).max(1)
    }

    /// The pace of a lane. With a `common` name, all lanes with this name have one pace.
    fn pace(&self, lane: &LaneKey, common: Option<&str>, rate: Rate) -> Arc<LanePace> {
        let Some(name) = common else {
            return Arc::new(self.new_pace(format!("{}:{}", lane.tenant, lane.id), rate));
        };
        // Destinations with different rates cannot have one pace.
        let name = format!("{name}:{}/{}ms", rate.messages, rate.per.as_millis());
        let mut known = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = known.get(&name).and_then(Weak::upgrade) {
            return pace;
        }
        if known.len() >= COMMON_PACES_KEPT {
            known.retain(|_, pace| pace.strong_count() > 0);
        }
        let pace = Arc::new(self.new_pace(name.clone(), rate));
        known.insert(name, Arc::downgrade(&pace));
        pace
    }

    /// A gate whose limits hold over all replicas.
    pub fn gate(
        self: &Arc<Self>,
        lane: &LaneKey,
        common: Option<&str>,
        policy: &Policy,
    ) -> Arc<Gate> {
        let pace = policy.rate.map(|rate| self.pace(lane, common, rate));
        let replicas = self.clone();
        Gate::among(policy, pace, move || replicas.count())
    }

    fn new_pace(&self, key: String, rate: Rate) -> LanePace {
        match &self.limits {
            Some(limits) => LanePace::shared(rate, key, limits.clone()),
            None => LanePace::own(rate),
        }
    }

    /// Notes that a circuit opened until a time, or closed.
    pub(super) fn note_circuit(&self, lane: &LaneKey, open_until: Option<Ms>) {
        if self.limits.is_some() {
            let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
            circuits.insert(lane.clone(), open_until);
        }
    }

    /// Counts the replicas, reports circuits, and applies those of others. Called with every
    /// heartbeat. An error is an outage of the store, and everything stays as it is.
    pub async fn sync(
        &self,
        now: Ms,
        find: &(dyn Fn(&LaneKey) -> Option<Current> + Sync),
    ) -> fanfare_store::Result<()> {
        let Some(limits) = &self.limits else { return Ok(()) };
        self.count.store(limits.replicas().await?, Ordering::Relaxed);
        let changes: Vec<_> =
            self.circuits.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        let (opened, closed) = self.reports(changes, find);
        let open = limits.share_circuits(now, &opened, &closed).await?;
        self.apply(&open, find);
        Ok(())
    }

    fn reports(
        &self,
        changes: Vec<(LaneKey, Option<Ms>)>,
        find: &(dyn Fn(&LaneKey) -> Option<Current> + Sync),
    ) -> (Vec<OpenCircuit>, Vec<OpenCircuit>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        for (lane, until) in changes {
            closed.extend(reported.remove(&lane));
            if let (Some(until), Some((_, revision))) = (until, find(&lane)) {
                let circuit = OpenCircuit { lane: lane.clone(), revision, until };
                reported.insert(lane, circuit.clone());
                opened.push(circuit);
            }
        }
        (opened, closed)
    }

    /// A hint is for the table in which the circuit opened: a person may have repaired the lane.
    fn apply(&self, open: &[OpenCircuit], find: &(dyn Fn(&LaneKey) -> Option<Current> + Sync)) {
        let mut hinted = self.hinted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now_hinted = HashSet::new();
        for circuit in open {
            if let Some((gate, revision)) = find(&circuit.lane)
                && revision == circuit.revision
            {
                gate.hint(Some(circuit.until));
                now_hinted.insert(circuit.lane.clone());
            }
        }
        for gone in hinted.difference(&now_hinted) {
            if let Some((gate, _)) = find(gone) {
                gate.hint(None);
            }
        }
        *hinted = now_hinted;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fanfare_contract::LaneId;
    use fanfare_store::Reason;
    use fanfare_store::memory::World;

    use super::*;

    const T0: Ms = 1_900_000_000_000;

    fn key(id: &str) -> LaneKey {
        LaneKey { tenant: "acme".into(), id: LaneId::from(id) }
    }

    fn policy(concurrency: u32, rate: Option<Rate>) -> Policy {
        Policy {
            schedule: vec![],
            endless: false,
            jitter: 0.0,
            retry_after_cap: Duration::from_mins(1),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(10),
            quick_retry: false,
            concurrency,
            rate,
            channel_concurrency: 64,
            disable_after: None,
            bounces: None,
        }
    }

    fn two() -> (Arc<World>, [Arc<Replicas>; 2]) {
        let world = World::new();
        world.share_limits();
        let replicas = [(); 2].map(|()| Replicas::of(&world.open()));
        (world, replicas)
    }

    #[tokio::test]
    async fn an_open_circuit_is_a_hint_until_it_closes_or_the_lane_is_changed() {
        let (_world, [one, two]) = two();
        let [own, gate] =
            [&one, &two].map(|replicas| replicas.gate(&key("hook"), None, &policy(8, None)));
        let find = |revision: u64| {
            let gate = gate.clone();
            move |_: &LaneKey| Some((gate.clone(), revision))
        };
        let find_own = |_: &LaneKey| Some((own.clone(), 7));
        one.note_circuit(&key("hook"), Some(T0 + 5_000));
        one.sync(T0, &find_own).await.unwrap();
        two.sync(T0, &find(8)).await.unwrap();
        assert_eq!(gate.hold(T0), None, "a person has changed the lane since");
        two.sync(T0, &find(7)).await.unwrap();
        let hold = gate.hold(T0).expect("it waits");
        assert_eq!((hold.reason, hold.until), (Reason::CircuitOpen, Some(T0 + 5_000)));
        assert_eq!(gate.hold(T0 + 5_000), None);
        one.note_circuit(&key("hook"), None);
        one.sync(T0 + 1, &find_own).await.unwrap();
        two.sync(T0 + 1, &find(7)).await.unwrap();
        assert_eq!(gate.hold(T0 + 1), None);
    }

    #[tokio::test]
    async fn concurrency_is_divided_among_the_replicas_and_each_has_one() {
        let (_world, [one, two]) = two();
        let gate = one.gate(&key("hook"), None, &policy(4, None));
        let single = two.gate(&key("fifo"), None, &policy(1, None));
        assert_eq!(gate.view(T0).limit, 4, "until it is known that there are others");
        for replicas in [&one, &two] {
            replicas.sync(T0, &|_| None).await.unwrap();
        }
        assert_eq!(gate.view(T0).limit, 2);
        assert_eq!(single.view(T0).limit, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_with_one_common_name_have_one_pace() {
        let rate = Rate { messages: 1, per: Duration::from_secs(1) };
        let policy = policy(8, Some(rate));
        // In one process, and over replicas.
        let alone = Replicas::none();
        let (_world, [one, two]) = two();
        for [first, second] in [[&alone, &alone], [&one, &one], [&one, &two]] {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let gate = |replicas: &Arc<Replicas>, id: &str| {
                replicas.gate(&key(id), Some("slack-1"), &policy)
            };
            let (a, b) = (gate(first, "alerts"), gate(second, "also-alerts"));
            let apart = first.gate(&key("other"), None, &policy);
            assert!(a.enter(T0).await.is_ok());
            let hold = b.enter(T0).await.err().expect("the place is taken");
            assert_eq!(hold.reason, Reason::RateLimit);
            assert!(hold.until.is_some_and(|until| until <= T0 + 1_002), "{hold:?}");
            assert!(apart.enter(T0).await.is_ok());
        }
    }
}
