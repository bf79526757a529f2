//! The window: how many entries may be on the path at once.
//!
//! A semaphore whose permits travel with the entries and are released by drop once the outcome is
//! durable. Everything that the pipeline holds in memory is bounded by it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::agenda::Space;
use crate::flow::{
    AMPLE_WINDOW_SHARE, BATCH_WAIT_STEP, EVENT_COPIES, PLACE_BYTES_MIN, RESERVED_WINDOW_SHARE,
};

/// The window of one process. Clones share the places.
#[derive(Clone)]
pub(super) struct Window {
    free: Arc<Semaphore>,
    /// Places in total.
    size: usize,
    /// Most entries in a batch.
    batch: usize,
    /// Bytes of memory for each place. A larger event takes several places.
    place_bytes: usize,
    /// Most places that may be taken beyond a batch, by reading ahead or by one event's
    /// deliveries. The rest of a batch has places even if both happen.
    spare: usize,
}

impl Window {
    /// A window of `size` places for batches of up to `batch` entries, with `memory` bytes.
    pub(super) fn new(size: usize, batch: usize, memory: usize) -> Self {
        let spare = size.saturating_sub(batch) / 2;
        let place_bytes = (memory / size.max(1)).max(PLACE_BYTES_MIN);
        Self { free: Arc::new(Semaphore::new(size)), size, batch, place_bytes, spare }
    }

    /// How many places an event with a body of this size takes.
    pub(super) fn places_of(&self, body: usize) -> usize {
        (body.saturating_mul(EVENT_COPIES) / self.place_bytes).clamp(1, self.size)
    }

    /// Most entries in a batch.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// Places in total.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Most places for a batch while `entries` wait to be routed.
    pub(super) fn places_beside(&self, entries: usize) -> usize {
        let most = self.size.saturating_sub(self.spare + entries);
        self.batch.min(most).max(1)
    }

    /// Whether at least half of the places are free.
    pub(super) fn is_half_free(&self) -> bool {
        self.free.available_permits() * 2 >= self.size
    }

    /// Waits for one place, then takes what is free, up to `max` in total.
    pub(super) async fn places(&self, max: usize) -> OwnedSemaphorePermit {
        let first = self.free.clone().acquire_owned().await;
        let mut places = first.expect("nothing closes the window");
        let more = self.free.available_permits().min(max.saturating_sub(1));
        if let Some(more) = self.try_take(more) {
            places.merge(more);
        }
        places
    }

    /// Places for a batch that is read ahead. `None` while more than half of the window is taken:
    /// other replicas should read the log then.
    pub(super) fn places_ahead(&self) -> Option<OwnedSemaphorePermit> {
        let free = self.free.available_permits();
        let count = free.min(self.spare).min(self.batch);
        if !self.is_half_free() || count == 0 {
            return None;
        }
        self.try_take(count)
    }

    /// Takes places for all `deliveries` of one event, if they are free right now. Ten deliveries of
    /// one event fill the memory and the lanes as much as ten events. Some places stay reserved for
    /// entries, so that events with many deliveries do not keep those of others out.
    pub(super) fn try_grow(&self, place: &mut OwnedSemaphorePermit, deliveries: usize) -> bool {
        let more = deliveries.saturating_sub(1).min(self.spare);
        let reserved = self.size / RESERVED_WINDOW_SHARE;
        if more > 0 && self.free.available_permits() < more + reserved.min(self.spare - more) {
            return false;
        }
        let Some(more) = self.try_take(more) else { return false };
        place.merge(more);
        true
    }

    /// Like [`Self::try_grow`], and tries again until `within` has passed. It waits in no queue, so
    /// it holds back nothing else that needs a place.
    pub(super) async fn grow(
        &self,
        place: &mut OwnedSemaphorePermit,
        deliveries: usize,
        within: Duration,
    ) -> bool {
        let until = Instant::now() + within;
        while !self.try_grow(place, deliveries) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(BATCH_WAIT_STEP).await;
        }
        true
    }

    /// How much memory is left for the lanes' lines. Long lines may take three quarters of the
    /// window: slow receivers leave the rest to others.
    pub(super) fn space(&self) -> Space {
        let is_ample = self.free.available_permits() * AMPLE_WINDOW_SHARE >= self.size;
        if is_ample { Space::Ample } else { Space::Scarce }
    }

    fn try_take(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.free.clone().try_acquire_many_owned(count).ok()
    }
}
