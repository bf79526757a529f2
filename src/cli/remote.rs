//! Where a command's requests go: to a server over HTTP, or to the same handlers in this process over
//! the store. Either way it is the HTTP API that checks, does and writes down, so a command is the same
//! against both.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, to_bytes};
use clap::Args as ClapArgs;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

use super::settings::Settings;
use super::{Failure, output};
use crate::access::Keyring;
use crate::api::{self, ApiState, Authenticator, Shared};
use crate::app::{self, App, Parts};
use crate::config::Config;
use fanfare_store::Store;

/// What the audit trail calls whoever works on the store.
const ON_THE_STORE: &str = "cli";
/// Longer than the longest that a request may wait.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Largest answer.
const LARGEST: usize = 64 * 1024 * 1024;

/// Options of every command that is the same against a server and a store.
#[derive(ClapArgs, Clone)]
pub(super) struct Target {
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Ask this server, rather than work on the store
    #[arg(long, env = "FANFARE_SERVER", value_name = "URL", conflicts_with = "store")]
    pub(super) server: Option<Url>,
    /// The key for --server; best given in the environment
    #[arg(long, env = "FANFARE_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) key: Option<String>,
    /// Allow http:// and loopback receivers; a server has its own setting
    #[arg(long, env = "FANFARE_DEVELOPMENT", value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) development: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of a command that goes its own way over a store.
#[derive(ClapArgs, Clone)]
pub(super) struct Remote {
    /// Ask this server, rather than work on the store
    #[arg(long, env = "FANFARE_SERVER", value_name = "URL", conflicts_with = "store")]
    pub(super) server: Option<Url>,
    /// The key for --server; best given in the environment
    #[arg(long, env = "FANFARE_KEY", value_name = "KEY", hide_env_values = true)]
    pub(super) key: Option<String>,
}

impl Remote {
    /// The server's API, if one is named.
    pub(super) fn api(&self) -> Result<Option<Api>, Failure> {
        let api = |base: &Url| Api::at(base, self.key.as_deref());
        self.server.as_ref().map(api).transpose()
    }
}

/// A tenant, and where it is.
#[derive(ClapArgs)]
pub(super) struct Of {
    /// The tenant; with --server it may be left out, where the key has one
    #[arg(long, env = "FANFARE_TENANT", required_unless_present = "server")]
    pub(super) tenant: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

impl Of {
    /// A request below the tenant's path.
    pub(super) fn ask<const N: usize>(&self, method: Method, rest: [&str; N]) -> Ask {
        let tenant = self.tenant.as_deref().unwrap_or("me");
        Ask::of(method, &[&["tenants", tenant], &rest[..]].concat())
    }
}

/// Which part of a list.
#[derive(ClapArgs)]
pub(super) struct Page {
    /// At most so many
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

/// A request.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    parts: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    if_match: Option<String>,
}

impl Ask {
    /// Of a path's parts below `/v1`, which need no escaping.
    pub(super) fn of(method: Method, parts: &[&str]) -> Self {
        Self::outside(method, &[&["v1"], parts].concat())
    }

    /// Of a path's parts outside `/v1`.
    pub(super) fn outside(method: Method, parts: &[&str]) -> Self {
        let parts = parts.iter().map(|&part| part.to_owned()).collect();
        Self { method, parts, query: Vec::new(), body: None, if_match: None }
    }

    /// With a parameter, if there is a value.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// A part of a list.
    pub(super) fn page(self, page: &Page) -> Self {
        self.with("limit", page.limit).with("cursor", page.cursor.as_deref())
    }

    /// With a body.
    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Only if what is there still has this tag.
    pub(super) fn if_match(mut self, tag: Option<String>) -> Self {
        self.if_match = tag;
        self
    }

