//! What Fanfare is measured beside and against: the senders that are the limits, the naive consumer,
//! and the sink that receives from all of them. Apart from the program, so that they are compiled for
//! speed alone whatever the program is compiled for.

#![forbid(unsafe_code)]

mod line;
pub mod message;
pub mod senders;
pub mod sink;

pub use line::Line;

/// The stream that producers write to.
pub const STREAM: &str = "fanfare:events";

/// A connection to Redis that waits as long as it takes.
pub async fn connect(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
