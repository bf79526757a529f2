//! Secrets at rest: what a tenant's document holds that nobody but the receiver may know is kept
//! encrypted (`XChaCha20-Poly1305`), bound to its place.
//!
//! - [`MasterKey`]s come from the environment, a file, or, for an embedded store without either, from
//!   a file that is made beside the database. The first encrypts; all decrypt.
//! - A [`Vault`] seals and opens one value. A sealed value names its key, and opens at its own place
//!   (tenant, destination, field) alone.
//! - [`Secrets::set_up`] puts a directory around the store's that seals what is written and opens
//!   what is read, so that nothing else knows of it. It refuses a store whose keys are not given.
//! - [`Secrets::reseal`] brings everything to the first key: after a rotation, and for documents
//!   from before there was one.

mod check;
mod directory;
mod document;
mod keys;
mod reseal;
mod setup;
mod vault;

#[cfg(test)]
mod tests;

pub use document::Fields;
pub use keys::{KeyError, MasterKey, configured};
pub use reseal::Resealed;
pub use setup::{Secrets, Wanted};
pub use vault::{OpenError, Place, Vault};
