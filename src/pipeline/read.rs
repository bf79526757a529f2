//! Read: takes entries from the log in batches and sends each batch down the path.
//!
//! A batch has at most as many entries as the window has free places, and of each tenant no more
//! than the lobby has room for. While one batch is admitted, the next one is read and decoded. Twice
//! a second the reader also takes over what a stopped replica had read and not finished.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admit::AdmitStage;
use super::decode::{Decoded, Decoder};
use super::lobby::Lobby;
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
                tokio::join!(admit.batch(batch, stop), batches.read_ahead());
            }
            Err(error) => backoff.wait("the event log", &error, stop).await,
        }
    }
}

/// The log, in decoded batches.
pub(super) struct Batches {
    log: Arc<dyn Log>,
    window: Window,
    lobby: Lobby,
    decoder: Decoder,
    /// The last read returned as many entries as it could, so there may be more.
    was_full: bool,
    ahead: Option<Decoded>,
    take_over: Interval,
}

impl Batches {
    /// Batches of `log`, within `window` and `lobby`.
    pub(super) fn new(log: Arc<dyn Log>, window: Window, lobby: Lobby, decoder: Decoder) -> Self {
        let mut take_over = tokio::time::interval(TAKE_OVER_EVERY);
        take_over.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (was_full, ahead) = (false, None);
        Self { log, window, lobby, decoder, was_full, ahead, take_over }
    }

    /// The next batch, or none if no entry came for a while. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Option<Decoded>> {
        let is_take_over_due = self.take_over.tick().now_or_never().is_some();
        if !is_take_over_due && let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let (entries, places) =
            if is_take_over_due { self.left_behind().await? } else { self.read().await? };
        if entries.is_empty() {
            return Ok(None);
        }
        Ok(self.decoder.batch(entries, places).await)
    }

    async fn read(&mut self) -> Result<(Vec<Entry>, OwnedSemaphorePermit)> {
        let places = self.places().await;
        let max = places.num_permits();
        let read = loop {
            tokio::select! {
                biased;
                _ = self.take_over.tick() => break None,
                entries = self.log.read_shared(max, READ_WAIT, &self.lobby) => break Some(entries?),
                // Entries of a tenant that had no room may be read now.
                () = self.lobby.routed() => {}
            }
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

    /// Reads and decodes the next batch if it is already there, while the current one is admitted.
    /// Not if much of the window is taken: other replicas should read the log then.
    async fn read_ahead(&mut self) {
        if self.ahead.is_some() || !self.was_full {
            return;
        }
        let Some(places) = self.window.places_ahead() else { return };
        let max = places.num_permits();
        // An error shows again in the next read, which logs it.
        if let Ok(entries) = self.log.read_shared(max, Duration::ZERO, &self.lobby).await {
            self.was_full = entries.len() == max;
            if !entries.is_empty() {
                self.ahead = self.decoder.batch(entries, places).await;
            }
        }
    }

    /// Places for a batch: at least one, and no more than leave room for the deliveries of the events
    /// in the lobby.
    async fn places(&self) -> OwnedSemaphorePermit {
        self.window.places(self.window.places_beside(self.lobby.entries())).await
    }
}
