//! The webhook channel against real receivers.

mod answers;
mod guarded;
mod odd_answers;
mod requests;
mod support;
mod tls;
