//! Tenants: what they configure, how it is stored, and how it is compiled.
//!
//! A [`TenantSpec`] is parsed from a TOML file (`file`) or received over the API, and stored as
//! JSON. `compile` turns it into a [`Tenant`] with its routing table and lanes. The [`Registry`]
//! compiles tenants when they are first used. `loaded` keeps a bounded number of them in memory, and
//! `follow` reads the store's change feed.

mod channels;
mod compile;
mod cores;
mod diff;
mod environment;
pub mod file;
mod follow;
mod former;
mod loaded;
mod locks;
mod options;
mod paused;
mod quotas;
mod registry;
#[cfg(test)]
mod registry_tests;
mod repairs;
mod review;
mod spec;
mod stored;
mod stored_secrets;

pub use channels::Channels;
pub use compile::{Target, Tenant, compile};
pub(crate) use cores::on_all_cores;
pub use diff::{MadeValue, carry_over, changes, complete};
pub use environment::{Crossing, MANAGED, environment_of, test_view, with_test_view};
pub use former::suppress_former;
pub use loaded::TenantStatus;
pub use locks::TenantLocks;
pub use options::{Options, schema as options_schema};
pub use quotas::{document_usage, over_quota};
pub use registry::Registry;
pub use repairs::repaired;
pub(crate) use repairs::{mark_repaired, remember};
pub use review::review;
pub use spec::{AuditEntry, DestinationSpec, Disabled, Problem, TenantSpec, Wording};
pub use stored::{PutError, document, put, read, stored};
pub use stored_secrets::SecretsChange;
