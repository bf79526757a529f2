//! The memory for the bodies of requests in progress and of their answers, bounded in total and for
//! each tenant.
//!
//! Bytes of a request count as they arrive, not as a header announces them, and are free again when
//! the request is answered. An answer counts until the client has read it. Small bodies do not
//! count: the number of connections bounds them.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::answer::ApiError;

/// Largest body that does not count, in bytes. Most requests with one event are smaller.
const UNCOUNTED: u64 = 16 * 1024;

/// There is no memory for more of a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoMemory {
    /// The tenant's share is in use.
    #[error(
        "the tenant's requests in progress and their answers take {0} bytes, the most that one tenant \
         may use at once; send fewer requests at once, or ask for less in each"
    )]
    Tenant(usize),
    /// The body alone is larger than a tenant's share, so it can never be accepted.
    #[error("the body is larger than {0} bytes, the most that one tenant may use; split it")]
    TooLarge(usize),
    /// All of it is in use.
    #[error("the server has no memory for the request at the moment; send it again")]
    All,
}

impl From<&NoMemory> for ApiError {
    fn from(error: &NoMemory) -> Self {
        let (status, kind) = match error {
            NoMemory::Tenant(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            NoMemory::TooLarge(_) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Self::new(status, "invalid_request", "bad_body", error.to_string());
            }
            NoMemory::All => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, kind, "no_memory", error.to_string()).retry_after(1)
    }
}

/// The bodies of all requests in progress.
pub(super) struct BodyMemory {
    most: usize,
    most_per_tenant: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    total: usize,
    tenants: HashMap<Arc<str>, usize>,
}

/// The bytes of one body. They are free again when this is dropped.
pub(super) struct Held {
    memory: Arc<BodyMemory>,
    tenant: Option<Arc<str>>,
    bytes: Mutex<usize>,
}

impl BodyMemory {
    /// `largest` is the largest body that is allowed. One such body always fits.
    pub(super) fn new(most: usize, largest: usize) -> Arc<Self> {
        let most_per_tenant = (most / 2).max(largest);
        let most = most.max(largest);
        Arc::new(Self { most, most_per_tenant, used: Mutex::default() })
    }

    /// Counts the body of a request until the returned value is dropped.
    pub(super) fn meter(
        self: &Arc<Self>,
        request: Request,
        tenant: Option<&Arc<str>>,
    ) -> (Request, Option<Arc<Held>>) {
        let is_small = request.body().size_hint().upper().is_some_and(|bytes| bytes <= UNCOUNTED);
        // A small body can become a large one.
        let grows = request.headers().contains_key(header::CONTENT_ENCODING);
        if is_small && !grows {
            return (request, None);
        }
        let (memory, tenant) = (self.clone(), tenant.cloned());
        let held = Arc::new(Held { memory, tenant, bytes: Mutex::new(0) });
        let metered = held.clone();
        (request.map(|inner| Body::new(MeteredBody { inner, held: metered })), Some(held))
    }

    /// Counts an answer until it was sent. One that changed nothing is refused if there is no memory
    /// for it.
    pub(super) fn answer(
        self: &Arc<Self>,
        answer: Response,
        tenant: Option<&Arc<str>>,
        is_read: bool,
    ) -> Response {
        let size = answer.body().size_hint().exact().filter(|bytes| *bytes > UNCOUNTED);
        let Some(bytes) = size.and_then(|bytes| usize::try_from(bytes).ok()) else { return answer };
        let (memory, tenant) = (self.clone(), tenant.cloned());
        let held = Arc::new(Held { memory, tenant, bytes: Mutex::new(0) });
        match held.take(bytes) {
            Err(error) if is_read => ApiError::from(&error).into_response(),
            _ => answer.map(|inner| Body::new(AnswerBody { inner, _held: held })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Counts more bytes.
    pub(super) fn take(&self, bytes: usize) -> Result<(), NoMemory> {
        let memory = &self.memory;
        let mut used = memory.lock();
        if used.total.saturating_add(bytes) > memory.most {
            return Err(NoMemory::All);
        }
        if let Some(tenant) = &self.tenant {
            let own = used.tenants.get(tenant).copied().unwrap_or(0).saturating_add(bytes);
            if own > memory.most_per_tenant {
                let alone = *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) + bytes;
                if alone > memory.most_per_tenant {
                    return Err(NoMemory::TooLarge(memory.most_per_tenant));
                }
                return Err(NoMemory::Tenant(memory.most_per_tenant));
            }
            used.tenants.insert(tenant.clone(), own);
        }
        used.total += bytes;
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 {
            return;
        }
        let mut used = self.memory.lock();
        used.total -= bytes;
        if let Some(tenant) = &self.tenant
            && let Some(own) = used.tenants.get_mut(tenant)
        {
            *own -= bytes;
            if *own == 0 {
                used.tenants.remove(tenant);
            }
        }
    }
}

struct MeteredBody {
    inner: Body,
    held: Arc<Held>,
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.held.take(data.len())
        {
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer that counts until it is dropped.
struct AnswerBody {
    inner: Body,
    _held: Arc<Held>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    const KIB: usize = 1024;

    async fn read(memory: &Arc<BodyMemory>, bytes: usize, tenant: &str) -> Option<Arc<Held>> {
        let request = Request::new(Body::from(vec![b'x'; bytes]));
        let (request, held) = memory.meter(request, Some(&tenant.into()));
        to_bytes(request.into_body(), usize::MAX).await.ok()?;
        held
    }

    #[tokio::test]
    async fn bodies_are_bounded_in_total_and_for_each_tenant_until_they_are_answered() {
        let memory = BodyMemory::new(1_000 * KIB, 100 * KIB);
        let acme = read(&memory, 500 * KIB, "acme").await.expect("half of it is the tenant's");
        assert!(read(&memory, 17 * KIB, "acme").await.is_none(), "its share is in use");
        let globex = read(&memory, 450 * KIB, "globex").await.expect("others have theirs");
        assert!(read(&memory, 60 * KIB, "initech").await.is_none(), "all of it is in use");
        drop((acme, globex));
        assert_eq!(memory.lock().total, 0);
        assert!(memory.lock().tenants.is_empty());
        assert!(read(&memory, 500 * KIB, "acme").await.is_some());
    }

    #[tokio::test]
    async fn an_answer_counts_until_it_was_sent() {
        let memory = BodyMemory::new(1_000 * KIB, 100 * KIB);
        let answer = |bytes: usize| Response::new(Body::from(vec![b'x'; bytes]));
        let acme: Arc<str> = "acme".into();
        let first = memory.answer(answer(400 * KIB), Some(&acme), true);
        let second = memory.answer(answer(200 * KIB), Some(&acme), true);
        assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
        let written = memory.answer(answer(200 * KIB), Some(&acme), false);
        assert_eq!(written.status(), StatusCode::OK, "what was changed is answered");
        let sent = to_bytes(first.into_body(), usize::MAX).await.expect("the answer");
        assert_eq!(sent.len(), 400 * KIB);
        assert_eq!(memory.lock().total, 0);
    }

    #[tokio::test]
    async fn one_body_of_the_largest_size_always_fits() {
        let memory = BodyMemory::new(0, 100 * KIB);
        let held = read(&memory, 100 * KIB, "acme").await;
        assert!(held.is_some());
        assert!(read(&memory, 17 * KIB, "globex").await.is_none());
        let small = Request::new(Body::from(vec![b'x'; KIB]));
        let (small, uncounted) = memory.meter(small, Some(&"globex".into()));
        assert!(uncounted.is_none() && to_bytes(small.into_body(), KIB).await.is_ok());
    }
}
