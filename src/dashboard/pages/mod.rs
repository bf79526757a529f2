//! The pages, one file each.

pub(super) mod audit;
pub(super) mod dead_letters;
pub(super) mod destinations;
pub(super) mod event;
pub(super) mod events;
pub(super) mod keys;
pub(super) mod overview;
pub(super) mod preferences;
pub(super) mod tenants;

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::Ui;
use super::client::Problem;
use super::frame::{Frame, problem};
use super::visit::Visit;

/// A page of a list of the API.
#[derive(Deserialize)]
struct Listed<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// The first page: a tenant's overview, or the tenants.
pub(super) async fn home(visit: Visit) -> Redirect {
    match &visit.who.tenant {
        Some(tenant) => Redirect::to(&visit.frame(tenant, "", "").at("overview")),
        None => Redirect::to("/ui/tenants"),
    }
}

/// Goes back to a page, which then shows what happened.
fn done(ui: &Arc<Ui>, to: &str, result: Result<String, Problem>) -> Response {
    let message = match result {
        Ok(message) => message,
        Err(problem) => format!("Not done: {}", problem.message),
    };
    let flash = ui.sessions.flash(&message).unwrap_or(HeaderValue::from_static(""));
    ([(header::SET_COOKIE, flash)], Redirect::to(to)).into_response()
}

/// A page, or the reason why there is none.
fn or_problem(visit: &Visit, tenant: &str, shown: Result<Response, Problem>) -> Response {
    shown.unwrap_or_else(|why| problem(visit, tenant, &why))
}

/// The frame of a tenant's page.
fn frame(visit: &Visit, tenant: &str, title: &str, current: &'static str) -> Frame {
    visit.frame(tenant, title, current)
}
