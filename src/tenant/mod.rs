//! Tenants: what they write, what is stored of it, and what runs.
//!
//! A [`TenantSpec`] is read from a TOML file (`file`) and kept in the store as JSON. `compile`
//! turns it into a [`Tenant`] with its routing table and lanes. The [`Registry`] holds all of them
//! for this process and follows the store's directory.

mod channels;
mod compile;
mod cores;
mod diff;
pub mod file;
mod options;
mod registry;
mod spec;

pub use channels::Channels;
pub use compile::{Target, Tenant, compile};
pub(crate) use cores::on_all_cores;
pub use diff::{MadeValue, carry, changes, complete};
pub use options::Options;
pub use registry::{
    PutError, Registry, Snapshot, TenantStatus, all_stored, document, put, read, stored,
};
pub use spec::{Change, DestinationSpec, Disabled, Problem, TenantSpec, Wording};
