//! A circuit breaker on the failure ratio of a receiver.
//!
//! Closed: it counts results over a window. It opens when at least half of them failed. Open:
//! nothing goes until a time. Then one probe goes at a time (the gate's limit is 1 meanwhile). A
//! failed probe opens it for twice as long, and one success closes it.

use crate::flow::{
    CIRCUIT_PAUSE_FIRST_MS, CIRCUIT_PAUSE_MAX_MS, CIRCUIT_PAUSE_SPREAD, CIRCUIT_RESULTS_MIN,
    CIRCUIT_WINDOW_MS,
};
use fanfare_store::Ms;

/// The circuit of one lane.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    window_began: Ms,
    succeeded: u32,
    failed: u32,
    /// How many times in a row it opened; 0 is closed.
    opened: u32,
    open_until: Ms,
}

impl Circuit {
    /// Closed.
    pub(super) fn new() -> Self {
        Self {
            window_began: Ms::MIN / 2,
            succeeded: 0,
            failed: 0,
            opened: 0,
            open_until: Ms::MIN / 2,
        }
    }

    /// Until when nothing may go, if it is open.
    pub(super) fn open_until(&self, now: Ms) -> Option<Ms> {
        (self.open_until > now).then_some(self.open_until)
    }

    /// Is it closed, neither open nor probing?
    pub(super) fn is_closed(&self) -> bool {
        self.opened == 0
    }

    /// Whether it is as good as a new one: closed, or open so long ago that nothing waits for a
    /// probe, and without failures in the window.
    pub(super) fn is_at_rest(&self, now: Ms) -> bool {
        let is_over = now - self.open_until >= CIRCUIT_PAUSE_MAX_MS;
        let has_failed = self.failed > 0 && now - self.window_began < CIRCUIT_WINDOW_MS;
        (self.is_closed() || is_over) && !has_failed
    }

    /// A success. True when it closes the circuit.
    pub(super) fn succeeded(&mut self, now: Ms) -> bool {
        self.roll(now);
        self.succeeded += 1;
        let closes = self.opened > 0;
        if closes {
            *self = Self { window_began: now, ..Self::new() };
        }
        closes
    }

    /// A failure; `random` in `[0, 1)` spreads probes. True when it opens the circuit.
    pub(super) fn failed(&mut self, now: Ms, random: f64) -> bool {
        self.roll(now);
        self.failed += 1;
        let probing = self.opened > 0 && self.open_until <= now;
        let failing = self.opened == 0
            && self.succeeded + self.failed >= CIRCUIT_RESULTS_MIN
            && self.failed >= self.succeeded;
        if probing || failing {
            self.open(now, random);
        }
        probing || failing
    }

    fn open(&mut self, now: Ms, random: f64) {
        let doubled = CIRCUIT_PAUSE_FIRST_MS << self.opened.min(10);
        let pause = doubled.min(CIRCUIT_PAUSE_MAX_MS);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "minutes")]
        let spread = (pause as f64 * CIRCUIT_PAUSE_SPREAD * random) as Ms;
        self.opened += 1;
        self.open_until = now + pause + spread;
        (self.succeeded, self.failed) = (0, 0);
    }

    fn roll(&mut self, now: Ms) {
        if now - self.window_began >= CIRCUIT_WINDOW_MS {
            self.window_began = now;
            (self.succeeded, self.failed) = (0, 0);
        }
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_do_not_open_it_and_half_of_a_window_do() {
        let mut circuit = Circuit::new();
        for _ in 0..7 {
            assert!(!circuit.failed(0, 0.0));
        }
        assert!(circuit.failed(0, 0.0));
        assert_eq!(circuit.open_until(1), Some(5_000));

        let mut circuit = Circuit::new();
        for _ in 0..100 {
            circuit.succeeded(0);
        }
        for _ in 0..99 {
            assert!(!circuit.failed(1, 0.0));
        }
        assert!(circuit.failed(1, 0.0), "100 of 200 failed");
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_and_one_success_closes_it() {
        let mut circuit = Circuit::new();
        for _ in 0..8 {
            circuit.failed(0, 0.0);
        }
        assert_eq!(circuit.open_until(4_999), Some(5_000));
        assert_eq!(circuit.open_until(5_000), None);
        assert!(!circuit.is_closed());
        // Stragglers that fail while it is open change nothing.
        assert!(!circuit.failed(4_000, 0.0));
        assert!(circuit.failed(5_000, 0.0));
        assert_eq!(circuit.open_until(5_001), Some(15_000));
        assert!(circuit.succeeded(15_000));
        assert!(circuit.is_closed());
        assert_eq!(circuit.open_until(15_000), None);
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut circuit = Circuit::new();
        let mut now = 0;
        for _ in 0..60 {
            circuit.failed(now, 1.0);
            now = circuit.open_until(now).unwrap_or(now);
        }
        let pause = circuit.open_until(now - 1).map(|until| until - now);
        assert!(pause.unwrap_or(0) <= 360_000);
    }
}
