//! Who may do what: keys, roles, and the pace of each key.
//!
//! A key is a text that is shown once ([`Secret`]); the store has its hash ([`keys`]). A process
//! holds all of them in memory ([`Keyring`]) and follows the store, so that a request costs no call
//! to the store, and a revoked key is refused everywhere within a second. What a key may do is a
//! [`Principal`].
//!
//! Nothing here knows of HTTP: `api` takes the key out of the request and says no in its words.

mod keyring;
pub mod keys;
mod pace;
mod principal;
mod secret;

pub use fanfare_contract::Environment;
pub use keyring::{Admitted, Keyring};
pub use keys::{Key, Made, MakeError, NewKey, PORTAL_TTL};
pub use pace::{Pace, Taken};
pub use principal::{Action, Denied, Principal, Role};
pub use secret::{Hash, Secret};
