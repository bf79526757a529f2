//! x

pub mod render;
