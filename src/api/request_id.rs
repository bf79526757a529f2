//! `X-Request-Id`: the caller's own or a generated one. Every answer and log line has it, so that a
//! failed request can be found in the logs.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is accepted from a caller, in bytes.
const MAX_LENGTH: usize = 128;

/// Runs a request with its id.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let given = request.headers().get(&NAME).filter(|value| is_id(value.as_bytes())).cloned();
    let id = given.unwrap_or_else(|| {
        let made = format!("req_{:032x}", rand::random::<u128>());
        HeaderValue::try_from(made).expect("it consists of letters and digits")
    });
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(NAME, id);
    response
}

fn is_id(text: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}
