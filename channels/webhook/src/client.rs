//! The HTTP client: hyper's pool, with the guard inside its connector.
//!
//! It is hyper-util's client instead of reqwest because this is the hottest path of the router.
//! Webhooks use none of reqwest's features: redirects, cookies, proxies, decompression and retries
//! are all forbidden here, yet every request would pass through their layers.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fanfare_contract::{Asker, Resend};
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tower::Service;

use crate::config::{Config, Error};
use crate::connection::Tracked;
use crate::resolver::Guarded;

/// Opens connections within a time limit.
type Connector = Timed<HttpsConnector<HttpConnector<Guarded>>>;
type Pooled = legacy::Client<Connector, Full<Bytes>>;

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    /// Keeps connections for later requests.
    kept: Pooled,
    /// Opens a connection for each request, and closes it afterwards.
    fresh: Pooled,
}

impl Client {
    /// The pool for a request.
    pub(crate) fn pool(&self, resend: Resend) -> &Pooled {
        if resend == Resend::Now { &self.fresh } else { &self.kept }
    }
}

tokio::task_local! {
    /// The tenant of the request, for which a new connection resolves a name. hyper gives its
    /// connector only the URI.
    pub(crate) static ASKER: Asker;
}

/// An idle connection is closed after this time.
const IDLE: Duration = Duration::from_secs(90);
/// Most headers of an answer. Beyond it only the status line is read.
const HEADERS_MAX: usize = 512;
/// TCP keepalive, to detect a peer that disappeared without closing.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// Makes clients: one that destinations share, and one for each certificate authority of
/// destinations.
pub(crate) struct Clients {
    config: Config,
    resolver: Guarded,
    /// By the hash of the PEM text.
    by_ca: Mutex<HashMap<[u8; 32], Weak<Client>>>,
}

impl Clients {
    pub(crate) fn new(config: Config, resolver: Guarded) -> Self {
        Self { config, resolver, by_ca: Mutex::default() }
    }

    /// The client of destinations without an authority of their own.
    pub(crate) fn shared(&self) -> Result<Client, Error> {
        client(&self.config, self.resolver.clone(), self.config.roots()?)
    }

    /// The client of destinations that also trust the authorities in `pem`. Destinations with the
    /// same text share it, so a reload of a tenant keeps its connections.
    pub(crate) fn trusting(&self, pem: &str) -> Result<Arc<Client>, Error> {
        let key: [u8; 32] = Sha256::digest(pem).into();
        let mut by_ca = self.by_ca.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = by_ca.get(&key).and_then(Weak::upgrade) {
            return Ok(client);
        }
        let own = fanfare_tls::certificates(pem.as_bytes());
        let own = own.map_err(|source| Error::Certificate { nth: 0, source })?;
        let roots = self.config.roots()?.into_iter().chain(own).collect();
        let client = Arc::new(client(&self.config, self.resolver.clone(), roots)?);
        by_ca.retain(|_, client| client.strong_count() > 0);
        by_ca.insert(key, Arc::downgrade(&client));
        Ok(client)
    }
}

/// A client that follows no redirect and repeats no request that may have been sent.
fn client(
    config: &Config,
    resolver: Guarded,
    roots: Vec<CertificateDer<'static>>,
) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    // Divided among the addresses of a name, so that one dead address does not use up all of it.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    // In development, a machine without certificate authorities is fine.
    let tls = fanfare_tls::client_config(roots, config.development).map_err(Error::Tls)?;
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
    let tls = if config.development { tls.https_or_http() } else { tls.https_only() };
    let connector = tls.enable_http1().wrap_connector(tcp);
    let connector = Timed { inner: connector, limit: config.connect_timeout };
    let pool = |idle_per_host| {
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle_per_host)
            // The status decides. Everything else in an answer is for people, so an answer may be
            // as odd as receivers make them: RFC 9112, section 5, and what curl accepts.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(HEADERS_MAX)
            .build(connector.clone())
    };
    Ok(Client { kept: pool(config.idle_per_host), fresh: pool(0) })
}

/// The connection was not established in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection was not established in time")]
pub(crate) struct TooSlow;

/// Limits the time for a connection: DNS, TCP and TLS together.
#[derive(Clone)]
pub(crate) struct Timed<C> {
    inner: C,
    limit: Duration,
}

/// The asker of the current task's request.
pub(crate) fn asker() -> Asker {
    // Every request has one. A lookup without one must not use the operator's places.
    ASKER.try_with(Clone::clone).unwrap_or_else(|_| Asker::Tenant("".into()))
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Tracked<C::Response>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (limit, connecting) = (self.limit, self.inner.call(to));
        // hyper may move a connection that it has begun to a task of its own.
        let connecting = ASKER.scope(asker(), connecting);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await.map_err(|_| TooSlow)?;
            connected.map(|it| TokioIo::new(Tracked::new(it))).map_err(Into::into)
        })
    }
}
