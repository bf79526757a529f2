//! The window: how many entries may be on the path at once.
//!
//! A semaphore whose permits travel with the entries and are released by drop once the outcome is
//! durable. Everything that the pipeline holds in memory is bounded by it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::agenda::Space;
use crate::flow::AMPLE_WINDOW_SHARE;

/// The window of one process. Clones share the places.
#[derive(Clone)]
pub(super) struct Window {
    free: Arc<Semaphore>,
    /// Places in total.
    size: usize,
    /// Most entries in a batch.
    batch: usize,
    /// Most places that may be taken beyond a batch, by reading ahead or by one event's
    /// deliveries. The rest of a batch has places even if both happen.
    spare: usize,
}

impl Window {
    /// A window of `size` places for batches of up to `batch` entries.
    pub(super) fn new(size: usize, batch: usize) -> Self {
        let spare = size.saturating_sub(batch) / 2;
        Self { free: Arc::new(Semaphore::new(size)), size, batch, spare }
    }

    /// Most entries in a batch.
    pub(super) fn batch(&self) -> usize {
        self.batch
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
        if free * 2 < self.size || count == 0 {
            return None;
        }
        self.try_take(count)
    }

    /// Places for all `deliveries` of one event that are free right now, or how many are missing.
    /// Ten deliveries of one event fill the memory and the lanes as much as ten events.
    pub(super) fn try_grow(
        &self,
        place: &mut OwnedSemaphorePermit,
        deliveries: usize,
    ) -> Result<(), usize> {
        let more = deliveries.saturating_sub(1).min(self.spare);
        place.merge(self.try_take(more).ok_or(more)?);
        Ok(())
    }

    /// Waits for `more` places.
    pub(super) async fn grow(&self, place: &mut OwnedSemaphorePermit, more: usize) {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if let Ok(more) = self.free.clone().acquire_many_owned(more).await {
            place.merge(more);
        }
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
