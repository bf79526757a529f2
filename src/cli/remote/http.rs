//! Requests to a server over HTTP.

use std::error::Error as _;
use std::time::Duration;

use anyhow::Context as _;
use http::header;
use url::Url;

use super::super::Failure;
use super::{ApiRequest, RawResponse, etag, read};

/// How long the server may be silent. Longer than a request may wait for events.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// A server, and the key to it.
pub(super) struct Server {
    client: reqwest::Client,
    base: Url,
    key: Option<String>,
}

impl Server {
    pub(super) fn new(base: &Url, key: Option<&str>) -> Result<Self, Failure> {
        let client = reqwest::Client::builder().no_proxy().read_timeout(READ_TIMEOUT).build();
        let client = client.context("cannot create an HTTP client")?;
        Ok(Self { client, base: base.clone(), key: key.map(str::to_owned) })
    }

    /// Sends a request and reads the whole response.
    pub(super) async fn send(&self, request: ApiRequest) -> Result<RawResponse, Failure> {
        let response = self.start(request).await?;
        let (status, etag) = (response.status(), etag(response.headers()));
        let body = response.bytes().await.map_err(|error| self.interrupted(&error))?;
        Ok(RawResponse { status, etag, body: body.to_vec() })
    }

    /// Sends a request and passes the body of a success to `write`, piece by piece.
    pub(super) async fn download(
        &self,
        request: ApiRequest,
        write: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), Failure> {
        let mut response = self.start(request).await?;
        if !response.status().is_success() {
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.interrupted(&error))?.to_vec();
            read(RawResponse { status, etag: None, body })?;
            return Ok(());
        }
        while let Some(piece) = response.chunk().await.map_err(|error| self.interrupted(&error))? {
            write(&piece).context("cannot write the output")?;
        }
        Ok(())
    }

    async fn start(&self, request: ApiRequest) -> Result<reqwest::Response, Failure> {
        let url = request.url(self.base.clone())?;
        let mut http = self.client.request(request.method, url);
        if let Some(key) = &self.key {
            http = http.bearer_auth(key);
        }
        if let Some(tag) = request.if_match {
            http = http.header(header::IF_MATCH, tag);
        }
        if let Some(body) = request.body {
            http = http.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        http.send().await.map_err(|error| {
            Failure::unreachable(format!(
                "cannot reach the server at {}: {}; check --server, and that the server is running",
                self.base.authority(),
                cause(&error)
            ))
        })
    }

    fn interrupted(&self, error: &reqwest::Error) -> Failure {
        let server = self.base.authority();
        Failure::unreachable(format!("the response of {server} was interrupted: {}", cause(error)))
    }
}

/// The innermost source, which says what happened. Those around it repeat that a request failed,
/// and name the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_none() { "the request failed".to_owned() } else { cause.to_string() }
}
