//! `/docs`: the API's description for people. Everything comes out of this binary; the page's policy
//! forbids it to load anything from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use super::answer::ApiError;

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
pub(super) async fn index() -> Response {
    file("index.html")
}

/// `GET /docs/{file}`.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    match utoipa_swagger_ui::serve(name, CONFIG.clone()) {
        Ok(Some(file)) => {
            let headers = [
                (header::CONTENT_TYPE, file.content_type.as_str()),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (StatusCode::OK, headers, file.bytes.into_owned()).into_response()
        }
        _ => ApiError::not_found("page", "").into_response(),
    }
}
