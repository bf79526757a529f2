//! The webhook channel against real receivers.

mod answers;
mod guarded;
mod requests;
mod support;
mod tls;
