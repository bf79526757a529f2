//! `/docs`: the API reference as web pages. All files are part of the binary, and the content
//! security policy forbids the pages to load anything from another host.

use std::io::Read as _;
use std::sync::{Arc, LazyLock};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use super::answer::ApiError;
use super::body::PathParams;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json").validator_url("none").doc_expansion("none");
    Arc::new(config.persist_authorization(false))
});

/// `GET /docs`.
pub(super) async fn home() -> Redirect {
    Redirect::permanent("/docs/")
}

/// `GET /docs/`.
pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

/// `GET /docs/{file}`.
pub(super) async fn asset(PathParams(name): PathParams<String>, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

/// Serves a file. Most are stored compressed, because they would otherwise be a tenth of the
/// binary.
fn file(name: &str, headers: &HeaderMap) -> Response {
    match utoipa_swagger_ui::serve(name, CONFIG.clone()) {
        Ok(Some(file)) => {
            let own = [
                (header::CONTENT_TYPE, file.content_type.as_str()),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::VARY, "accept-encoding"),
            ];
            let bytes = file.bytes.into_owned();
            if name == "index.html" {
                let page = if file.gzpipped { decompressed(&bytes) } else { bytes };
                return (StatusCode::OK, own, own_head(page)).into_response();
            }
            if !file.gzpipped {
                return (StatusCode::OK, own, bytes).into_response();
            }
            if accepts_gzip(headers) {
                let encoding = [(header::CONTENT_ENCODING, "gzip")];
                return (StatusCode::OK, own, encoding, bytes).into_response();
            }
            (StatusCode::OK, own, decompressed(&bytes)).into_response()
        }
        _ => ApiError::not_found("page", "").into_response(),
    }
}

/// A file of the binary. It is valid, because the build wrote it.
fn decompressed(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let _ = GzDecoder::new(bytes).read_to_end(&mut plain);
    plain
}

/// The page with a title of its own, and readable on a phone.
fn own_head(page: Vec<u8>) -> Vec<u8> {
    let Ok(page) = String::from_utf8(page) else { return Vec::new() };
    let viewport = "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    let head = format!("<title>Fanfare API</title>{viewport}");
    page.replace("<title>Swagger UI</title>", &head).into_bytes()
}

/// Implements RFC 9110, section 12.5.3, except that only codings that are named are used (no `*`).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = |part: &str| {
            let weight = part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
            weight.is_some_and(|weight| weight <= 0.0)
        };
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accepts: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepts.parse().unwrap())])
    }

    #[test]
    fn a_client_gets_gzip_only_if_it_accepts_it() {
        for accepts in ["gzip", "br, gzip;q=0.5", "deflate, GZIP"] {
            let page = file("swagger-ui.css", &accepting(accepts));
            assert_eq!(page.headers()[header::CONTENT_ENCODING], "gzip", "{accepts}");
        }
        for accepts in ["", "br", "gzip;q=0", "identity"] {
            let page = file("swagger-ui.css", &accepting(accepts));
            assert!(!page.headers().contains_key(header::CONTENT_ENCODING), "{accepts}");
        }
    }

    #[tokio::test]
    async fn the_page_has_its_own_title_and_fits_a_phone() {
        let page = file("index.html", &HeaderMap::new());
        let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("<title>Fanfare API</title>"), "{page}");
        assert!(page.contains("width=device-width"), "{page}");
    }

    #[tokio::test]
    async fn a_client_without_gzip_gets_the_decompressed_file() {
        let plain = file("swagger-ui.css", &HeaderMap::new());
        let plain = axum::body::to_bytes(plain.into_body(), usize::MAX).await.unwrap();
        assert!(plain.starts_with(b".swagger-ui"), "{:?}", &plain[..20]);
    }
}
