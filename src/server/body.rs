//! The body of a request, with limits on its pauses and its rate.
//!
//! A body that has already arrived costs nothing here: the time is read only when the handler waits
//! for the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::connection::Connection;
use super::registry::Registry;

/// How long a body may still take when the server stops.
const AT_STOP: Duration = Duration::from_secs(2);

/// A body that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client sent too slowly.
    #[error("the body arrived too slowly; send the request again over a faster connection")]
    Slow,
    /// The server stops and no longer waits for the client.
    #[error("the server is shutting down; send the request to another replica")]
    Stopping,
    /// The connection failed, or the body is not HTTP.
    #[error("the body could not be read: {0}")]
    Broken(#[from] hyper::Error),
}

/// A request's body.
pub(super) struct TimedBody {
    inner: Incoming,
    connection: Arc<Connection>,
    registry: Arc<Registry>,
    stop: CancellationToken,
    received: u64,
    ended: bool,
    wait: Option<Pin<Box<Wait>>>,
}

/// Exists as soon as the client did not send fast enough once.
struct Wait {
    began: Instant,
    /// Since when the handler waits for more. `None` while it has something to do.
    pausing: Option<Instant>,
    /// The end of the body if the server stops.
    cut: Option<Instant>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    timer: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub(super) fn new(
        inner: Incoming,
        connection: Arc<Connection>,
        registry: Arc<Registry>,
        stop: CancellationToken,
    ) -> Self {
        Self { inner, connection, registry, stop, received: 0, ended: false, wait: None }
    }

    /// Waits for the client no longer than the limits allow.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let options = &self.registry.options;
        let (pause, rate) = (options.body_timeout, options.min_body_rate);
        let wait = self.wait.get_or_insert_with(|| {
            let now = Instant::now();
            let stopped = Box::pin(self.stop.clone().cancelled_owned());
            let timer = Box::pin(sleep_until(now + pause));
            Box::pin(Wait { began: now, pausing: None, cut: None, stopped, timer })
        });
        if wait.cut.is_none() && wait.stopped.as_mut().poll(cx).is_ready() {
            wait.cut = Some(Instant::now() + AT_STOP);
        }
        let earned = self.received.saturating_mul(1_000).checked_div(rate);
        let by_rate = earned
            .and_then(|ms| wait.began.checked_add(pause.checked_add(Duration::from_millis(ms))?));
        let since = *wait.pausing.get_or_insert_with(Instant::now);
        let ends = [by_rate, wait.cut].into_iter().flatten();
        let end = ends.fold(since + pause, Instant::min);
        if wait.timer.deadline() != end {
            wait.timer.as_mut().reset(end);
        }
        ready!(wait.timer.as_mut().poll(cx));
        if wait.cut.is_some() {
            return Poll::Ready(BodyError::Stopping);
        }
        self.registry.slow_body();
        Poll::Ready(BodyError::Slow)
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.connection.leave_unread();
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return self.poll_limits(cx).map(|error| Some(Err(error)));
        };
        self.ended |= frame.is_none();
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.received += data.len() as u64;
            if let Some(wait) = &mut self.wait {
                wait.pausing = None;
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