    /// Its address, below `base`.
    fn url(&self, mut base: Url) -> Result<Url, Failure> {
        base.set_query(None);
        base.path_segments_mut()
            .map_err(|()| Failure::Because("--server is no URL of a server".to_owned()))?
            .pop_if_empty()
            .extend(&self.parts);
        for (name, value) in &self.query {
            base.query_pairs_mut().append_pair(name, value);
        }
        Ok(base)
    }
}

/// What a command does to a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It is there already; which addresses receivers may have is not the question.
    Plain,
    /// The same, and receivers' addresses are: they are checked as the settings say.
    Addresses,
    /// An embedded one is made if there is none.
    Begin,
    /// Both: it is made, and addresses are checked.
    Apply,
}

/// The API.
pub(super) struct Api {
    to: To,
}

enum To {
    Server { client: reqwest::Client, base: Url, key: Option<String> },
    Store(axum::Router),
}

/// A success.
pub(super) struct Answer {
    /// Its `data`; null when it has no body.
    pub(super) data: Value,
    /// Its `ETag`.
    pub(super) tag: Option<String>,
}

impl Api {
    /// As the options say.
    pub(super) async fn open(target: &Target, how: Use) -> Result<Self, Failure> {
        if let Some(base) = &target.server {
            return Self::at(base, target.key.as_deref());
        }
        let (mut config, store) = match how {
            Use::Begin | Use::Apply => target.settings.open().await?,
            Use::Plain | Use::Addresses => target.settings.open_existing().await?,
        };
        // What is in the store already was checked when it came in.
        let checks = matches!(how, Use::Addresses | Use::Apply);
        config.development |= target.development || !checks;
        Self::over(&config, store).await
    }

    /// A server's, over HTTP.
    pub(super) fn at(base: &Url, key: Option<&str>) -> Result<Self, Failure> {
        let client = reqwest::Client::builder().no_proxy().read_timeout(TIMEOUT).build();
        let client = client.context("the HTTP client")?;
        let to = To::Server { client, base: base.clone(), key: key.map(str::to_owned) };
        Ok(Self { to })
    }

    /// Over an open store.
    pub(super) async fn over(config: &Config, store: Store) -> Result<Self, Failure> {
        let app = App::build(config, Parts::new(config, store)?).await?;
        let keyring = Keyring::load(&app.store, app.clock, None).await?;
        let (open, clock) = (Some(ON_THE_STORE), app.clock);
        let authenticator = Arc::new(Authenticator { keyring, ingest: None, open, clock });
        let state = ApiState {
            store: app.store.clone(),
            registry: app.registry.clone(),
            clock: app.clock,
            limits: app::limits(config),
            max_batch: config.events.max_batch.max(1),
            authenticator,
            observe: app.observe.clone(),
            meter: None,
            open_docs: true,
            catalogue: app.catalogue.clone(),
            v1: Arc::new(Shared::new(
                app::tenant_engines(config)?,
                None,
                config.privacy.subject_paths.clone(),
            )),
            stop: CancellationToken::new(),
        };
        Ok(Self { to: To::Store(api::router(state)) })
    }

    /// The data of a success.
    pub(super) async fn data(&self, ask: Ask) -> Result<Value, Failure> {
        Ok(self.call(ask).await?.data)
    }

    /// The same; nothing for what is not there (yet).
    pub(super) async fn find(&self, ask: Ask) -> Result<Option<Value>, Failure> {
        let (status, tag, body) = self.send(ask).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(read(status, tag, &body)?.data))
    }

    /// Asks. A refusal is told with all that is wrong.
    pub(super) async fn call(&self, ask: Ask) -> Result<Answer, Failure> {
        let (status, tag, body) = self.send(ask).await?;
        read(status, tag, &body)
    }

    /// The same; a refusal is the caller's to tell.
    pub(super) async fn try_call(&self, ask: Ask) -> Result<Result<Answer, Value>, Failure> {
        let (status, tag, body) = self.send(ask).await?;
        if !status.is_client_error() {
            return read(status, tag, &body).map(Ok);
        }
        let mut body: Value = serde_json::from_slice(&body).map_err(|_| not_ours(status))?;
        Ok(Err(body["error"].take()))
    }

    /// The status and the body of an answer, whether it is a success or not.
    pub(super) async fn any(&self, ask: Ask) -> Result<(StatusCode, Value), Failure> {
        let (status, _, body) = self.send(ask).await?;
        Ok((status, serde_json::from_slice(&body).map_err(|_| not_ours(status))?))
    }

