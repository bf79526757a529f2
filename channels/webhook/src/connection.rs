//! What the channel has to know of a connection: whether it has served a request before, and the
//! first bytes of the answer that it is receiving.
//!
//! Both are read after a failure. A connection that was kept open may have died unnoticed, so its
//! request is worth sending again at once. And an answer that hyper cannot parse may still begin
//! with a status line, which decides.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Extensions, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `HTTP/1.1 200`: as much of an answer as is remembered.
const STATUS_LINE: usize = 12;

/// The facts of one connection, shared with those who send requests on it.
#[derive(Debug, Default)]
struct Facts {
    /// Answers received.
    answers: AtomicU32,
    /// The first bytes that came since the last write.
    beginning: Mutex<Vec<u8>>,
}

/// The facts of a connection, as hyper passes them on.
#[derive(Clone, Debug)]
pub(crate) struct Talk(Arc<Facts>);

impl Talk {
    /// The connection on which a request failed. `None` if there was none.
    pub(crate) fn of_error(error: &legacy::Error) -> Option<Self> {
        let mut extensions = Extensions::new();
        error.connect_info()?.get_extras(&mut extensions);
        extensions.remove()
    }

    /// An answer arrived: the next request on this connection is not its first.
    pub(crate) fn answered(&self) {
        self.0.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an earlier request was answered on this connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.0.answers.load(Ordering::Relaxed) > 0
    }

    /// The status that the current answer begins with, whatever follows.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        let beginning = self.0.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let line = beginning.get(..STATUS_LINE)?;
        let version = line.strip_prefix(b"HTTP/1.")?;
        let digits = version.get(1..)?.strip_prefix(b" ")?;
        StatusCode::from_bytes(digits).ok().filter(|status| !status.is_informational())
    }
}

/// A connection with its facts.
pub(crate) struct Tracked<T> {
    inner: TokioIo<T>,
    facts: Arc<Facts>,
}

impl<T> Tracked<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner: TokioIo::new(inner), facts: Arc::default() }
    }

    fn beginning(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.facts.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Connection> Connection for Tracked<T> {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(Talk(self.facts.clone()))
    }
}

impl<T> AsyncRead for Tracked<T>
where
    T: hyper::rt::Read + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            let mut beginning = self.beginning();
            let room = STATUS_LINE - beginning.len();
            let new = &buf.filled()[before..];
            beginning.extend_from_slice(&new[..new.len().min(room)]);
        }
        read
    }
}

impl<T> AsyncWrite for Tracked<T>
where
    T: hyper::rt::Write + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.beginning().clear();
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.beginning().clear();
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(answer: &[u8]) -> Option<u16> {
        let facts = Facts::default();
        let kept = &answer[..answer.len().min(STATUS_LINE)];
        facts.beginning.lock().unwrap().extend_from_slice(kept);
        Talk(Arc::new(facts)).status().map(|status| status.as_u16())
    }

    #[test]
    fn a_status_line_is_read_whatever_follows_it() {
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n\x00: \xff"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 503"), Some(503));
        for other in [
            &b"220 mail.example ESMTP"[..],
            b"HTTP/1.1 2",
            b"HTTP/2.0 200",
            b"HTTP/1.1 100 Continue",
            b"",
        ] {
            assert_eq!(status_of(other), None, "{other:?}");
        }
    }
}
