//! Requests to the API's own handlers, in this process and over a store.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, header};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

use super::super::Failure;
use super::{ApiRequest, RawResponse, etag};
use crate::access::Keyring;
use crate::api::{self, ApiLimits, ApiState, AuthFailures, Authenticator, Shared};
use crate::app::{self, App, Parts};
use crate::config::Config;
use fanfare_store::Store;

/// The actor in the audit trail for commands on a store.
pub(in crate::cli) const ACTOR: &str = "cli";
/// Maximum size of a response.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// The API over an open store. It asks for no key: who can open the store may do everything.
pub(super) async fn router(config: &Config, store: Store) -> Result<Router, Failure> {
    let app = App::build(config, Parts::new(config, store)?).await?;
    let keyring = Keyring::load(&app.store, app.clock, None).await?;
    let (open, clock) = (Some(ACTOR), app.clock);
    let failures = AuthFailures::new(app.observe.clone());
    let authenticator = Arc::new(Authenticator { keyring, ingest: None, open, clock, failures });
    let subject_paths = config.privacy.subject_paths.clone();
    let limits = ApiLimits {
        event: app::limits(config),
        body_memory: usize::MAX,
        waiting: usize::MAX,
        waiting_per_tenant: usize::MAX,
    };
    let state = ApiState {
        store: app.store.clone(),
        registry: app.registry.clone(),
        clock: app.clock,
        limits: app::limits(config),
        max_batch: config.events.max_batch,
        quotas: app.quotas.clone(),
        authenticator,
        observe: app.observe.clone(),
        meter: None,
        open_docs: true,
        sources: Arc::default(),
        catalogue: app.catalogue.clone(),
        local_hosts: None,
        v1: Arc::new(Shared::new(app::tenant_engines(config)?, None, subject_paths, limits)),
        settings: Arc::from([]),
        stop: CancellationToken::new(),
    };
    Ok(api::router(state))
}

/// Sends a request and reads the whole response.
pub(super) async fn send(router: &Router, request: ApiRequest) -> Result<RawResponse, Failure> {
    let base = Url::parse("http://store/").context("cannot build a URL")?;
    let url = request.url(base)?;
    let mut http = Request::builder().method(request.method).uri(url.as_str());
    if let Some(tag) = request.if_match {
        http = http.header(header::IF_MATCH, tag);
    }
    let body = match request.body {
        Some(body) => {
            http = http.header(header::CONTENT_TYPE, "application/json");
            Body::from(body)
        }
        None => Body::empty(),
    };
    let http = http.body(body).context("cannot build a request")?;
    // On a task of its own, so that requests that are made together use all cores.
    let answered = tokio::spawn(router.clone().oneshot(http)).await;
    let response = match answered.context("the request was interrupted")? {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (status, etag) = (response.status(), etag(response.headers()));
    let body = to_bytes(response.into_body(), MAX_RESPONSE_BYTES).await;
    let body = body.context("the response is too large; use --limit for a smaller page")?;
    Ok(RawResponse { status, etag, body: body.to_vec() })
}
