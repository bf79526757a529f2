//! Which deliveries go, which are in line, and which are parked.

use std::time::Duration;

use fanfare_contract::{Event, Policy, Rate};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::flow::{BACKLOG_LASTS, LINE_COUNT_MAX, PROGRESS_WITHIN, WARM_UP_ATTEMPTS};
use fanfare_store::DeliveryUpdate;

struct Ignored;
impl Ticket for Ignored {
    fn concluded(&self, _: DeliveryUpdate) {}
    fn durable(&self) -> CancellationToken {
        CancellationToken::new()
    }
}

fn job() -> Job {
    let event =
        Event::new("t".into(), "e".into(), "a".into(), 0, 0, bytes::Bytes::from_static(b"{}"));
    Job { event: Arc::new(event), ticket: Arc::new(Ignored) }
}

fn policy(concurrency: u32, rate: Option<Rate>) -> Policy {
    Policy {
        schedule: vec![],
        jitter: 0.0,
        retry_after_cap: Duration::from_mins(1),
        attempt_timeout: Duration::from_secs(1),
        deadline: Duration::from_secs(1),
        quick_retry: false,
        concurrency,
        rate,
        channel_concurrency: 1,
        endless: false,
        disable_after: None,
        bounces: None,
    }
}

const FAST: Duration = Duration::from_millis(1);
/// The receiver is known to answer in this time.
fn known(gate: &Gate, took: Duration) {
    for _ in 0..WARM_UP_ATTEMPTS {
        gate.learn(Judgement::Healthy, took, 0, 0.0);
    }
}

const BAD: Judgement = Judgement::Unhealthy { retry_after: None };

#[tokio::test(start_paused = true)]
async fn at_the_limit_a_fast_receiver_has_a_line_and_a_slow_one_has_none() {
    let gate = Gate::new(&policy(2, None));
    known(&gate, FAST);
    let mut workers: Vec<_> = (0..2)
        .map(|_| match gate.offer(job(), 0, Space::Scarce) {
            Offer::Start(_, worker) => worker,
            _ => panic!("there is room"),
        })
        .collect();
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    let (_, hold) = workers[0].next(0).expect("a delivery is in line");
    assert_eq!(hold, None);

    for _ in 0..200 {
        gate.learn(Judgement::Healthy, Duration::from_secs(5), 0, 0.0);
    }
    let Offer::Park(_, hold) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("5 s each: not in memory")
    };
    assert_eq!(hold.reason, Reason::Busy);
    // Later deliveries queue behind it, even when there is room again.
    drop(workers);
    let Offer::Park(_, hold) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("there is a backlog")
    };
    assert_eq!(hold.reason, Reason::Backlog);
    gate.set_backlog(false);
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::Start(..)));
}

#[tokio::test(start_paused = true)]
async fn only_a_fast_receiver_is_waited_for_and_not_once_something_is_parked() {
    let gate = Gate::new(&policy(1, None));
    let is_full = || gate.is_full_for_a_moment(0, Space::Scarce);
    assert!(!is_full(), "there is room");
    let Offer::Start(_, _worker) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("there is room")
    };
    while !is_full() {
        assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    }
    assert_eq!(gate.view(0).line, LINE_COUNT_MAX);
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::Park(..)));
    assert!(!is_full(), "something is parked: the rest queues behind it");
    gate.set_backlog(false);
    assert!(is_full());
    for _ in 0..50 {
        gate.learn(Judgement::Healthy, Duration::from_millis(20), 0, 0.0);
    }
    assert!(!is_full(), "50 a second are not fast");
}

#[tokio::test(start_paused = true)]
async fn while_space_is_ample_a_receiver_that_makes_progress_has_a_longer_line() {
    let gate = Gate::new(&policy(2, None));
    known(&gate, Duration::from_millis(50));
    let _workers: Vec<_> = (0..2).map(|_| gate.offer(job(), 0, Space::Ample)).collect();
    for _ in 0..80 {
        assert!(matches!(gate.offer(job(), 0, Space::Ample), Offer::InLine), "2 s for both");
    }
    tokio::time::advance(PROGRESS_WITHIN).await;
    let Offer::Park(..) = gate.offer(job(), 0, Space::Ample) else { panic!("it has stopped") };
}

