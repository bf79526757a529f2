//! The style sheet and the script. They are in the binary, and their paths change with their
//! content, so browsers keep them.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The files, by name.
const FILES: [(&str, &str, &str); 2] = [
    ("app.css", "text/css; charset=utf-8", include_str!("../../templates/dashboard/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../../templates/dashboard/app.js")),
];

/// Serves a file.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let caching = "public, max-age=86400";
    ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, caching)], *content).into_response()
}

/// The version of the files, which pages append to their paths.
pub(super) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
