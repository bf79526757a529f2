//! A gate for the threads that read, which the writer closes for a moment.
//!
//! The write-ahead log starts from its beginning only when no read transaction uses it. Where
//! reads overlap all the time, that moment never comes by itself.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The gate. Reads pass it one by one.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reading: usize,
    is_closed: bool,
}

/// A read that is running.
pub(super) struct Reading<'a>(&'a Gate);

/// The gate is closed and nothing reads, until this is dropped.
pub(super) struct Closed(Arc<Gate>);

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the gate is closed.
    pub(super) fn enter(&self) -> Reading<'_> {
        let state = self.lock();
        let wait = self.bell.wait_while(state, |state| state.is_closed);
        wait.unwrap_or_else(PoisonError::into_inner).reading += 1;
        Reading(self)
    }

    /// Closes the gate once the running reads have ended. None if that takes longer.
    pub(super) fn close(self: &Arc<Self>, within: Duration) -> Option<Closed> {
        let until = Instant::now() + within;
        self.lock().is_closed = true;
        // Opens it again, also when the reads do not end.
        let closed = Closed(Arc::clone(self));
        let mut state = self.lock();
        while state.reading > 0 {
            let left = until.checked_duration_since(Instant::now())?;
            let waited = self.bell.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        Some(closed)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().reading -= 1;
        self.0.bell.notify_all();
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.lock().is_closed = false;
        self.0.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_waits_for_running_reads_and_gives_up_on_a_long_one() {
        let gate = Arc::new(Gate::default());
        let reading = gate.enter();
        assert!(gate.close(Duration::from_millis(1)).is_none(), "a long read");
        drop(gate.enter());
        drop(reading);
        let closed = gate.close(Duration::ZERO).expect("nothing reads");
        let late = std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || drop(gate.enter())
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!late.is_finished(), "reads wait while it is closed");
        drop(closed);
        late.join().expect("the read goes on");
    }
}
