//! Reads the log in batches: as many entries as there are places for, what others left behind, and the
//! next batch, which is prepared too, while the one before is set on its way.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior};

use fanfare_store::{Entry, Log, Result};

/// What a replica that stops had read and not begun waits for no longer than this.
const LOOK_FOR_LEFT: Duration = Duration::from_millis(500);
/// Longest time that a read waits for something to come.
const WAIT: Duration = Duration::from_secs(1);

/// Entries, with a place in the window for each at least.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) places: OwnedSemaphorePermit,
}

/// The log, in batches, and what was prepared of the next one.
pub(super) struct Batches<P> {
    log: Arc<dyn Log>,
    window: Arc<Semaphore>,
    /// Places of the window in all.
    places: usize,
    most: usize,
    /// Entries that may be read ahead: no more than the window can spare when all of a batch waits for
    /// places for its deliveries.
    most_ahead: usize,
    /// The last batch found its receivers busy.
    held_up: bool,
    /// The last batch was as large as it could be, so there may be more.
    was_full: bool,
    ahead: Option<P>,
    look_for_left: Interval,
}

impl<P> Batches<P> {
    /// Batches of at most `most` entries, from a window of so many `places`.
    pub(super) fn new(
        log: Arc<dyn Log>,
        window: Arc<Semaphore>,
        (places, most, most_ahead): (usize, usize, usize),
    ) -> Self {
        let mut look_for_left = tokio::time::interval(LOOK_FOR_LEFT);
        look_for_left.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let most_ahead = most_ahead.min(most);
        let (held_up, was_full, ahead) = (false, false, None);
        Self { log, window, places, most, most_ahead, held_up, was_full, ahead, look_for_left }
    }

    /// The next entries, prepared; none when none came in a while. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, prepare: impl Fn(Batch) -> P) -> Result<Option<P>> {
        let is_time_to_look = self.look_for_left.tick().now_or_never().is_some();
        if !is_time_to_look && let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let batch = if is_time_to_look { self.left_behind().await? } else { self.read().await? };
        Ok((!batch.entries.is_empty()).then(|| prepare(batch)))
    }

    async fn read(&mut self) -> Result<Batch> {
        let places = self.places().await;
        let most = places.num_permits();
        let read = tokio::select! {
            biased;
            _ = self.look_for_left.tick() => None,
            entries = self.log.read(most, WAIT) => Some(entries?),
        };
        let Some(entries) = read else {
            drop(places);
            return self.left_behind().await;
        };
        self.was_full = entries.len() == most;
        Ok(Batch { entries, places })
    }

    async fn left_behind(&mut self) -> Result<Batch> {
        let places = self.places().await;
        let most = places.num_permits();
        let entries = self.log.take_over(most).await?;
        // Where so much was left there may be more.
        if entries.len() == most {
            self.look_for_left.reset_immediately();
        }
        Ok(Batch { entries, places })
    }

    /// While a batch is set on its way: reads and prepares the one after it, if it is there already. So
    /// the store works while entries are decoded and sent. Not where receivers are busy or much is on its
    /// way: then other replicas may have a use for what is in the log.
    pub(super) async fn read_ahead(&mut self, prepare: impl Fn(Batch) -> P) {
        let free = self.window.available_permits();
        if self.ahead.is_some() || !self.was_full || self.held_up || free * 2 < self.places {
            return;
        }
        let most = free.min(self.most_ahead);
        let count = u32::try_from(most).unwrap_or(u32::MAX);
        let Ok(places) = self.window.clone().try_acquire_many_owned(count) else { return };
        if most == 0 {
            return;
        }
        // What is wrong shows in the next read, and is told there.
        if let Ok(entries) = self.log.read(most, Duration::ZERO).await {
            self.was_full = entries.len() == most;
            self.ahead = (!entries.is_empty()).then(|| prepare(Batch { entries, places }));
        }
    }

    /// Whether the last batch waited for its receivers for so long that the next should be smaller.
    pub(super) fn note(&mut self, held_up: bool) {
        self.held_up = held_up;
    }

    /// Places in the window: at least one, at most a batch.
    async fn places(&self) -> OwnedSemaphorePermit {
        let most = if self.held_up { self.most.div_ceil(2) } else { self.most };
        let first = self.window.clone().acquire_owned().await;
        let mut places = first.expect("nobody closes the window");
        let more = self.window.available_permits().min(most.saturating_sub(1));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if let Ok(more) = self.window.clone().try_acquire_many_owned(more) {
            places.merge(more);
        }
        places
    }
}
