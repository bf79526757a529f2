//! The connector that slack-morphism uses for its requests, on top of the channel's reqwest client.
//! It bounds the size of answers, and its errors never hold a URL.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fanfare_contract::{Asker, Resolve, retry_after};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolving};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use slack_morphism::errors::{
    SlackClientApiError, SlackClientError, SlackClientHttpError, SlackClientHttpProtocolError,
    SlackRateLimitError, map_serde_error,
};
use slack_morphism::multipart_form::FileMultipartData;
use slack_morphism::{
    ClientResult, SlackClientApiCallContext, SlackClientHttpConnector, SlackClientId,
    SlackClientSecret, SlackEnvelopeMessage,
};
use url::Url;

/// Maximum bytes to read of an answer. `chat.postMessage` repeats the message, so it can be long.
const ANSWER_MAX: usize = 512 * 1024;
/// Longest wait for the body of a webhook's answer after a 2xx status.
const BODY_WAIT: Duration = Duration::from_secs(1);
const JSON: &str = "application/json; charset=utf-8";

/// A request without a complete answer.
#[derive(Debug, thiserror::Error)]
#[error("{code}")]
pub(crate) struct NetworkError {
    /// Before the request was sent: `dns_failed`, `connect_refused`, `connect_timeout`,
    /// `tls_failed` or `connect_failed`. After that: `connection_reset`.
    pub(crate) code: &'static str,
    /// Whether the request was sent, so that Slack may have acted on it.
    pub(crate) maybe_accepted: bool,
    /// The underlying error, without the URL.
    #[source]
    pub(crate) source: Option<reqwest::Error>,
}

/// Sends slack-morphism's requests.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    http: Client,
    /// The base of the Web API, without a trailing slash.
    api_url: String,
}

/// Resolves names for reqwest. The hosts are Slack's or, in development, the operator's.
pub(crate) struct Names(pub(crate) Arc<dyn Resolve>);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let found = resolver.resolve(Asker::Operator, name.as_str()).await?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Connector {
    pub(crate) fn new(http: Client, api_url: &Url) -> Self {
        Self { http, api_url: api_url.as_str().trim_end_matches('/').to_owned() }
    }

    async fn call<RS>(
        &self,
        mut request: RequestBuilder,
        context: SlackClientApiCallContext<'_>,
    ) -> ClientResult<RS>
    where
        RS: for<'de> Deserialize<'de> + Send,
    {
        if let Some(token) = context.token {
            let bearer = format!("Bearer {}", token.token_value.0);
            let mut bearer = HeaderValue::try_from(bearer).map_err(|_| unsendable("the token"))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let response = request.send().await.map_err(|error| network(error, false))?;
        let status = response.status();
        let wait = wait(&response);
        let body = if status.is_success() && context.token.is_none() {
            // The status of a webhook's answer decides: the message is posted, even if the body
            // breaks.
            let rest = tokio::time::timeout(BODY_WAIT, read(response)).await;
            rest.ok().and_then(Result::ok).unwrap_or_default()
        } else {
            read(response).await?
        };
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SlackClientError::RateLimitError(
                SlackRateLimitError::new().opt_retry_after(wait).with_http_response_body(body),
            ));
        }
        if !status.is_success() {
            return Err(SlackClientError::HttpError(
                SlackClientHttpError::new(status).with_http_response_body(body),
            ));
        }
        decode(status, body, context.token.is_some())
    }
}

/// Decodes a 2xx answer. The Web API answers with JSON that has the field `ok`. A webhook answers
/// with the text `ok`, which is decoded as `{"status": 200, "answer": "ok"}`.
fn decode<RS>(status: StatusCode, body: String, is_api: bool) -> ClientResult<RS>
where
    RS: for<'de> Deserialize<'de>,
{
    // Some answers lack a Content-Type, so the body decides.
    match serde_json::from_str::<SlackEnvelopeMessage>(&body) {
        Ok(SlackEnvelopeMessage { ok: true, .. }) => {
            serde_json::from_str(&body).map_err(|error| map_serde_error(error, None))
        }
        Ok(refused) => Err(SlackClientError::ApiError(
            SlackClientApiError::new(refused.error.clone().unwrap_or_else(|| "unknown".to_owned()))
                .opt_errors(refused.errors_as_strings())
                .opt_warnings(refused.warnings)
                .with_http_response_body(body),
        )),
        Err(error) if is_api => Err(map_serde_error(error, Some(&body))),
        Err(_) => serde_json::from_value(json!({"status": status.as_u16(), "answer": body}))
            .map_err(|error| map_serde_error(error, None)),
    }
}

