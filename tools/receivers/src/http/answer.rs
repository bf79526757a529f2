//! Bodies of answers, whole and broken.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// How long [`super::Reply::DripForever`] waits between two bytes.
const DRIP: Duration = Duration::from_millis(50);

/// The body of an answer.
pub(super) enum Answer {
    Whole(Bytes),
    Half { step: u8 },
    Drip(Pin<Box<tokio::time::Sleep>>),
    Huge { left: u64 },
}

impl Answer {
    /// A byte at once, and one every 50 ms.
    pub(super) fn drip() -> Self {
        Self::Drip(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }
}

const HALF: &[u8] = b"{\"half\": ";
const CHUNK: &[u8] = &[b'x'; 16 * 1024];

impl Body for Answer {
    type Data = Bytes;
    type Error = BreakOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BreakOff>>> {
        let data = match &mut *self {
            Self::Whole(body) => std::mem::take(body),
            Self::Half { step } => {
                *step += 1;
                match step {
                    1 => Bytes::from_static(HALF),
                    // One turn for hyper to flush the first half.
                    2 => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    _ => return Poll::Ready(Some(Err(BreakOff::Close))),
                }
            }
            Self::Drip(sleep) => {
                std::task::ready!(sleep.as_mut().poll(cx));
                sleep.as_mut().reset(tokio::time::Instant::now() + DRIP);
                Bytes::from_static(b".")
            }
            Self::Huge { left } => {
                let now = usize::try_from(*left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
                *left -= now as u64;
                Bytes::from_static(&CHUNK[..now])
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_empty())
            || matches!(self, Self::Huge { left: 0 })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Half { .. } => SizeHint::with_exact(2 * HALF.len() as u64),
            Self::Drip(_) => SizeHint::new(),
            Self::Huge { left } => SizeHint::with_exact(*left),
        }
    }
}

/// Makes hyper give up the connection.
#[derive(Debug)]
pub(super) enum BreakOff {
    /// With a TCP reset.
    Reset,
    /// By an ordinary end.
    Close,
}

impl fmt::Display for BreakOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script breaks off the connection")
    }
}

impl std::error::Error for BreakOff {}
