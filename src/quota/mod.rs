//! Quotas: how much one tenant may use, so that it leaves room for the others.
//!
//! A [`Quota`] is a rate, a size or a count. The settings file has the [`Limits`] of every tenant,
//! and an operator changes those of one tenant ([`Overrides`], part of the tenant's document).
//! [`Quotas`] applies the quotas on events. The quotas on a document are checked where the document
//! is (`tenant::over_quota`), and the one on keys where a key is created.
//!
//! A rate holds in each process: N replicas allow N times the rate. What a tenant stores and what
//! waits is counted in the store, for all replicas together.

mod bucket;
mod exceeded;
mod kind;
mod limits;
mod meter;
mod quotas;

pub(crate) use bucket::Bucket;
pub use bucket::{RateDecision, RateLimit};
pub use exceeded::Exceeded;
pub use kind::Quota;
pub use limits::{Limits, Overrides};
pub use quotas::{OverRate, Quotas};
