//! The HTTP server beneath the API: which connections it accepts, and how long each of them may
//! take.
//!
//! A client needs no key to hold a connection: it can send nothing, a request that never ends, or
//! not read its answer. Every connection therefore counts against a cap, is in one `Phase` with a
//! time limit, and can be closed from outside. When all connections are taken, those that send no
//! request make room, and a reserve still serves health checks and operators.
//!
//! - `accept`: the accept loop and the stop
//! - `registry`: the open connections, the caps, and which connection makes room
//! - `connection`: what one connection is doing, and what it may do longest
//! - `exchange`: one connection's requests and answers
//! - `io`, `body`: the hooks that see what a client sends and reads
//! - `descriptors`: whether the system allows as many connections as the settings

mod accept;
mod body;
mod connection;
mod descriptors;
mod exchange;
mod io;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::response::Response;

pub use accept::serve;
pub use body::BodyError;
pub use descriptors::{Descriptors, DescriptorsError};

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most open connections.
    pub max_connections: usize,
    /// Further connections, which serve only what [`Reserve`] lets through.
    pub reserved_connections: usize,
    /// Most open connections from one address. `None` for no limit.
    pub max_per_address: Option<usize>,
    /// How long the head of a request may take, and how long a new connection may send nothing.
    pub header_timeout: Duration,
    /// Longest pause in a request's body, and while a client reads an answer.
    pub body_timeout: Duration,
    /// Lowest rate in bytes per second of a body or an answer that takes longer than
    /// `body_timeout`.
    pub min_body_rate: u64,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
}

/// Returns the refusal of a request that a reserved connection does not serve.
pub type Reserve = Arc<dyn Fn(&Parts) -> Option<Response> + Send + Sync>;
