//! The API, called in this process with the session's own key. A page can do exactly what that key
//! can do.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
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
    /// The error's code, such as `exists`.
    pub(super) code: String,
    pub(super) message: String,
    /// The fields that are wrong, each with its reason.
    pub(super) details: Vec<Detail>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Deserialize)]
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
    #[serde(default)]
    code: String,
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

/// A successful answer.
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// The version of the resource, for `If-Match`.
    pub(super) tag: Option<String>,
}

impl Api {
    /// Reads a resource.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.get_bytes(path).await?;
        parse(&answer)
    }

    /// Reads a resource and its version.
    pub(super) async fn get_tagged<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, String), Problem> {
        let answer = self.call(Method::GET, path, Body::empty(), None).await?;
        Ok((parse(&answer.body)?, answer.tag.unwrap_or_default()))
    }

    /// Reads a resource as the bytes of the whole answer, in which numbers are as the producer
    /// wrote them.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Bytes, Problem> {
        Ok(self.call(Method::GET, path, Body::empty(), None).await?.body)
    }

    /// Changes something.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        self.send_if(method, path, body, None).await
    }

    /// Changes something, if it still has the version that a page showed.
    pub(super) async fn send_if(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Value, Problem> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.call(method, path, body, version).await?.body;
        if answer.is_empty() { Ok(Value::Null) } else { parse(&answer) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Body,
        version: Option<&str>,
    ) -> Result<Answer, Problem> {
        let mut request = Request::builder().method(method).uri(format!("/v1{path}"));
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            request = request.header(header::IF_MATCH, version);
        }
        let request = request.body(body).map_err(Problem::internal)?;
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (status, tag) = (answer.status(), tag(answer.headers()));
        let body = to_bytes(answer.into_body(), ANSWER_MAX).await.map_err(Problem::internal)?;
        if status.is_success() { Ok(Answer { body, tag }) } else { Err(Problem::of(status, &body)) }
    }
}

fn tag(headers: &HeaderMap) -> Option<String> {
    headers.get(header::ETAG)?.to_str().ok().map(str::to_owned)
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Problem> {
    let envelope: Envelope<T> = serde_json::from_slice(answer).map_err(Problem::internal)?;
    Ok(envelope.data)
}

impl Problem {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        let parsed = serde_json::from_slice::<ErrorEnvelope>(body);
        let error = parsed.map_or_else(
            |_| ErrorBody { code: String::new(), message: status.to_string(), details: Vec::new() },
            |envelope| envelope.error,
        );
        let ErrorBody { code, message, details } = error;
        Self { status, code, message, details }
    }

    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "the dashboard cannot read an answer of the API");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal".to_owned(),
            message: "The dashboard cannot read an answer of the API. The log says why.".to_owned(),
            details: Vec::new(),
        }
    }

    /// A form field that the API never saw, because it cannot be read.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let (field, message) = (field.to_owned(), message.into());
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "invalid_fields".to_owned(),
            message: "Some fields are not right.".to_owned(),
            details: vec![Detail { field, message }],
        }
    }

    /// Whether something is wrong with what was typed, so that the form is shown again.
    pub(super) fn is_about_the_form(&self) -> bool {
        matches!(self.status.as_u16(), 400 | 409 | 412 | 413 | 422)
    }

    /// The message with all details, as one text.
    pub(super) fn in_words(&self) -> String {
        let mut text = sentence(&self.message);
        for Detail { field, message } in &self.details {
            let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
            text.push(' ');
            text += &sentence(&(place + message));
        }
        text
    }
}

/// A message of the API as a sentence: the API writes them without a capital letter and full stop.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    // A field name or a quoted word at the beginning keeps its case.
    let first = text.split(' ').next().unwrap_or_default();
    let plain = first.chars().all(|c| c.is_ascii_lowercase() || c == ',');
    let mut chars = text.chars();
    let begun = match chars.next() {
        Some(first) if plain => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    };
    if begun.is_empty() || begun.ends_with(['.', '!', '?', ':']) { begun } else { begun + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_api_becomes_a_sentence() {
        assert_eq!(sentence("must be a number"), "Must be a number.");
        assert_eq!(sentence("`x` is unknown"), "`x` is unknown.");
        assert_eq!(sentence("settings.url: is missing"), "settings.url: is missing.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_path_and_a_query_escape_what_people_type() {
        assert_eq!(path(&["tenants", "a b/c"]), "/tenants/a%20b%2Fc");
        assert_eq!(query(&[("q", Some("ü&=")), ("x", None)]), "?q=%C3%BC%26%3D");
        assert_eq!(query(&[("x", None)]), "");
    }
}
