//! What reconciliation finds: things that must agree in the store and do not.
//!
//! Each of them is impossible as long as every step of the path arrives. It happens when an answer
//! comes late, a server loses a part of its data, or a person removes something by hand.

/// How often each kind of disagreement was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Entries that are pending for a replica and that it does not have in hand.
    pub stranded: u64,
    /// Entries that were read and are pending for no replica.
    pub orphaned: u64,
    /// Events that are admitted and not settled, and whose entry is not in the log.
    pub unlogged: u64,
    /// Deliveries that wait and are in no queue, and queues without a line in the agenda.
    pub unscheduled: u64,
    /// Keys that the server removed to make room.
    pub evicted: u64,
    /// Entries that somebody removed from the stream before they were read. They are lost.
    pub trimmed: u64,
}

impl Findings {
    /// The kinds, as metrics and reports name them.
    pub const KINDS: [&'static str; 6] =
        ["stranded", "orphaned", "unlogged", "unscheduled", "evicted", "trimmed"];

    /// The counts in the order of [`Self::KINDS`].
    pub fn counts(&self) -> [u64; 6] {
        let Self { stranded, orphaned, unlogged, unscheduled, evicted, trimmed } = *self;
        [stranded, orphaned, unlogged, unscheduled, evicted, trimmed]
    }

    /// What each kind means, with its count, for those that were found.
    pub fn problems(&self) -> Vec<String> {
        let said = [
            "entries are pending for a server that does not have them",
            "entries were read and belong to no server",
            "events have no outcome and are not in the log",
            "deliveries wait without a place in a queue or in the agenda",
            "keys were evicted by Redis: set maxmemory-policy to noeviction, and restore what is \
             missing",
            "entries were removed from the stream before they were read, and are lost: add entries \
             without MAXLEN or MINID, and do not trim the stream",
        ];
        let found = self.counts().into_iter().zip(said).filter(|(count, _)| *count > 0);
        found.map(|(count, said)| format!("{count} {said}")).collect()
    }

    /// Adds the findings of another look.
    pub fn add(&mut self, other: Self) {
        self.stranded += other.stranded;
        self.orphaned += other.orphaned;
        self.unlogged += other.unlogged;
        self.unscheduled += other.unscheduled;
        self.evicted = self.evicted.max(other.evicted);
        self.trimmed += other.trimmed;
    }

    /// Whether everything agrees.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
