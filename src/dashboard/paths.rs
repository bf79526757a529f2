//! All paths of the dashboard.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};

use super::pages::{
    audit, dead_letters, destination_form, destinations, digests, event, events, export, keys,
    live, operations, overview, preferences, rejected, route_form, routes, search, suppressions,
    template, templates, tenants, types,
};
use super::{Ui, assets, frame, pages, sign_in};

/// Builds the router.
pub(super) fn router(ui: &Arc<Ui>) -> Router {
    // Whole paths, because a page that asks for a key leads back to its own address.
    let pages = Router::new()
        .route(
            "/ui",
            get(|State(ui): State<Arc<Ui>>| async move { Redirect::to(&ui.external("/ui/")) }),
        )
        .route("/ui/", get(pages::home))
        .route("/ui/sign-in", get(sign_in::show_form).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .route("/ui/assets/{file}", get(assets::serve))
        .merge(tenant())
        .merge(operator());
    let headers = middleware::from_fn_with_state(ui.clone(), frame::add_headers);
    pages.layer(headers).with_state(ui.clone())
}

/// A tenant's pages.
fn tenant() -> Router<Arc<Ui>> {
    let at = |page: &str| format!("/ui/t/{{tenant}}{page}");
    Router::new()
        .route(&at("/overview"), get(overview::show))
        .route(&at("/search"), get(search::in_tenant))
        .route(&at("/preferences"), get(preferences::show).post(preferences::change))
        .route(&at("/destinations"), get(destinations::list))
        .route(&at("/new-destination"), get(destination_form::new).post(destination_form::create))
        .route(&at("/destinations/{destination}"), get(destinations::show))
        .route(
            &at("/destinations/{destination}/edit"),
            get(destination_form::edit).post(destination_form::update),
        )
        .route(&at("/destinations/{destination}/{action}"), post(destinations::act))
        .route(&at("/events"), get(events::list))
        .route(&at("/events.csv"), get(export::csv))
        .route(&at("/events.ndjson"), get(export::ndjson))
        .route(&at("/live"), get(live::follow))
        .route(&at("/events/{event}"), get(event::show))
        .route(&at("/events/{event}/body"), get(event::body))
        .route(&at("/deliveries/{delivery}/{action}"), post(event::act))
        .route(&at("/routes"), get(routes::list))
        .route(&at("/new-route"), get(route_form::new).post(route_form::create))
        .route(&at("/routes/{route}"), get(route_form::edit).post(route_form::update))
        .route(&at("/routes/{route}/{action}"), post(routes::act))
        .route(&at("/dead-letters"), get(dead_letters::list))
        .route(
            &at("/dead-letters/{action}"),
            get(dead_letters::count_first).post(dead_letters::act),
        )
        .route(&at("/suppressions"), get(suppressions::list))
        .route(&at("/suppressions/{suppression}/lift"), post(suppressions::lift))
        .route(&at("/digests"), get(digests::list))
        .route(&at("/digests/{destination}"), get(digests::show).post(digests::send))
        .route(&at("/templates"), get(templates::list))
        .route(&at("/templates/{kind}"), get(template::show).post(template::change))
        .route(&at("/templates/{kind}/preview"), get(template::stored_preview))
        .route(&at("/keys"), get(keys::list).post(keys::create))
        .route(&at("/keys/{key}/revoke"), post(keys::revoke))
        .route(&at("/audit"), get(audit::list))
}

/// The operators' pages.
fn operator() -> Router<Arc<Ui>> {
    Router::new()
        .route("/ui/tenants", get(tenants::list).post(tenants::create))
        .route("/ui/search", get(search::everywhere))
        .route("/ui/server", get(operations::show))
        .route("/ui/settings", get(operations::settings))
        .route("/ui/rejected", get(rejected::list))
        .route("/ui/types", get(types::list))
        .route("/ui/types/{kind}", get(types::show))
}
