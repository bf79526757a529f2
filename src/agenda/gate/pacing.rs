//! The pace of a lane: in this process alone, or together with all replicas.
//!
//! A shared pace is in the store. A process takes a place there before an attempt, and several at
//! once if the rate is high. What it does not use soon is lost, so that places never pile up and
//! leave in a burst. Between two places it knows how long there is nothing to take, and does not
//! ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare_contract::Rate;
use tokio::time::{Instant, timeout};

use crate::delivery::layers::Pace;
use crate::flow::{PLACES_ASK_TIMEOUT, PLACES_AT_ONCE_MAX, PLACES_LAST};
use fanfare_store::{Limits, Pacing};

/// Decides when a lane's next attempt may go.
pub struct LanePace {
    /// In this process. It also decides while the store is away.
    own: Pace,
    shared: Option<Shared>,
}

/// Places that all replicas share.
struct Shared {
    limits: Arc<dyn Limits>,
    key: String,
    pacing: Pacing,
    /// Places that are taken at once.
    at_once: u32,
    taken: Mutex<Taken>,
    /// One question at a time: the others use what it brings.
    asking: tokio::sync::Mutex<()>,
}

/// What this process has of the shared places.
#[derive(Default)]
struct Taken {
    places: u32,
    /// They are lost from then on.
    until: Option<Instant>,
    /// Nothing is free before.
    none_before: Option<Instant>,
}

impl LanePace {
    /// A pace of this process.
    pub fn own(rate: Rate) -> Self {
        Self { own: Pace::new(rate), shared: None }
    }

    /// A pace that all replicas share under `key`.
    pub fn shared(rate: Rate, key: String, limits: Arc<dyn Limits>) -> Self {
        let messages = rate.messages.max(1);
        let interval = rate.per / messages;
        let pacing = Pacing { interval, burst: messages };
        let in_time = PLACES_LAST.as_nanos() / 2 / interval.as_nanos().max(1);
        let at_once = u32::try_from(in_time).unwrap_or(u32::MAX).clamp(1, PLACES_AT_ONCE_MAX);
        let at_once = at_once.min(messages);
        let (taken, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        let shared = Shared { limits, key, pacing, at_once, taken, asking };
        Self { own: Pace::new(rate), shared: Some(shared) }
    }

    /// Whether its whole burst is free in this process, so that nothing is lost if it is forgotten. A
    /// shared pace is kept in the store.
    pub(super) fn is_full(&self) -> bool {
        self.shared.is_some() || self.own.is_full(Instant::now())
    }

    /// What is known without asking: takes a place of an own pace, or says how long it is certain
    /// that there is none.
    pub(super) fn try_now(&self) -> Result<(), Duration> {
        match &self.shared {
            None => self.own.try_take(Instant::now()),
            Some(shared) => shared.closed_for().map_or(Ok(()), Err),
        }
    }

    /// Takes a shared place. `Ok` at once for an own pace, of which [`Self::try_now`] took one.
    pub(super) async fn take(&self) -> Result<(), Duration> {
        let Some(shared) = &self.shared else { return Ok(()) };
        match shared.take().await {
            Some(answer) => answer,
            // The store is away: no replica can ask, so each keeps the rate by itself.
            None => self.own.try_take(Instant::now()),
        }
    }
}

impl Shared {
    fn closed_for(&self) -> Option<Duration> {
        let none_before = self.lock().none_before?;
        let wait = none_before.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_one(&self) -> bool {
        let mut taken = self.lock();
        let is_fresh = taken.until.is_some_and(|until| Instant::now() < until);
        let has_one = is_fresh && taken.places > 0;
        taken.places = if has_one { taken.places - 1 } else { 0 };
        has_one
    }

    /// `None` if the store does not answer.
    async fn take(&self) -> Option<Result<(), Duration>> {
        if self.use_one() {
            return Some(Ok(()));
        }
        let _asking = self.asking.lock().await;
        if self.use_one() {
            return Some(Ok(()));
        }
        if let Some(wait) = self.closed_for() {
            return Some(Err(wait));
        }
        let asked = Instant::now();
        let ask = self.limits.take_places(&self.key, self.pacing, self.at_once);
        let places = timeout(PLACES_ASK_TIMEOUT, ask).await.ok()?.ok()?;
        let mut taken = self.lock();
        if places.taken == 0 {
            let wait = places.wait.max(Duration::from_millis(1));
            taken.none_before = Some(Instant::now() + wait);
            return Some(Err(wait));
        }
        *taken =
            Taken { places: places.taken - 1, until: Some(asked + PLACES_LAST), none_before: None };
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use fanfare_store::memory::World;

    use super::*;

    fn rate(messages: u32, seconds: u64) -> Rate {
        Rate { messages, per: Duration::from_secs(seconds) }
    }

    /// Takes places in `processes` for `seconds`. Returns when each was taken, in milliseconds.
    async fn run(processes: &[LanePace], seconds: u64) -> Vec<u128> {
        let began = Instant::now();
        let mut taken = Vec::new();
        let is_over = || began.elapsed() >= Duration::from_secs(seconds);
        while !is_over() {
            for pace in processes {
                while !is_over() && pace.try_now().is_ok() && pace.take().await.is_ok() {
                    taken.push(began.elapsed().as_millis());
                }
            }
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        taken
    }

    fn shared(count: usize, rate: Rate) -> (Arc<World>, Vec<LanePace>) {
        let world = World::new();
        let pace = |_| LanePace::shared(rate, "acme:hook".to_owned(), world.open().limits);
        let paces = (0..count).map(pace).collect();
        (world, paces)
    }

    #[tokio::test(start_paused = true)]
    async fn three_processes_take_no_more_than_one_would() {
        let (_world, paces) = shared(3, rate(5, 1));
        let taken = run(&paces, 60).await;
        assert!((280..=305).contains(&taken.len()), "5 a second for a minute: {}", taken.len());
        for (at, first) in taken.iter().enumerate() {
            let within = taken[at..].iter().take_while(|time| **time < first + 10_000).count();
            assert!(within <= 55, "{within} within 10 s from {first} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_high_rate_is_taken_in_batches_and_what_is_not_used_is_lost() {
        let (_world, paces) = shared(1, rate(1_000, 1));
        let taken = run(&paces, 10).await;
        assert!((9_000..=11_100).contains(&taken.len()), "{}", taken.len());
        // One attempt after a pause takes a batch, of which the rest must not add to a later burst.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(paces[0].take().await.is_ok());
        tokio::time::sleep(PLACES_LAST * 2).await;
        assert!(!paces[0].shared.as_ref().unwrap().use_one(), "they are lost");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_away_each_process_keeps_the_rate_by_itself() {
        let (world, paces) = shared(1, rate(2, 1));
        world.faults.hang("limits.take_places");
        let taken = run(&paces, 30).await;
        assert!((2..=62).contains(&taken.len()), "{}", taken.len());
        world.faults.heal();
        assert!(run(&paces, 10).await.len() >= 18, "and goes on together");
    }
}
