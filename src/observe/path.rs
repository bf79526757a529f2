//! Which trace an event belongs to, and whether it is recorded.
//!
//! The ids of an event's trace and of its first span are derived from the event (its trace is its
//! producer's, if that gave one). So every replica, and a retry days later, adds to the same trace
//! without anything being kept for it, and all of them agree on what is sampled.

use fanfare_contract::Event;
use opentelemetry::trace::{SpanId, TraceId};
use sha2::{Digest as _, Sha256};

/// Where the spans of one event, or digest, belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) trace: TraceId,
    /// The producer's span, if it gave one.
    pub(super) parent: Option<SpanId>,
    /// The span `event` itself.
    pub(super) root: SpanId,
}

/// Which traces are recorded when their producer does not say: those whose low 63 bits are below,
/// as OpenTelemetry's own ratio sampler decides.
pub(super) struct Share(u64);

impl Share {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the share is within 0 and 1, and the product within 63 bits"
    )]
    pub(super) fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64)
    }

    pub(super) fn path_of(&self, event: &Event) -> Option<Path> {
        self.path(&event.tenant, &event.id, event.trace.as_deref())
    }

    /// `None` when it is not sampled: by the producer's flag, or without one by chance, which all
    /// replicas throw alike.
    pub(super) fn path(&self, tenant: &str, id: &str, given: Option<&str>) -> Option<Path> {
        let mut hash = Sha256::new();
        hash.update(tenant.as_bytes());
        hash.update([0]);
        hash.update(id.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let [root, low] = [0, 8].map(|at| {
            let mut part = [0; 8];
            part.copy_from_slice(&hash[at..at + 8]);
            u64::from_be_bytes(part)
        });
        // An id of zeros is none; it happens once in 2^64.
        let root = SpanId::from(root.max(1));
        if let Some((trace, parent, sampled)) = given.and_then(read) {
            return sampled.then_some(Path { trace, parent: Some(parent), root });
        }
        let mut trace = [0; 16];
        trace.copy_from_slice(&hash[8..24]);
        let trace = u128::from_be_bytes(trace).rotate_left(64).max(1);
        (low >> 1 < self.0).then_some(Path { trace: TraceId::from(trace), parent: None, root })
    }
}

/// Trace, span and the `sampled` flag of a `traceparent` that was checked when it came.
fn read(traceparent: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?.get(..2)?, 16).ok()?;
    Some((trace, span, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn every_replica_derives_the_same_trace_from_an_event() {
        let path = |tenant, id| Share::new(1.0).path(tenant, id, None).expect("sampled");
        assert_eq!(path("acme", "evt_1"), path("acme", "evt_1"));
        let others = [path("acme", "evt_2"), path("other", "evt_1"), path("acm", "eevt_1")];
        for other in others {
            assert_ne!(other.trace, path("acme", "evt_1").trace);
            assert_ne!(other.root, path("acme", "evt_1").root);
        }
    }

    #[test]
    fn the_producer_decides_for_its_own_trace_and_chance_for_the_rest() {
        let given = Share::new(0.0).path("acme", "evt_1", Some(GIVEN)).expect("it is sampled");
        assert_eq!(given.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(given.parent.map(|id| id.to_string()).as_deref(), Some("00f067aa0ba902b7"));
        let unsampled = GIVEN.replace("-01", "-00");
        assert_eq!(Share::new(1.0).path("acme", "evt_1", Some(&unsampled)), None);

        let recorded = |share: f64| {
            let share = Share::new(share);
            (0..4_000).filter(|n| share.path("acme", &format!("evt_{n}"), None).is_some()).count()
        };
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 4_000));
        assert!((800..1_200).contains(&recorded(0.25)), "{}", recorded(0.25));
    }
}
