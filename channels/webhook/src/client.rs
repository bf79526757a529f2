//! The HTTP client: hyper's pool, with the guard inside its connector.
//!
//! It is hyper-util's rather than reqwest's because this is the hottest path there is, and of
//! reqwest nothing but its costs would be used here: redirects, cookies, proxies, decompression and
//! retries are all forbidden, yet every request passes its layers for them. What is kept of it are
//! its settings for connections.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tower::Service;

use crate::config::{Config, Error};
use crate::resolver::Guarded;

/// Makes connections, each within a time, and keeps them for the next request.
pub(crate) type Client = legacy::Client<Timed<HttpsConnector<HttpConnector<Guarded>>>, Full<Bytes>>;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(90);
/// Finds out that the other side has gone without a word.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 3;

/// A client that follows nothing and repeats nothing that may have been sent.
pub(crate) fn client(config: &Config, resolver: Guarded) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    // Shared out among the addresses of a name, so that one that hangs does not use it all up.
    tcp.set_connect_timeout(Some(config.connect_timeout));
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls(config)?);
    let tls = if config.development { tls.https_or_http() } else { tls.https_only() };
    let connector = tls.enable_http1().wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(config.idle_per_host)
        .build(Timed { inner: connector, limit: config.connect_timeout }))
}

fn tls(config: &Config) -> Result<ClientConfig, Error> {
    // The binary installs the provider first of all; alone, the crate brings the same one.
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let roots = config.roots()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?;
    match Verifier::new_with_extra_roots(roots.clone(), provider) {
        Ok(verifier) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        // A machine without any certificate authority can still be developed on.
        Err(_) if config.development => {
            Ok(builder.with_root_certificates(only(roots)?).with_no_client_auth())
        }
        Err(error) => Err(Error::Tls(error)),
    }
}

fn only(roots: Vec<CertificateDer<'static>>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root).map_err(Error::Tls)?;
    }
    Ok(store)
}

/// Nothing answered in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection was not made in time")]
pub(crate) struct TooSlow;

/// Ends the making of a connection (look-up, TCP and TLS together) after a time.
#[derive(Clone)]
pub(crate) struct Timed<C> {
    inner: C,
    limit: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (limit, connecting) = (self.limit, self.inner.call(to));
        Box::pin(async move {
            let made = tokio::time::timeout(limit, connecting).await.map_err(|_| TooSlow)?;
            made.map_err(Into::into)
        })
    }
}
