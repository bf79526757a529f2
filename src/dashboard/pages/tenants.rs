//! The tenants, for operators.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use serde::Deserialize;

use super::{Listed, or_problem};
use crate::dashboard::client::{escape, query};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Tenant {
    id: String,
    name: String,
    destinations: u64,
    routes: u64,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct Page {
    frame: Frame,
    tenants: Vec<Tenant>,
    next: Option<String>,
}

/// Lists the tenants.
pub(in crate::dashboard) async fn list(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let query = query(&[("limit", Some("50")), ("cursor", asked.cursor.as_deref())]);
    let found = visit.api.get::<Listed<Tenant>>(&format!("/tenants{query}")).await;
    let shown = found.map(|found| {
        let frame = visit.frame("", "Tenants", "tenants");
        let next = found.next_cursor.map(|cursor| format!("?cursor={}", escape(&cursor)));
        page(&Page { frame, tenants: found.data, next })
    });
    or_problem(&visit, "", shown)
}
