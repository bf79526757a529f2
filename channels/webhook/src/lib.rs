//! Webhooks: signed POSTs.

mod secret;
pub mod signature;
