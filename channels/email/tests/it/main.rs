//! The email channel against a scripted mail server over real sockets.

mod config;
mod digest;
mod message;
mod odd_replies;
mod pool;
mod protection;
mod refusals;
mod settings;
mod signature;
mod support;
