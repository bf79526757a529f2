//! An HTTP/1.1 receiver that answers as told, well or badly.
//!
//! Every request is read whole, kept, counted, and then answered by the script. The bad answers are
//! real ones: [`Reply::Reset`] is a TCP reset, [`Reply::CloseMidAnswer`] breaks off a body whose
//! length was announced.

mod answer;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::answer::{Answer, BreakOff};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// When its last byte was read.
    pub at: Instant,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The headers, in the order they came.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Received {
    /// The value of a header, or the empty string when it is missing or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status, no body.
    Status(u16),
    /// A whole answer.
    Full {
        /// Status code.
        status: u16,
        /// Names and values; one that HTTP does not allow fails the connection.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Wait, then do the other.
    After(Duration, Box<Reply>),
    /// Never answer; the connection stays open.
    Hang,
    /// A TCP reset instead of an answer.
    Reset,
    /// 200 and the first half of the announced body, then the connection ends.
    CloseMidAnswer,
    /// 200 and a body of one byte every 50 ms that never ends.
    DripForever,
    /// 200 and a body of so many bytes.
    HugeBody(u64),
}

type Script = dyn Fn(&Received, usize) -> Reply + Send + Sync;

/// A running receiver; dropping it closes its port and every connection.
pub struct HttpReceiver {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    script: Box<Script>,
    /// `None` when requests are counted only.
    kept: Option<Mutex<Vec<Received>>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
}

impl HttpReceiver {
    /// Listens on a free port; `script` is asked for each request, with its number from 0.
    pub async fn start(
        script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(Box::new(script), Some(Mutex::default())).await
    }

    /// Answers 200 to everything.
    pub async fn ok() -> io::Result<Self> {
        Self::start(|_, _| Reply::Status(200)).await
    }

    /// Answers 200 to everything and keeps nothing but the count: for load.
    pub async fn counting() -> io::Result<Self> {
        Self::scripted(|_, _| Reply::Status(200)).await
    }

    /// Answers by a script and keeps nothing but the count: for load with faults.
    pub async fn scripted(
        script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::listen(Box::new(script), None).await
    }

    async fn listen(script: Box<Script>, kept: Option<Mutex<Vec<Received>>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            kept,
            count: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&shared),
            stop.clone(),
        )));
        Ok(Self { addr, shared, _stop: stop.drop_guard() })
    }

    /// The `http://` URL of `path` here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{}", self.addr, path.trim_start_matches('/'))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far, in the order they were read.
    pub fn received(&self) -> Vec<Received> {
        self.shared.kept.as_ref().map(|kept| lock(kept).clone()).unwrap_or_default()
    }

    /// How many requests so far.
    pub fn count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits for the `n`th request and returns all that came.
    ///
    /// # Panics
    /// When fewer than `n` came `within` the time.
    pub async fn wait_for(&self, n: usize, within: Duration) -> Vec<Received> {
        let mut count = self.shared.count.subscribe();
        let enough =
            tokio::time::timeout(within, count.wait_for(|count| *count >= n)).await.is_ok();
        assert!(
            enough,
            "the receiver at {} waited {within:?} for {n} requests and got {}",
            self.addr,
            self.count()
        );
        self.received()
    }
}

impl fmt::Debug for HttpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReceiver")
            .field("addr", &self.addr)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        // An error here is about one connection (it ended before it was accepted) or about a
        // shortage of descriptors; a short wait and the next accept is the right answer to both.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let connection = serve(stream, Arc::clone(&shared));
        tokio::spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let Err(error) = Pin::new(&mut connection).await else { return };
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    if matches!(cause, Some(BreakOff::Reset)) {
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Answer>, BreakOff> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| BreakOff::Close)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let received =
        Received { at: Instant::now(), method: head.method, path, headers: head.headers, body };
    let nth = shared.keep(&received);
    let mut reply = (shared.script)(&received, nth);
    loop {
        let (status, headers, body) = match reply {
            Reply::After(wait, then) => {
                tokio::time::sleep(wait).await;
                reply = *then;
                continue;
            }
            Reply::Hang => std::future::pending().await,
            Reply::Reset => return Err(BreakOff::Reset),
            Reply::Status(status) => (status, Vec::new(), Answer::Whole(Bytes::new())),
            Reply::Full { status, headers, body } => (status, headers, Answer::Whole(body)),
            Reply::CloseMidAnswer => (200, Vec::new(), Answer::Half { step: 0 }),
            Reply::DripForever => (200, Vec::new(), Answer::drip()),
            Reply::HugeBody(left) => (200, Vec::new(), Answer::Huge { left }),
        };
        return respond(status, headers, body).ok_or(BreakOff::Close);
    }
}

fn respond(status: u16, headers: Vec<(String, String)>, body: Answer) -> Option<Response<Answer>> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).ok()?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).ok()?;
        response.headers_mut().append(name, HeaderValue::try_from(value).ok()?);
    }
    Some(response)
}

impl Shared {
    /// Counts the request, keeps it if asked to, and returns its number from 0.
    fn keep(&self, received: &Received) -> usize {
        // Kept before it is counted, and both under the lock: who waits for the count finds it.
        let kept = self.kept.as_ref().map(|kept| {
            let mut kept = lock(kept);
            kept.push(received.clone());
            kept
        });
        let mut nth = 0;
        self.count.send_modify(|count| {
            nth = *count;
            *count += 1;
        });
        drop(kept);
        nth
    }
}

fn lock(kept: &Mutex<Vec<Received>>) -> MutexGuard<'_, Vec<Received>> {
    // A script that panics does so outside the lock; the list is whole in any case.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
