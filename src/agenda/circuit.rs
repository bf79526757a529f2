//! A circuit breaker on the failure ratio of a receiver.
//!
//! Closed: counts over a window. Open: nothing goes until a time, which grows each time in a row.
//! Then one probe at a time (the gate's limit is 1 meanwhile); one success closes it.

use fanfare_store::Ms;

/// The state of one lane's receiver.
#[derive(Clone, Debug)]
pub struct Circuit {
    window_began: Ms,
    well: u32,
    unwell: u32,
    /// How many times in a row it opened; 0 is closed.
    opened: u32,
    open_until: Ms,
}

impl Circuit {
    const WINDOW_MS: Ms = 30_000;
    /// Fewer outcomes than this say nothing.
    const LEAST: u32 = 8;
    const FIRST_PAUSE_MS: Ms = 5_000;
    const LONGEST_PAUSE_MS: Ms = 300_000;

    /// Closed.
    pub fn new() -> Self {
        Self { window_began: Ms::MIN / 2, well: 0, unwell: 0, opened: 0, open_until: Ms::MIN / 2 }
    }

    /// Until when nothing may go, if so.
    pub fn open_until(&self, now: Ms) -> Option<Ms> {
        (self.open_until > now).then_some(self.open_until)
    }

    /// Is it closed, neither open nor probing?
    pub fn is_closed(&self) -> bool {
        self.opened == 0
    }

    /// A success. True when it closes the circuit.
    pub fn well(&mut self, now: Ms) -> bool {
        self.roll(now);
        self.well += 1;
        let closes = self.opened > 0;
        if closes {
            *self = Self { window_began: now, ..Self::new() };
        }
        closes
    }

    /// A failure; `random` in `[0, 1)` spreads probes. True when it opens the circuit.
    pub fn unwell(&mut self, now: Ms, random: f64) -> bool {
        self.roll(now);
        self.unwell += 1;
        let probing = self.opened > 0 && self.open_until <= now;
        let failing =
            self.opened == 0 && self.well + self.unwell >= Self::LEAST && self.unwell >= self.well;
        if probing || failing {
            self.open(now, random);
        }
        probing || failing
    }

    fn open(&mut self, now: Ms, random: f64) {
        let doubled = Self::FIRST_PAUSE_MS << self.opened.min(10);
        let pause = doubled.min(Self::LONGEST_PAUSE_MS);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "minutes")]
        let spread = (pause as f64 * 0.2 * random) as Ms;
        self.opened += 1;
        self.open_until = now + pause + spread;
        (self.well, self.unwell) = (0, 0);
    }

    fn roll(&mut self, now: Ms) {
        if now - self.window_began >= Self::WINDOW_MS {
            self.window_began = now;
            (self.well, self.unwell) = (0, 0);
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
            assert!(!circuit.unwell(0, 0.0));
        }
        assert!(circuit.unwell(0, 0.0));
        assert_eq!(circuit.open_until(1), Some(5_000));

        let mut circuit = Circuit::new();
        for _ in 0..100 {
            circuit.well(0);
        }
        for _ in 0..99 {
            assert!(!circuit.unwell(1, 0.0));
        }
        assert!(circuit.unwell(1, 0.0), "100 of 200 failed");
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_and_one_success_closes_it() {
        let mut circuit = Circuit::new();
        for _ in 0..8 {
            circuit.unwell(0, 0.0);
        }
        assert_eq!(circuit.open_until(4_999), Some(5_000));
        assert_eq!(circuit.open_until(5_000), None);
        assert!(!circuit.is_closed());
        // Stragglers that fail while it is open change nothing.
        assert!(!circuit.unwell(4_000, 0.0));
        assert!(circuit.unwell(5_000, 0.0));
        assert_eq!(circuit.open_until(5_001), Some(15_000));
        assert!(circuit.well(15_000));
        assert!(circuit.is_closed());
        assert_eq!(circuit.open_until(15_000), None);
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut circuit = Circuit::new();
        let mut now = 0;
        for _ in 0..60 {
            circuit.unwell(now, 1.0);
            now = circuit.open_until(now).unwrap_or(now);
        }
        let pause = circuit.open_until(now - 1).map(|until| until - now);
        assert!(pause.unwrap_or(0) <= 360_000);
    }
}
