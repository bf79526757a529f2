//! Bounds of serving the agenda, as the settings give them.

use std::time::Duration;

/// Bounds of serving.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// How long a claim holds without a renewal.
    pub lease: Duration,
    /// Lanes served at once in this process.
    pub lanes: usize,
    /// Most lanes of one tenant in one claim.
    pub per_tenant: usize,
    /// Most lanes of one tenant that are served at once, and never more than half of `lanes`: a
    /// tenant whose receivers all hang leaves room for the others.
    pub tenant_lanes: usize,
    /// A lane with more work than this goes back behind the others, if there are any.
    pub slice: Duration,
    /// Deliveries read from a queue at once.
    pub batch: usize,
    /// Most events in one digest message.
    pub digest_events: usize,
    /// Memory for events that are read from queues, in bytes.
    pub memory: usize,
    /// The size of the largest event, in bytes.
    pub largest: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            lanes: 1_024,
            per_tenant: 16,
            tenant_lanes: 128,
            slice: Duration::from_secs(5),
            batch: 128,
            digest_events: 10_000,
            memory: 40 << 20,
            largest: 512 << 10,
        }
    }
}
