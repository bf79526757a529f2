//! What Fanfare is measured against: the senders that are the limits, the hand-written consumer, and
//! the sink that receives from all of them.

mod line;
pub(crate) mod message;
pub(crate) mod senders;
pub(crate) mod sink;

pub(crate) use line::Line;

/// The stream that producers write to.
pub(crate) const STREAM: &str = "fanfare:events";

/// A connection to Redis that waits as long as it takes.
pub(crate) async fn connect(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(url)?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
