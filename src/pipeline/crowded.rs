//! What of a batch finds no room at its lane for a moment, and for how long the batch waits for it.
//!
//! A receiver that keeps up is so fed as fast as it takes, and what it cannot take yet stays in the
//! log, where it costs nothing: the durable queue is a detour, behind which everything else of the
//! lane would then have to go. Everybody else's deliveries go first, and a batch waits once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::dispatch::Dispatch;
use crate::agenda::{Job, Lane, Space};

/// How long one batch may be held up. A receiver that stops answering holds the others up for it
/// once: then what finds no room is parked, and as long as something is, nobody waits for that lane.
///
/// So who comes behind a burst in the log waits for receivers that take a batch in this time, and for no
/// others. One that does, and then slows down, is fed half a batch at a time: down to half that pace it
/// needs no detour, which would cost it and the machine twice as much as before just when they are busy.
const LONGEST: Duration = Duration::from_millis(200);
/// Between two looks; a line lasts longer.
const STEP: Duration = Duration::from_millis(1);

/// Deliveries that are begun at once. Quick receivers have answered the first when the last begin, and
/// their connections serve again: a whole batch at once would open one for each.
const AT_ONCE: usize = 32;

/// Deliveries of one batch that stand aside for others.
pub(super) struct Crowded<'a> {
    dispatch: &'a Dispatch,
    window: &'a Semaphore,
    places: usize,
    held: Vec<(Arc<Lane>, Job)>,
    left: Duration,
    begun: usize,
}

impl<'a> Crowded<'a> {
    /// `window` has a place for each delivery that is in memory, `places` in all.
    pub(super) fn new(dispatch: &'a Dispatch, window: &'a Semaphore, places: usize) -> Self {
        Self { dispatch, window, places, held: Vec::new(), left: LONGEST, begun: 0 }
    }

    /// Sends it, or keeps it for the end of the batch if its lane is crowded.
    pub(super) fn send(&mut self, lane: &Arc<Lane>, job: Job) {
        if self.is_full(lane) {
            self.held.push((lane.clone(), job));
        } else {
            self.begin(lane, job);
        }
    }

    fn begin(&mut self, lane: &Arc<Lane>, job: Job) {
        self.begun += usize::from(self.dispatch.send(lane, job, self.space()));
    }

    /// Lets what was begun go on before more is, if it is much.
    pub(super) async fn let_others_go_on(&mut self) {
        if self.begun >= AT_ONCE {
            self.begun = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Sends what was kept as soon as there is room; what finds none in time is parked, and the rest of
    /// its lane behind it.
    pub(super) async fn flush(&mut self) {
        for (lane, job) in std::mem::take(&mut self.held) {
            while !self.left.is_zero() && self.is_full(&lane) {
                let began = Instant::now();
                tokio::time::sleep(STEP).await;
                self.left = self.left.saturating_sub(began.elapsed());
            }
            self.begin(&lane, job);
        }
    }

    /// Whether these `entries` were held up for so long that at this pace a whole batch may soon find no
    /// room in time.
    pub(super) fn was_held_up(&self, entries: usize, batch: usize) -> bool {
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        LONGEST.saturating_sub(self.left) * count(batch) > LONGEST / 2 * count(entries)
    }

    /// Long lines may take three quarters of the window: slow receivers leave the rest for others.
    fn space(&self) -> Space {
        let free = self.window.available_permits();
        if free * 4 >= self.places { Space::Ample } else { Space::Scarce }
    }

    fn is_full(&self, lane: &Lane) -> bool {
        lane.gate.is_full_for_a_moment(self.dispatch.clock.now_ms(), self.space())
    }
}
