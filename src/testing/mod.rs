//! A whole router under a paused clock: a store in memory, tenants, and receivers that do as told.

mod receivers;
mod scene;

pub(crate) use receivers::Reply;
pub(crate) use scene::{Scene, Setup, ids, tenant};
