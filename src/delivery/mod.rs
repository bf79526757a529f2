//! One attempt, and what follows from its result.
//!
//! `stack` composes the [`layers`] around a channel. `conclude` turns the channel's answer into the
//! delivery's next state and a judgement of the receiver. `schedule` turns a policy and a
//! `Retry-After` into the time of the next attempt.

mod conclude;
pub mod layers;
mod schedule;
mod stack;

pub use conclude::{Concluded, Judgement, Tried, conclude};
pub use schedule::{next_wait, spread};
pub use stack::{Stack, StackOptions, compose};