    /// An answer of any length, piece by piece, to `take`. Answers whether all of it came.
    pub(super) async fn download(
        &self,
        ask: Ask,
        take: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), Failure> {
        let To::Server { client, base, key } = &self.to else {
            return Err(Failure::Because("only a server is asked so".to_owned()));
        };
        let mut request = client.request(ask.method.clone(), ask.url(base.clone())?);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let host = base.authority();
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = response
            .with_context(|| format!("the server at {host} cannot be reached; is it running?"))?;
        if !response.status().is_success() {
            let status = response.status();
            let body = response.bytes().await.map_err(reqwest::Error::without_url);
            let body = body.with_context(|| format!("the answer of {host} broke off"))?;
            read(status, None, &body)?;
            return Err(not_ours(status));
        }
        let broke = || format!("the answer of {host} broke off");
        let piece = |error: reqwest::Error| error.without_url();
        while let Some(piece) = response.chunk().await.map_err(piece).with_context(broke)? {
            take(&piece).map_err(|error| Failure::Unreachable(error.into()))?;
        }
        Ok(())
    }

    async fn send(&self, ask: Ask) -> Result<Raw, Failure> {
        match &self.to {
            To::Server { client, base, key } => over_http(client, base, key.as_deref(), ask).await,
            To::Store(router) => in_process(router, ask).await,
        }
    }
}

fn read(status: StatusCode, tag: Option<String>, body: &[u8]) -> Result<Answer, Failure> {
    if status == StatusCode::NO_CONTENT {
        return Ok(Answer { data: Value::Null, tag });
    }
    let mut body: Value = serde_json::from_slice(body).map_err(|_| not_ours(status))?;
    if status.is_success() {
        return Ok(Answer { data: body["data"].take(), tag });
    }
    Err(refusal(status, &body["error"]))
}

type Raw = (StatusCode, Option<String>, Vec<u8>);

fn tag_of(headers: &http::HeaderMap) -> Option<String> {
    headers.get(header::ETAG)?.to_str().ok().map(str::to_owned)
}

async fn over_http(
    client: &reqwest::Client,
    base: &Url,
    key: Option<&str>,
    ask: Ask,
) -> Result<Raw, Failure> {
    let url = ask.url(base.clone())?;
    let mut request = client.request(ask.method, url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(tag) = ask.if_match {
        request = request.header(header::IF_MATCH, tag);
    }
    if let Some(body) = &ask.body {
        request = request.json(body);
    }
    let host = base.authority();
    let response = request.send().await.map_err(reqwest::Error::without_url);
    let response = response
        .with_context(|| format!("the server at {host} cannot be reached; is it running?"))?;
    let (status, tag) = (response.status(), tag_of(response.headers()));
    let body = response.bytes().await.map_err(reqwest::Error::without_url);
    let body = body.with_context(|| format!("the answer of {host} broke off"))?;
    Ok((status, tag, body.to_vec()))
}

async fn in_process(router: &axum::Router, ask: Ask) -> Result<Raw, Failure> {
    let base = Url::parse("http://store/").context("a URL")?;
    let url = ask.url(base)?;
    let mut request = Request::builder().method(ask.method).uri(url.as_str());
    if let Some(tag) = ask.if_match {
        request = request.header(header::IF_MATCH, tag);
    }
    let body = match ask.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let request = request.body(body).context("the request")?;
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (status, tag) = (response.status(), tag_of(response.headers()));
    let body = to_bytes(response.into_body(), LARGEST).await.context("the answer")?;
    Ok((status, tag, body.to_vec()))
}

fn not_ours(status: StatusCode) -> Failure {
    Failure::Unreachable(anyhow::anyhow!("what answered ({status}) is not Fanfare's API"))
}

/// Tells every field that is wrong; the failure that follows.
fn refusal(status: StatusCode, error: &Value) -> Failure {
    let message = error["message"].as_str().unwrap_or("it gave no reason");
    if status.is_server_error() {
        return Failure::Unreachable(anyhow::anyhow!("{message} ({status})"));
    }
    if error["code"] == "no_tenant" {
        return Failure::Because("name the tenant with --tenant".to_owned());
    }
    let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    for detail in details {
        let field = detail["field"].as_str().unwrap_or_default();
        let message = detail["message"].as_str().unwrap_or_default();
        output::error(format!("{field} {message}").trim());
    }
    if details.is_empty() { Failure::Because(message.to_owned()) } else { Failure::No }
}