/// Reads the body as text, up to [`ANSWER_MAX`] bytes.
async fn read(mut response: Response) -> ClientResult<String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| network(error, true))? {
        let room = ANSWER_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The wait that Slack asks for. slack-morphism's calls do not carry the time of the attempt, so
/// the system clock is read here.
fn wait(response: &Response) -> Option<Duration> {
    let values = response.headers().get_all(RETRY_AFTER).iter().map(HeaderValue::as_bytes);
    retry_after(values, SystemTime::now())
}

fn unsendable(what: &str) -> SlackClientError {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, format!("{what} cannot be sent"));
    SlackClientError::HttpProtocolError(
        SlackClientHttpProtocolError::new().with_cause(Box::new(cause)),
    )
}

/// Names a network error. `answered` tells whether the status had arrived.
fn network(error: reqwest::Error, answered: bool) -> SlackClientError {
    let code = network_code(&error);
    let maybe_accepted = answered || !(error.is_connect() || error.is_builder());
    let source = Some(error.without_url());
    let cause = NetworkError { code, maybe_accepted, source };
    SlackClientError::HttpProtocolError(
        SlackClientHttpProtocolError::new().with_cause(Box::new(cause)),
    )
}

fn network_code(error: &reqwest::Error) -> &'static str {
    if error.is_dns() {
        return "dns_failed";
    }
    if error.is_timeout() {
        // Only connecting has a timeout here. The router limits the whole attempt.
        return "connect_timeout";
    }
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return "tls_failed";
        }
        let io = error.downcast_ref::<io::Error>();
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return "connect_refused",
            Some(io::ErrorKind::TimedOut) => return "connect_timeout",
            _ => {}
        }
        // `io::Error::source` skips the error that the I/O error wraps.
        let inner = io.and_then(|io| io.get_ref());
        cause = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    if error.is_connect() { "connect_failed" } else { "connection_reset" }
}

impl SlackClientHttpConnector for Connector {
    fn create_method_uri_path(&self, method_relative_uri: &str) -> ClientResult<Url> {
        Ok(format!("{}/{method_relative_uri}", self.api_url).parse()?)
    }

    fn http_get_uri<'a, RS>(
        &'a self,
        full_uri: Url,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        self.call(self.http.get(full_uri), context).boxed()
    }

    fn http_get_with_client_secret<'a, RS>(
        &'a self,
        full_uri: Url,
        client_id: &'a SlackClientId,
        client_secret: &'a SlackClientSecret,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        async move {
            let span = tracing::Span::none();
            let context = SlackClientApiCallContext {
                rate_control_params: None,
                token: None,
                tracing_span: &span,
                is_sensitive_url: false,
            };
            let request = self.http.get(full_uri).basic_auth(&client_id.0, Some(&client_secret.0));
            self.call(request, context).await
        }
        .boxed()
    }

    fn http_post_uri<'a, RQ, RS>(
        &'a self,
        full_uri: Url,
        request_body: &'a RQ,
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RQ: Serialize + Send + Sync,
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        async move {
            let body =
                serde_json::to_vec(request_body).map_err(|error| map_serde_error(error, None))?;
            let request = self.http.post(full_uri).header(CONTENT_TYPE, JSON).body(body);
            self.call(request, context).await
        }
        .boxed()
    }

    fn http_post_uri_multipart_form<'a, 'p, RS, PT, TS>(
        &'a self,
        _full_uri: Url,
        _file: Option<FileMultipartData<'p>>,
        _params: &'p PT,
        _context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
        PT: IntoIterator<Item = (&'p str, Option<TS>)> + Clone,
        TS: AsRef<str> + 'p + Send,
    {
        // The trait requires this method, but notifications upload no files.
        std::future::ready(Err(unsendable("a form with a file"))).boxed()
    }

    fn http_post_uri_binary<'a, 'p, RS>(
        &'a self,
        full_uri: Url,
        content_type: String,
        data: &'a [u8],
        context: SlackClientApiCallContext<'a>,
    ) -> BoxFuture<'a, ClientResult<RS>>
    where
        RS: for<'de> Deserialize<'de> + Send + 'a,
    {
        let request = self.http.post(full_uri).header(CONTENT_TYPE, content_type);
        self.call(request.body(data.to_vec()), context).boxed()
    }
}

/// Slack's answer to an accepted message.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Posted {
    /// Web API: the channel's id, also if the request used its name.
    #[serde(default)]
    pub(crate) channel: Option<String>,
    /// Web API: the message's id within its channel.
    #[serde(default)]
    pub(crate) ts: Option<String>,
    /// Webhook: the status, added by [`Connector`].
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Webhook: the answer, `ok`.
    #[serde(default)]
    pub(crate) answer: Option<String>,
}
