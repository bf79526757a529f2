//! The pages, one file each.

pub(super) mod audit;
mod confirm;
pub(super) mod dead_letters;
pub(super) mod destination_fields;
pub(super) mod destination_form;
pub(super) mod destinations;
pub(super) mod digests;
pub(super) mod event;
pub(super) mod events;
pub(super) mod export;
pub(super) mod keys;
pub(super) mod live;
pub(super) mod operations;
pub(super) mod overview;
pub(super) mod preferences;
pub(super) mod rejected;
mod route_draft;
pub(super) mod route_form;
pub(super) mod routes;
pub(super) mod search;
pub(super) mod slack;
mod stats;
pub(super) mod suppressions;
pub(super) mod template;
pub(super) mod templates;
pub(super) mod tenants;
pub(super) mod types;

use axum::response::{Redirect, Response};
use serde::Deserialize;

use super::client::Problem;
use super::flash::Flash;
use super::frame::{Frame, problem};
use super::visit::Visit;

/// A page of a list of the API.
#[derive(Deserialize)]
struct Listed<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// The place in a list that an address names.
#[derive(Deserialize, Default)]
pub(super) struct Paged {
    cursor: Option<String>,
}

/// The first page: a tenant's overview, or the tenants.
pub(super) async fn home(visit: Visit) -> Redirect {
    match &visit.who.tenant {
        Some(tenant) => Redirect::to(&visit.frame(tenant, "", "").at("overview")),
        None => Redirect::to(&format!("{}/tenants", visit.ui.base)),
    }
}

/// Goes back to a page, which then says what happened.
fn done<F: Into<Flash>>(visit: &Visit, to: &str, result: Result<F, Problem>) -> Response {
    match result {
        Ok(flash) => visit.go(to, flash),
        Err(problem) => visit.go(to, Flash::bad(format!("Not done. {}", problem.in_words()))),
    }
}

/// A page, or the reason why there is none.
fn or_problem(visit: &Visit, tenant: &str, shown: Result<Response, Problem>) -> Response {
    shown.unwrap_or_else(|why| problem(visit, tenant, &why))
}

/// The frame of a tenant's page.
fn frame(visit: &Visit, tenant: &str, title: &str, current: &'static str) -> Frame {
    visit.frame(tenant, title, current)
}

/// A filter in an address that is not empty.
fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}
