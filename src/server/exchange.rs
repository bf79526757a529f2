//! One connection: its requests go to the router, and its answers come back.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::Reserve;
use super::body::TimedBody;
use super::connection::{Connection, Serving};
use super::io::Io;
use super::registry::{Place, Registry};

/// Largest head of a request in bytes. Larger ones are answered 431.
const MAX_HEAD: usize = 32 * 1024;
/// Most bytes that one connection reads ahead.
const MAX_READ_AHEAD: usize = 128 * 1024;
/// How long a request that is arriving while the server stops may take to be complete.
const HEAD_AT_STOP: Duration = Duration::from_millis(250);

/// What all connections share.
pub(super) struct Shared {
    pub(super) registry: Arc<Registry>,
    pub(super) router: Router,
    pub(super) reserve: Reserve,
    pub(super) stop: CancellationToken,
}

/// Serves a connection until the client or a limit ends it.
pub(super) async fn run(shared: Arc<Shared>, stream: TcpStream, place: Place) {
    let connection = &place.connection;
    // An answer is written at once, so waiting for more bytes only delays it.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    let io = Io::new(stream, connection.clone(), shared.registry.clock.clone());
    let service = service_fn(|request| answer(shared.clone(), connection.clone(), peer, request));
    let mut http = http1::Builder::new();
    // The server's tick enforces the time limit of the head: a timer for each request costs more.
    http.header_read_timeout(None).max_header_size(MAX_HEAD).max_buf_size(MAX_READ_AHEAD);
    http.keep_alive(!connection.reserved);
    let mut exchange = std::pin::pin!(http.serve_connection(io, service));
    tokio::select! {
        // The client's mistakes and lost connections concern only the client.
        _ = exchange.as_mut() => return,
        () = connection.closed() => return,
        () = shared.stop.cancelled() => {}
    }
    exchange.as_mut().graceful_shutdown();
    tokio::select! {
        _ = exchange.as_mut() => return,
        () = connection.closed() => return,
        () = sleep(HEAD_AT_STOP) => {}
    }
    if connection.is_busy() {
        tokio::select! {
            _ = exchange => {}
            () = connection.closed() => {}
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    peer: Option<SocketAddr>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let serving = connection.serve(&shared.registry.clock);
    let (mut parts, body) = request.into_parts();
    if let Some(peer) = peer {
        parts.extensions.insert(ConnectInfo(peer));
    }
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        let (registry, stop) = (shared.registry.clone(), shared.stop.clone());
        Body::new(TimedBody::new(body, connection.clone(), registry, stop))
    };
    let refused = connection.reserved.then(|| (shared.reserve)(&parts)).flatten();
    let response = if let Some(refused) = refused {
        shared.registry.refused_by_reserve();
        refused
    } else {
        shared.router.clone().call(Request::from_parts(parts, body)).await?
    };
    serving.answer();
    Ok(response.map(|body| Answer { body, _serving: serving }))
}

/// The body of an answer. The request is served when this is dropped.
struct Answer {
    body: Body,
    _serving: Serving,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
