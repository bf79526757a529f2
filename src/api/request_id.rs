//! `X-Request-Id`: the caller's own or a generated one. Every answer, error body and log line has it,
//! so that a failed request can be found in the logs.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

/// The header with the id.
pub(super) const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is accepted from a caller, in bytes.
const MAX_LENGTH: usize = 128;

tokio::task_local! {
    static CURRENT: HeaderValue;
}

/// The id of the request that this task answers.
pub(super) fn current() -> Option<HeaderValue> {
    CURRENT.try_with(HeaderValue::clone).ok()
}

/// A new id.
pub(super) fn generate() -> HeaderValue {
    let id = format!("req_{:032x}", rand::random::<u128>());
    HeaderValue::try_from(id).expect("it consists of letters and digits")
}

/// Runs a request with its id.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let given = request.headers().get(&NAME).filter(|value| is_id(value.as_bytes())).cloned();
    let id = given.unwrap_or_else(generate);
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    let mut response = CURRENT.scope(id.clone(), next.run(request)).instrument(span).await;
    response.headers_mut().insert(NAME, id);
    response
}

/// Whether an id can be copied into logs, pages and shells without an escape.
fn is_id(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=MAX_LENGTH).contains(&text.len()) && text.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_common_clients_are_kept_and_markup_is_not() {
        let longest = "x".repeat(MAX_LENGTH);
        for id in [
            "0b9cbb6e-7c1d-4f2e-9d0a-3f8f9d1c2b3a",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "01J8Z0:trace/7.a+b==",
            &longest,
        ] {
            assert!(is_id(id.as_bytes()), "{id}");
        }
        let longer = format!("{longest}x");
        for id in ["", "two words", "<b>", "a\"b", "$(id)", "a;b", "é", "a\u{1b}[0m", &longer] {
            assert!(!is_id(id.as_bytes()), "{id}");
        }
    }
}
