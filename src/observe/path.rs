//! Which trace an event belongs to, and whether it is sampled.
//!
//! The ids of an event's trace and first span are derived from the event. If the producer sent a
//! trace, the event belongs to that. All replicas, and retries days later, therefore add to the
//! same trace and agree on sampling, without storing anything.

use fanfare_contract::Event;
use opentelemetry::trace::{SpanId, TraceId};
use sha2::{Digest as _, Sha256};

/// Where the spans of one event or digest belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TracePath {
    pub(super) trace: TraceId,
    /// The producer's span, if it sent one.
    pub(super) parent: Option<SpanId>,
    /// The id of the span `event`.
    pub(super) root: SpanId,
}

/// Decides which traces are sampled if their producer does not: those whose low 63 bits are below a
/// limit, like OpenTelemetry's own ratio sampler.
pub(super) struct Sampler(u64);

impl Sampler {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the ratio is between 0 and 1, and the product fits in 63 bits"
    )]
    pub(super) fn new(ratio: f64) -> Self {
        Self((ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64)
    }

    pub(super) fn path_of(&self, event: &Event) -> Option<TracePath> {
        self.path(&event.tenant, &event.id, event.trace.as_deref())
    }

    /// Returns `None` if the trace is not sampled. The producer's flag decides. Without one, a hash
    /// of the event decides, so that all replicas agree.
    pub(super) fn path(&self, tenant: &str, id: &str, given: Option<&str>) -> Option<TracePath> {
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
        // An id of zero is invalid. This happens once in 2^64.
        let root = SpanId::from(root.max(1));
        if let Some((trace, parent, sampled)) = given.and_then(read) {
            return sampled.then_some(TracePath { trace, parent: Some(parent), root });
        }
        let mut trace = [0; 16];
        trace.copy_from_slice(&hash[8..24]);
        let trace = u128::from_be_bytes(trace).rotate_left(64).max(1);
        (low >> 1 < self.0).then_some(TracePath { trace: TraceId::from(trace), parent: None, root })
    }
}

/// Parses trace, span and the `sampled` flag of a `traceparent` that was validated on arrival.
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
        let path = |tenant, id| Sampler::new(1.0).path(tenant, id, None).expect("sampled");
        assert_eq!(path("acme", "evt_1"), path("acme", "evt_1"));
        let others = [path("acme", "evt_2"), path("other", "evt_1"), path("acm", "eevt_1")];
        for other in others {
            assert_ne!(other.trace, path("acme", "evt_1").trace);
            assert_ne!(other.root, path("acme", "evt_1").root);
        }
    }

    #[test]
    fn the_producer_decides_for_its_own_trace_and_a_hash_for_the_rest() {
        let given = Sampler::new(0.0).path("acme", "evt_1", Some(GIVEN)).expect("it is sampled");
        assert_eq!(given.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(given.parent.map(|id| id.to_string()).as_deref(), Some("00f067aa0ba902b7"));
        let unsampled = GIVEN.replace("-01", "-00");
        assert_eq!(Sampler::new(1.0).path("acme", "evt_1", Some(&unsampled)), None);

        let sampled = |ratio: f64| {
            let sampler = Sampler::new(ratio);
            (0..4_000).filter(|n| sampler.path("acme", &format!("evt_{n}"), None).is_some()).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 4_000));
        assert!((800..1_200).contains(&sampled(0.25)), "{}", sampled(0.25));
    }
}
