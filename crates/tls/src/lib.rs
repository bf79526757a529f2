//! TLS as a client: which certificates are trusted, and what a failed handshake means.
//!
//! Webhooks and mail use it. Certificates are checked by the system's verifier, with the operator's
//! or the tenant's own authorities beside the system's. A certificate that signs itself, which
//! `openssl req -x509` makes, is accepted if exactly this certificate is trusted.
#![forbid(unsafe_code)]

mod explain;
mod trust;

pub use explain::{NOT_TLS, explain};
pub use trust::{certificates, client_config};
