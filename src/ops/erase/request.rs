//! What to erase, and how much it is.

use serde::{Deserialize, Serialize};

use crate::ops::subject::Subject;

/// What to erase of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The whole tenant: its document, keys, events and everything else. Its audit trail keeps only
    /// who did what and when.
    Everything,
    /// Only the events about a person.
    Subject(Subject),
}

/// A request to erase something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasing {
    /// The tenant.
    pub tenant: String,
    /// What to erase of it.
    pub extent: Extent,
    /// Whether to include rejected entries that name no readable tenant, if they contain the
    /// subject. Only an operator may request this.
    pub unclaimed: bool,
}

/// How much is, or was, erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Found {
    /// The number of events, in any state.
    pub events: u64,
    /// The number of their deliveries.
    pub deliveries: u64,
    /// The number of those deliveries that were waiting.
    pub waiting: u64,
    /// The number of entries of the stream that were not settled. If such an entry was already an
    /// event, it also counts as one.
    pub entries: u64,
    /// The number of rejected entries.
    pub rejected: u64,
    /// The number of the tenant's keys.
    pub keys: u64,
}
