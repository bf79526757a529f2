//! Fanfare: a multi-channel notification router.

pub mod routing;
