//! Read: takes entries from the log in batches and sends each batch down the path.
//!
//! A batch has at most as many entries as the window has free places. While one batch is admitted,
//! routed and dispatched, the next one is read and decoded. Twice a second the reader also takes
//! over what a stopped replica had read and not finished.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admit::AdmitStage;
use super::decode::{Decoded, Decoder};
use super::window::Window;
use crate::flow::{READ_WAIT, TAKE_OVER_EVERY};
use crate::persist::Backoff;
use fanfare_store::{Entry, Log, Result};

/// Reads batches until `stop` and sends each one down the path.
pub(super) async fn run(mut batches: Batches, admit: AdmitStage, stop: &CancellationToken) {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = batches.next() => next,
        };
        match next {
            Ok(batch) => {
                backoff.recovered("the event log");
                let Some(batch) = batch else { continue };
                let (was_delayed, ()) =
                    tokio::join!(admit.batch(batch, stop), batches.read_ahead());
                batches.note(was_delayed);
            }
            Err(error) => backoff.wait("the event log", &error, stop).await,
        }
    }
}

/// The log, in decoded batches.
pub(super) struct Batches {
    log: Arc<dyn Log>,
    window: Window,
    decoder: Decoder,
    /// The last batch waited for its receivers.
    was_delayed: bool,
    /// The last read returned as many entries as it could, so there may be more.
    was_full: bool,
    ahead: Option<Decoded>,
    take_over: Interval,
}

impl Batches {
    /// Batches of `log`, within `window`.
    pub(super) fn new(log: Arc<dyn Log>, window: Window, decoder: Decoder) -> Self {
        let mut take_over = tokio::time::interval(TAKE_OVER_EVERY);
        take_over.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (was_delayed, was_full, ahead) = (false, false, None);
        Self { log, window, decoder, was_delayed, was_full, ahead, take_over }
    }

    /// The next batch, or none if no entry came for a while. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Option<Decoded>> {
        let is_take_over_due = self.take_over.tick().now_or_never().is_some();
        if !is_take_over_due && let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let (entries, places) =
            if is_take_over_due { self.left_behind().await? } else { self.read().await? };
        Ok((!entries.is_empty()).then(|| self.decoder.batch(entries, places)))
    }

    async fn read(&mut self) -> Result<(Vec<Entry>, OwnedSemaphorePermit)> {
        let places = self.places().await;
        let max = places.num_permits();
        let read = tokio::select! {
            biased;
            _ = self.take_over.tick() => None,
            entries = self.log.read(max, READ_WAIT) => Some(entries?),
        };
        let Some(entries) = read else {
            drop(places);
            return self.left_behind().await;
        };
        self.was_full = entries.len() == max;
        Ok((entries, places))
    }

    /// Entries that a stopped replica read and did not finish.
    async fn left_behind(&mut self) -> Result<(Vec<Entry>, OwnedSemaphorePermit)> {
        let places = self.places().await;
        let max = places.num_permits();
        let entries = self.log.take_over(max).await?;
        if entries.len() == max {
            // There may be more.
            self.take_over.reset_immediately();
        }
        Ok((entries, places))
    }

    /// Reads and decodes the next batch if it is already there, while the current one is on its
    /// way. Not if receivers are busy or much of the window is taken: other replicas should read
    /// the log then.
    async fn read_ahead(&mut self) {
        if self.ahead.is_some() || !self.was_full || self.was_delayed {
            return;
        }
        let Some(places) = self.window.places_ahead() else { return };
        let max = places.num_permits();
        // An error shows again in the next read, which logs it.
        if let Ok(entries) = self.log.read(max, Duration::ZERO).await {
            self.was_full = entries.len() == max;
            self.ahead = (!entries.is_empty()).then(|| self.decoder.batch(entries, places));
        }
    }

    /// Notes whether the last batch waited so long for its receivers that the next should be
    /// smaller.
    fn note(&mut self, was_delayed: bool) {
        self.was_delayed = was_delayed;
    }

    /// Places for a batch, or for half of one after a delay: at least one.
    async fn places(&self) -> OwnedSemaphorePermit {
        let batch = self.window.batch();
        self.window.places(if self.was_delayed { batch.div_ceil(2) } else { batch }).await
    }
}
