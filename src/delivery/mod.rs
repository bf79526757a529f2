//! One attempt and what follows from it.
//!
//! `stack` composes the layers around a channel; `schedule` turns a policy into the time of the
//! next attempt; `conclude` turns an attempt's result into what the ledger and the queue are told.

mod conclude;
pub mod layers;
mod schedule;
mod stack;

pub use conclude::{Concluded, Judgement, Tried, conclude};
pub use schedule::{next_wait, spread};
pub use stack::{Stack, StackOptions, compose};
