//! Access control: API keys, roles, and the rate limit of each key.
//!
//! A key is a text that is shown once ([`Secret`]). The store holds its hash ([`keys`]). Each
//! process keeps all keys in memory ([`Keyring`]) and follows the store, so that a request costs no
//! call to the store, and a revoked key is refused everywhere within a second. A [`Principal`] is
//! what a key may do.
//!
//! Nothing here knows about HTTP: `api` reads the key from the request and turns a [`Denied`] into
//! a response.

mod keyring;
pub mod keys;
mod new_key;
mod principal;
mod secret;

pub use crate::quota::{RateDecision, RateLimit};
pub use fanfare_contract::Environment;
pub use keyring::{Admitted, Keyring};
pub use keys::{CreateError, Created, Key};
pub use new_key::{NewKey, PORTAL_TTL};
pub use principal::{Action, Denied, Principal, Role};
pub use secret::{Hash, Secret, key_prefix};
