//! The style sheet, the script and the icon. They are in the binary, and their addresses change with their
//! content, so browsers keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../../templates/dashboard/app.css");
const SCRIPT: &str = include_str!("../../templates/dashboard/app.js");

const ICON: &str = include_str!("../../templates/dashboard/icon.svg");

/// The files, by name.
const FILES: [(&str, &str, &str); 3] = [
    ("app.css", "text/css; charset=utf-8", STYLE),
    ("app.js", "text/javascript; charset=utf-8", SCRIPT),
    ("icon.svg", "image/svg+xml", ICON),
];

/// Serves a file.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let caching = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, caching)], *content).into_response()
}

/// The version of the files, which pages append to their addresses.
pub(super) fn version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| hex::encode(&Sha256::digest([STYLE, SCRIPT].concat())[..6]));
    &VERSION
}
