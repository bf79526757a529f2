//! A tenant's API keys.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;

use super::{Listed, frame, or_problem};
use crate::dashboard::client::path;
use crate::dashboard::format::Time;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

#[derive(Deserialize)]
struct Key {
    hint: String,
    role: String,
    environment: String,
    label: String,
    created_ms: i64,
    expires_ms: Option<i64>,
    last_used_ms: Option<i64>,
}

impl Key {
    fn created(&self) -> Time {
        Time::ms(self.created_ms)
    }

    fn expires(&self) -> Option<Time> {
        self.expires_ms.map(Time::ms)
    }

    fn last_used(&self) -> Option<Time> {
        self.last_used_ms.map(Time::ms)
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    frame: Frame,
    keys: Vec<Key>,
}

/// Lists the keys.
pub(in crate::dashboard) async fn list(visit: Visit, Path(tenant): Path<String>) -> Response {
    let all = path(&["tenants", &tenant, "keys"]) + "?limit=200";
    let shown = visit.api.get::<Listed<Key>>(&all).await.map(|found| {
        page(&Page { frame: frame(&visit, &tenant, "Keys", "keys"), keys: found.data })
    });
    or_problem(&visit, &tenant, shown)
}
