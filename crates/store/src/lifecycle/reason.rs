//! Every reason that is stored or shown.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::StateKind;

/// Why a delivery waits, was suppressed, or is dead.
///
/// The serialized form is a word such as `retry`. Two reasons carry a code: `disabled: gone` and,
/// for a dead delivery, the code of its last failure alone (`http_500`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Waiting: the last attempt failed, and the schedule has another one.
    Retry,
    /// Waiting: its event also goes to a FIFO lane, so all of its deliveries go through their queues.
    Queued,
    /// Waiting: an attempt is in flight and takes longer than its event waits for it.
    InFlight,
    /// Waiting: all places of the lane or of its channel are taken.
    Busy,
    /// Waiting: older deliveries of the lane wait in its queue.
    Backlog,
    /// Waiting: the destination's `rate` allows the next one later.
    RateLimit,
    /// Waiting: the circuit of the lane is open because the receiver keeps failing.
    CircuitOpen,
    /// Waiting: the receiver asked for a pause with `Retry-After`.
    RetryAfter,
    /// Waiting: the destination is paused.
    Paused,
    /// Waiting: its turn in a FIFO lane has not come.
    Fifo,
    /// Waiting: it is part of the next digest.
    Digest,
    /// Waiting: its tenant sends more than a quota allows.
    Quota,
    /// Waiting: a person put it back, and its schedule starts again.
    Replay,
    /// Suppressed: a person cancelled it.
    Cancelled,
    /// Suppressed: the destination is no longer in the tenant's table.
    DestinationRemoved,
    /// Suppressed: the destination now belongs to the other environment, live or test.
    OtherEnvironment,
    /// Suppressed: the destination is disabled, with the code of the cause (`gone`, `bounces`).
    Disabled(Arc<str>),
    /// Dead: the store refuses to write its outcome.
    StoreRefused,
    /// Dead: the last attempt failed with this code, and there is no further one.
    Failed(Arc<str>),
    /// Waiting or suppressed: a word that this version does not know. It is kept as it is.
    Other(Arc<str>),
}

/// The words of the reasons that carry no code, by state. The first word is the serialized form;
/// the others were written by earlier versions and are still read.
static WORDS: [(StateKind, Reason, &[&str]); 17] = [
    (StateKind::Waiting, Reason::Retry, &["retry"]),
    (StateKind::Waiting, Reason::Queued, &["queued"]),
    (StateKind::Waiting, Reason::InFlight, &["in_flight"]),
    (StateKind::Waiting, Reason::Busy, &["busy"]),
    (StateKind::Waiting, Reason::Backlog, &["backlog"]),
    (StateKind::Waiting, Reason::RateLimit, &["rate_limit", "paced"]),
    (StateKind::Waiting, Reason::CircuitOpen, &["circuit_open"]),
    (StateKind::Waiting, Reason::RetryAfter, &["retry_after", "spared"]),
    (StateKind::Waiting, Reason::Paused, &["paused"]),
    (StateKind::Waiting, Reason::Fifo, &["fifo"]),
    (StateKind::Waiting, Reason::Digest, &["digest"]),
    (StateKind::Waiting, Reason::Quota, &["quota"]),
    (StateKind::Waiting, Reason::Replay, &["replay"]),
    (StateKind::Suppressed, Reason::Cancelled, &["cancelled"]),
    (StateKind::Suppressed, Reason::DestinationRemoved, &["destination_removed"]),
    (StateKind::Suppressed, Reason::OtherEnvironment, &["other_environment"]),
    (StateKind::Dead, Reason::StoreRefused, &["store_refused"]),
];

/// Stands before the cause of [`Reason::Disabled`].
const DISABLED: &str = "disabled: ";

impl Reason {
    /// The serialized form.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Disabled(cause) => Cow::Owned(format!("{DISABLED}{cause}")),
            Self::Failed(code) | Self::Other(code) => Cow::Borrowed(code),
            known => Cow::Borrowed(known.word()),
        }
    }

    /// The word of a reason that carries no code.
    fn word(&self) -> &'static str {
        let found = WORDS.iter().find(|(_, reason, _)| reason == self);
        found.map_or("other", |(_, _, words)| words[0])
    }

    /// Reads the serialized form of a reason of a delivery in this state. Every text has a meaning:
    /// a dead delivery's is a failure code, and what is unknown elsewhere is [`Reason::Other`].
    pub fn parse(kind: StateKind, text: &str) -> Self {
        let known = WORDS.iter().find(|(of, _, words)| *of == kind && words.contains(&text));
        if let Some((_, reason, _)) = known {
            return reason.clone();
        }
        match (kind, text.strip_prefix(DISABLED)) {
            (StateKind::Suppressed, Some(cause)) => Self::Disabled(cause.into()),
            (StateKind::Dead, _) => Self::Failed(text.into()),
            _ => Self::Other(text.into()),
        }
    }

    /// Whether the delivery was suppressed because its destination was disabled.
    pub fn is_disabled(&self) -> bool {
        matches!(self, Self::Disabled(_))
    }

    /// The reasons that carry no code, with the state that each belongs to. For documentation.
    pub fn words() -> impl Iterator<Item = (StateKind, &'static str)> {
        WORDS.iter().map(|(kind, _, words)| (*kind, words[0]))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_text())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.as_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_text() {
        for (kind, reason, _) in &WORDS {
            assert_eq!(Reason::parse(*kind, &reason.as_text()), *reason);
        }
        for (kind, text, expected) in [
            (StateKind::Suppressed, "disabled: gone", Reason::Disabled("gone".into())),
            (StateKind::Dead, "http_500", Reason::Failed("http_500".into())),
            // A receiver may answer with one of our own words.
            (StateKind::Dead, "retry", Reason::Failed("retry".into())),
            (StateKind::Waiting, "from_the_future", Reason::Other("from_the_future".into())),
        ] {
            let read = Reason::parse(kind, text);
            assert_eq!((&read, &*read.as_text()), (&expected, text));
        }
    }

    #[test]
    fn words_of_earlier_versions_are_read() {
        assert_eq!(Reason::parse(StateKind::Waiting, "spared"), Reason::RetryAfter);
        assert_eq!(Reason::parse(StateKind::Waiting, "paced"), Reason::RateLimit);
    }

    #[test]
    fn no_word_stands_for_two_reasons() {
        let mut words: Vec<_> = WORDS.iter().flat_map(|(_, _, words)| *words).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
    }
}
