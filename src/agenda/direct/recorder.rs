//! Records the outcomes of a round in batches, one batch at a time.

use std::sync::Arc;

use fanfare_contract::{DeliveryId, Event};
use futures::future::{BoxFuture, FutureExt};
use tokio::time::Instant;

use crate::agenda::Outcomes;
use crate::agenda::memory::Held;
use crate::agenda::round::Round;
use crate::flow::{RECORD_AFTER, RECORD_AT};
use fanfare_store::{DeliveryUpdate, StoreError};

pub(super) struct Recorder<'a> {
    round: &'a Round<'a>,
    /// Outcomes that are not on their way to the store yet.
    outcomes: Outcomes,
    /// The memory of their events.
    held: Vec<Held>,
    /// When the first of them came.
    since: Instant,
    writing: Option<BoxFuture<'a, Result<Vec<DeliveryId>, StoreError>>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(round: &'a Round<'a>) -> Self {
        let (outcomes, held) = (Vec::new(), Vec::new());
        Self { round, outcomes, held, since: Instant::now(), writing: None }
    }

    pub(super) fn push(&mut self, event: Arc<Event>, update: DeliveryUpdate, held: Held) {
        if self.outcomes.is_empty() {
            self.since = Instant::now();
        }
        self.outcomes.push((event, update));
        self.held.push(held);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outcomes.is_empty() && self.writing.is_none()
    }

    /// Outcomes wait for the next batch.
    pub(super) fn has_more(&self) -> bool {
        !self.outcomes.is_empty() && self.writing.is_none()
    }

    /// Starts to write a batch if it is large enough, has waited long enough, or is the `last`.
    pub(super) fn write_if_due(&mut self, last: bool) {
        if !self.has_more() {
            return;
        }
        if self.outcomes.len() < RECORD_AT && !last && self.since.elapsed() < RECORD_AFTER {
            return;
        }
        let (round, outcomes) = (self.round, std::mem::take(&mut self.outcomes));
        let held = std::mem::take(&mut self.held);
        let write = async move {
            let _held = held;
            let ids = outcomes.iter().map(|(_, update)| update.id.clone()).collect();
            // After an error the round ends: what stays in the queue must not be started again.
            round.record(outcomes).await?;
            Ok(ids)
        };
        self.writing = Some(write.boxed());
    }

    /// Waits for the batch to be written and returns its deliveries; `None` if there is none.
    /// Dropping the future loses nothing.
    pub(super) async fn written(&mut self) -> Option<Result<Vec<DeliveryId>, StoreError>> {
        let ids = self.writing.as_mut()?.await;
        self.writing = None;
        Some(ids)
    }

    /// Writes everything that is left.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        let written = self.written().await.transpose();
        self.round.record(self.outcomes).await?;
        written.map(drop)
    }
}
