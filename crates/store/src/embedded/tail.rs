//! The end of the log in memory. The router gets live events without reading them back from disk,
//! and a backlog of any length costs no memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_contract::Event;
use tokio::sync::Notify;

use super::writing::Effects;

/// Events kept for the reader.
const KEPT: usize = 16_384;
/// Bytes of bodies kept for the reader.
const KEPT_BYTES: usize = 16 << 20;

/// The position of the reader, and recently committed events.
pub(super) struct Tail {
    state: Mutex<State>,
    /// Something was appended.
    pub(super) appended: Notify,
    /// Something in the agenda changed.
    pub(super) agenda: Notify,
}

struct State {
    /// The first position that is not read yet.
    next: i64,
    /// Read and not settled.
    in_flight: BTreeSet<i64>,
    /// Committed events without a gap, from `first` on.
    kept: VecDeque<Arc<Event>>,
    first: i64,
    bytes: usize,
}

/// What the reader does next.
pub(super) enum Step {
    /// Takes these events.
    Here(Vec<(i64, Arc<Event>)>),
    /// Reads events from disk, from the first position up to and excluding the second.
    OnDisk(i64, i64),
    /// Waits: this process knows of no further event.
    Empty,
}

impl Tail {
    /// The reader starts at `next` and the writer at `first`.
    pub(super) fn new(next: i64, first: i64) -> Self {
        let state =
            State { next, in_flight: BTreeSet::new(), kept: VecDeque::new(), first, bytes: 0 };
        Self { state: Mutex::new(state), appended: Notify::new(), agenda: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `max` of the next events. Returned events count as read.
    pub(super) fn take(&self, max: usize) -> Step {
        let mut state = self.lock();
        while state.first < state.next && state.drop_first() {}
        if state.next < state.first {
            return Step::OnDisk(state.next, state.first);
        }
        let count = max.min(state.kept.len());
        if count == 0 {
            return Step::Empty;
        }
        let events = (0..count).filter_map(|_| state.pop_first()).collect::<Vec<_>>();
        state.next = state.first;
        state.in_flight.extend(events.iter().map(|(seq, _)| *seq));
        Step::Here(events)
    }

    /// Records events that were found on disk from `from` on, after all positions before `until`
    /// were checked. They count as read. False if another call was faster, and then none of them
    /// counts.
    pub(super) fn found(&self, from: i64, until: i64, seqs: impl Iterator<Item = i64>) -> bool {
        let mut state = self.lock();
        if state.next != from {
            return false;
        }
        state.next = until;
        state.in_flight.extend(seqs);
        true
    }

    /// The position of the reader.
    pub(super) fn next(&self) -> i64 {
        self.lock().next
    }

    /// Whether it is read and not settled.
    pub(super) fn is_in_flight(&self, seq: i64) -> bool {
        self.lock().in_flight.contains(&seq)
    }

    /// Everything below this position is settled.
    pub(super) fn settled_below(&self) -> i64 {
        let state = self.lock();
        state.in_flight.first().copied().unwrap_or(state.next).min(state.next)
    }

    /// Publishes what has become durable.
    pub(super) fn committed(&self, effects: Effects) {
        let Effects { appended, settled, agenda_changed, erased } = effects;
        let any = !appended.is_empty();
        if any || !settled.is_empty() || !erased.is_empty() {
            let mut state = self.lock();
            for seq in settled {
                state.in_flight.remove(&seq);
            }
            for (seq, event) in appended {
                state.keep(seq, event);
            }
            if erased.iter().any(|seq| *seq >= state.first) {
                state.forget();
            }
        }
        if any {
            self.appended.notify_one();
        }
        if agenda_changed {
            self.agenda.notify_one();
        }
    }
}

impl State {
    fn keep(&mut self, seq: i64, event: Arc<Event>) {
        let follows = i64::try_from(self.kept.len()).is_ok_and(|kept| self.first + kept == seq);
        if !follows {
            // Another process appended in between. The reader reads those events from disk.
            self.kept.clear();
            self.bytes = 0;
            self.first = seq;
        }
        self.bytes += event.body.len();
        self.kept.push_back(event);
        while (self.kept.len() > KEPT || self.bytes > KEPT_BYTES) && self.drop_first() {}
    }

    /// Drops all events, so the reader reads the rest from disk.
    fn forget(&mut self) {
        while self.drop_first() {}
    }

    fn pop_first(&mut self) -> Option<(i64, Arc<Event>)> {
        let event = self.kept.pop_front()?;
        self.bytes -= event.body.len();
        let seq = self.first;
        self.first += 1;
        Some((seq, event))
    }

    fn drop_first(&mut self) -> bool {
        self.pop_first().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(seqs: impl IntoIterator<Item = i64>) -> Effects {
        let event = |seq| {
            let body = vec![b'x'; 100].into();
            let id = format!("evt_{seq}").into();
            (seq, Arc::new(Event::new("t".into(), id, "k".into(), 0, 0, body)))
        };
        Effects { appended: seqs.into_iter().map(event).collect(), ..Effects::default() }
    }

    fn here(tail: &Tail, max: usize) -> Vec<i64> {
        match tail.take(max) {
            Step::Here(events) => events.iter().map(|(seq, _)| *seq).collect(),
            Step::OnDisk(..) | Step::Empty => Vec::new(),
        }
    }

    #[test]
    fn live_events_come_from_memory_and_count_as_read() {
        let tail = Tail::new(1, 1);
        assert!(matches!(tail.take(10), Step::Empty));
        tail.committed(appended(1..=3));
        assert_eq!(here(&tail, 2), [1, 2]);
        assert_eq!(here(&tail, 2), [3]);
        assert!(matches!(tail.take(10), Step::Empty));
        assert_eq!(tail.settled_below(), 1);
        tail.committed(Effects { settled: vec![1, 3], ..Effects::default() });
        assert_eq!(tail.settled_below(), 2);
        tail.committed(Effects { settled: vec![2], ..Effects::default() });
        assert_eq!(tail.settled_below(), 4);
    }

    #[test]
    fn what_came_before_is_on_disk() {
        let tail = Tail::new(5, 9);
        tail.committed(appended(9..=10));
        assert!(matches!(tail.take(10), Step::OnDisk(5, 9)));
        assert!(tail.found(5, 9, [6, 8].into_iter()));
        assert!(!tail.found(5, 9, [6, 8].into_iter()), "another was quicker");
        assert_eq!(tail.settled_below(), 6);
        assert_eq!(here(&tail, 10), [9, 10]);
    }

    #[test]
    fn a_gap_sends_the_reader_to_the_disk() {
        let tail = Tail::new(1, 1);
        tail.committed(appended(1..=2));
        tail.committed(appended(4..=5));
        assert!(matches!(tail.take(10), Step::OnDisk(1, 4)));
        assert!(tail.found(1, 4, 1..4));
        assert_eq!(here(&tail, 10), [4, 5]);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_skipped() {
        let tail = Tail::new(1, 1);
        let count = i64::try_from(KEPT).unwrap() + 10;
        tail.committed(appended(1..=count));
        assert!(matches!(tail.take(10), Step::OnDisk(1, 11)));
    }

    #[test]
    fn what_was_read_from_disk_is_not_read_again_from_memory() {
        let tail = Tail::new(1, 1);
        tail.committed(appended(1..=4));
        assert!(tail.found(1, 4, 1..4));
        assert_eq!(here(&tail, 10), [4]);
    }
}
