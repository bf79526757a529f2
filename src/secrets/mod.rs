//! Secrets at rest: the secret settings in a tenant's document are stored encrypted
//! (`XChaCha20-Poly1305`) and bound to their place.
//!
//! - [`MasterKey`]s come from the environment or a file. An embedded store without either creates a
//!   key file beside the database. The first key encrypts, and all keys decrypt.
//! - A [`Vault`] seals (encrypts) and opens (decrypts) one value. A sealed value names its key, and
//!   opens only at its own place (tenant, destination, field).
//! - [`Secrets::set_up`] wraps the store's directory so that secrets are sealed when written and
//!   opened when read. No other code handles encryption. It refuses a store whose keys are missing.
//! - [`Secrets::reseal`] encrypts everything with the first key: after a rotation, and for
//!   documents written before there was a key.

mod changed;
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
pub use reseal::{Inspected, Rewritten};
pub use setup::{KeyPolicy, Secrets};
pub use vault::{OpenError, Place, Vault};
