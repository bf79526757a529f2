//! Tenants: what they configure, how it is stored, and how it is compiled.
//!
//! A [`TenantSpec`] is parsed from a TOML file (`file`) or received over the API, and stored as
//! JSON. `compile` turns it into a [`Tenant`] with its routing table and lanes. The [`Registry`]
//! holds the compiled tenants of this process and follows the store's directory.

mod channels;
mod compile;
mod cores;
mod diff;
mod environment;
pub mod file;
mod former;
mod options;
mod paused;
mod quotas;
mod registry;
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
pub use options::Options;
pub use quotas::{document_usage, over_quota};
pub use registry::{Registry, Snapshot, TenantStatus};
pub use review::review;
pub use spec::{AuditEntry, DestinationSpec, Disabled, Problem, TenantSpec, Wording};
pub use stored::{PutError, all_stored, document, put, read, stored};
pub use stored_secrets::SecretsChange;
