//! The API, called in this process with the session's own key. A page can do exactly what that key
//! can do.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use http::{Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

/// Characters that need no escape in a path segment or a query value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Largest answer that a page reads. A page of events of the largest size fits.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// The API as one session uses it.
pub(super) struct Api {
    pub(super) router: Router,
    /// The session's key. Without one, the API decides whether it asks for a key at all.
    pub(super) key: Option<String>,
}

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// The fields that are wrong, each with its reason.
    pub(super) details: Vec<Detail>,
}

/// What is wrong with one field.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    pub(super) field: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct ErrorEnvelope {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// A path of these segments, each escaped.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().flat_map(|segment| ["/".to_owned(), escape(segment)]).collect()
}

/// A text as it can stand in a path segment or in a query.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Query parameters, without those that have no value.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given = pairs.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let pairs: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

impl Api {
    /// Reads a resource.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.get_bytes(path).await?;
        parse(&answer)
    }

    /// Reads a resource as the bytes of the whole answer, in which numbers are as the producer
    /// wrote them.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Bytes, Problem> {
        self.call(Method::GET, path, Body::empty()).await
    }

    /// Changes something.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.call(method, path, body).await?;
        if answer.is_empty() { Ok(Value::Null) } else { parse(&answer) }
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Result<Bytes, Problem> {
        let mut request = Request::builder().method(method).uri(format!("/v1{path}"));
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(body).map_err(Problem::internal)?;
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let body = to_bytes(answer.into_body(), ANSWER_MAX).await.map_err(Problem::internal)?;
        if status.is_success() { Ok(body) } else { Err(Problem::of(status, &body)) }
    }
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Problem> {
    let envelope: Envelope<T> = serde_json::from_slice(answer).map_err(Problem::internal)?;
    Ok(envelope.data)
}

impl Problem {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorEnvelope>(body) {
            Ok(ErrorEnvelope { error }) => {
                Self { status, message: error.message, details: error.details }
            }
            Err(_) => Self { status, message: status.to_string(), details: Vec::new() },
        }
    }

    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "the dashboard cannot read an answer of the API");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: "The dashboard cannot read an answer of the API. The log says why.".to_owned(),
            details: Vec::new(),
        }
    }
}