#[tokio::test(start_paused = true)]
async fn one_late_answer_does_not_make_a_receiver_slow_that_answers_others() {
    let gate = Gate::new(&policy(2, None));
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    let workers: Vec<_> = (0..2).map(|_| gate.offer(job(), 0, Space::Scarce)).collect();
    for _ in 0..100 {
        assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    }
    tokio::time::advance(Duration::from_millis(400)).await;
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(
        gate.takes_long(Duration::from_millis(500)).is_empty(),
        "the other attempt made progress"
    );
    tokio::time::advance(Duration::from_millis(400)).await;
    assert_eq!(gate.takes_long(Duration::from_millis(500)).len(), 100, "now neither does");
    drop(workers);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_long_parks_the_whole_line() {
    let gate = Gate::new(&policy(4, None));
    let workers: Vec<_> = (0..4).map(|_| gate.offer(job(), 0, Space::Scarce)).collect();
    for _ in 0..100 {
        assert!(
            matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine),
            "the speed is not known yet"
        );
    }
    let parked = gate.takes_long(Duration::from_millis(500));
    assert_eq!((parked.len(), gate.view(0).line), (100, 0), "their events are delayed no longer");
    assert!(
        matches!(gate.offer(job(), 0, Space::Scarce), Offer::Park(..)),
        "new deliveries queue behind them"
    );
    drop(workers);
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_broken_receiver_is_parked() {
    let gate = Gate::new(&policy(1, None));
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    let Offer::Start(_, mut worker) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("there is room")
    };
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    for _ in 0..8 {
        gate.learn(BAD, FAST, 0, 0.0);
    }
    let (_, hold) = worker.next(0).expect("the one in line");
    assert_eq!(hold, Some(Hold { reason: Reason::CircuitOpen, until: Some(5_000) }));
    assert!(worker.next(0).is_none());
}

#[tokio::test(start_paused = true)]
async fn after_the_pause_one_probe_goes_at_a_time() {
    let gate = Gate::new(&policy(64, None));
    for _ in 0..8 {
        gate.learn(BAD, FAST, 0, 0.0);
    }
    assert_eq!(gate.enter(4_999).await.err().map(|h| h.reason), Some(Reason::CircuitOpen));
    let probe = gate.enter(5_000).await.expect("one probe");
    assert_eq!(gate.enter(5_000).await.err().map(|h| h.reason), Some(Reason::Busy));
    assert_eq!(gate.learn(Judgement::Healthy, FAST, 5_001, 0.0), Some(false));
    drop(probe);
    assert_eq!(gate.view(5_001).limit, 2, "a slow start, not a flood");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_respected() {
    let gate = Gate::new(&policy(4, None));
    gate.learn(Judgement::Unhealthy { retry_after: Some(Duration::from_secs(30)) }, FAST, 0, 0.0);
    assert_eq!(
        gate.enter(29_999).await.err(),
        Some(Hold { reason: Reason::RetryAfter, until: Some(30_000) })
    );
    assert!(gate.enter(30_000).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_a_rate_sends_one_per_interval() {
    let gate = Gate::new(&policy(4, Some(Rate { messages: 1, per: Duration::from_secs(1) })));
    let Offer::Start(_, first) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("the first may go")
    };
    let Offer::Park(_, hold) = gate.offer(job(), 0, Space::Scarce) else { panic!("too early") };
    drop(first);
    assert_eq!(hold.reason, Reason::RateLimit);
    assert_eq!(hold.until, Some(1_001));
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert!(gate.enter(1_001).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_delivery_is_in_line_behind_a_worker_that_is_done() {
    let gate = Gate::new(&policy(1, None));
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    let Offer::Start(_, mut worker) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("there is room")
    };
    assert!(worker.next(0).is_none());
    // The worker has found the line empty but still holds its place.
    let Offer::Park(_, hold) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("no worker would take it")
    };
    assert_eq!(hold.reason, Reason::Busy);
}

#[tokio::test(start_paused = true)]
async fn no_delivery_is_in_line_behind_the_durable_queue() {
    let gate = Gate::new(&policy(1, None));
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    let _attempt = gate.enter(0).await.expect("there is room");
    assert!(
        matches!(gate.offer(job(), 0, Space::Scarce), Offer::Park(..)),
        "its permit takes no delivery from the line"
    );
}

#[tokio::test(start_paused = true)]
async fn when_fewer_are_allowed_the_last_worker_stays_for_the_line() {
    let gate = Gate::new(&policy(2, None));
    gate.learn(Judgement::Healthy, FAST, 0, 0.0);
    let start = || match gate.offer(job(), 0, Space::Scarce) {
        Offer::Start(_, worker) => worker,
        _ => panic!("there is room"),
    };
    let (mut one, mut two) = (start(), start());
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    gate.learn(BAD, FAST, 10_000, 0.0);
    assert_eq!(gate.view(0).limit, 1);
    assert!(one.next(0).is_none(), "the other worker takes the line");
    assert!(two.next(0).is_some());
}

#[tokio::test(start_paused = true)]
async fn new_deliveries_do_not_queue_behind_a_backlog_that_another_process_served() {
    let gate = Gate::new(&policy(1, None));
    let Offer::Start(_, worker) = gate.offer(job(), 0, Space::Scarce) else {
        panic!("there is room")
    };
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::InLine));
    gate.takes_long(Duration::from_secs(9));
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::Park(..)));
    drop(worker);
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::Park(..)), "something was parked");
    tokio::time::advance(BACKLOG_LASTS).await;
    assert!(matches!(gate.offer(job(), 0, Space::Scarce), Offer::Start(..)), "the backlog expired");
}
