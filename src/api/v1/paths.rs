//! All paths of version 1, and the head of their description.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::{Info, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    deliveries, destinations, digests, document, events, follow, ingest, keys, mailbox,
    notification, preferences, privacy, quotas, replay, routes, server, stats, suppressions,
    templates, tenants, trail, types,
};
use crate::api::state::ApiState;

/// Largest request for a preview in bytes: an event and four templates.
const MAX_PREVIEW: usize = 512 * 1024;

const DESCRIPTION: &str = "\
Fanfare delivers events to webhooks, email and Slack. Producers send events, and each tenant's routes \
decide which destinations receive them.

A successful response is `{\"status\": \"success\", \"data\": …}`. An error is `{\"status\": \"error\", \
\"error\": {\"type\", \"code\", \"message\", \"request_id\", \"details\"}}`. If fields are invalid, `details` \
lists all of them at once. `ErrorCode` lists all codes.

Lists are `{\"data\": […], \"next_cursor\": …}`, and a filter has the name of the field that it compares. \
Times are Unix milliseconds in fields that end in `_ms`. The `created` of an event is in Unix seconds, \
because producers set it. An unknown field or query parameter is refused.

Every response has the header `X-Request-Id`. If the key has a rate limit, it also has \
`X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`. Responses are compressed with gzip \
if you accept it.";

/// The tags, in the order in which the documentation shows them.
#[derive(OpenApi)]
#[openapi(tags(
    (name = "Tenants", description = "A tenant is an isolated customer with its own keys, destinations, routes, templates and events."),
    (name = "Destinations", description = "A destination is a place that a tenant can notify: a channel and its settings."),
    (name = "Notification channels", description = "One webhook, one list of email addresses and one Slack channel: a simplified view of destinations and routes."),
    (name = "Routes", description = "Routes decide which destinations receive which events."),
    (name = "Preferences", description = "A matrix of event types and destinations: a simplified view of routes."),
    (name = "Templates", description = "Templates define what messages look like."),
    (name = "Event types", description = "The catalog of event types. Each can have a description, an example and a JSON Schema."),
    (name = "Mailboxes", description = "A mailbox is a destination of the channel `poll`. Consumers fetch its messages."),
    (name = "Events", description = "Send events, follow them, and look up what happened to them."),
        (name = "Deliveries", description = "A delivery is one event on its way to one destination, with its attempts. A delivery that failed for good is a dead letter."),
        (name = "Rejected entries", description = "Stream entries that are not valid events."),
        (name = "Statistics", description = "Counts per hour or day: events, deliveries by outcome, attempts and latencies."),
    (name = "Suppressions", description = "Destinations and recipients that receive nothing until you lift the suppression."),
    (name = "Digests", description = "Digests that are being collected, and when they are sent."),
    (name = "Keys", description = "API keys. Each has a role and belongs to one tenant, or to an operator."),
    (name = "Data protection", description = "Export a tenant's data, or erase it for good."),
    (name = "Audit trail", description = "Who changed what and when."),
    (name = "Server", description = "Whether the server is well, what waits in it, and the settings in force."),
))]
struct Head;

/// All paths that require a key, with their descriptions.
pub(in crate::api) fn resource_paths() -> OpenApiRouter<Arc<ApiState>> {
    let mut info = Info::new("Fanfare", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let head = OpenApiBuilder::from(Head::openapi()).info(info).build();
    let tenants = OpenApiRouter::with_openapi(head)
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::get, tenants::patch, tenants::delete))
        .routes(routes!(document::get, document::put))
        .routes(routes!(quotas::get, quotas::patch))
        .routes(routes!(notification::get, notification::patch));
    history(configuration(tenants))
}

/// What a tenant configures.
fn configuration(router: OpenApiRouter<Arc<ApiState>>) -> OpenApiRouter<Arc<ApiState>> {
    use destinations::{actions, test_event};
    let previews = OpenApiRouter::new().routes(routes!(templates::preview::preview));
    let previews = previews.layer(DefaultBodyLimit::max(MAX_PREVIEW));
    router
        .routes(routes!(destinations::list, destinations::create))
        .routes(routes!(
            destinations::get,
            destinations::put,
            destinations::patch,
            destinations::delete
        ))
        .routes(routes!(actions::rotate_secret))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::enable))
        .routes(routes!(test_event::test))
        .routes(routes!(actions::recover))
        .routes(routes!(mailbox::messages))
        .routes(routes!(mailbox::commit))
        .routes(routes!(routes::list, routes::create, routes::put_all))
        .routes(routes!(routes::trial::try_out))
        .routes(routes!(routes::get, routes::put, routes::delete))
        .routes(routes!(preferences::get, preferences::patch))
        .routes(routes!(templates::list))
        .routes(routes!(templates::get, templates::put, templates::delete))
        .merge(previews)
        .routes(routes!(types::list))
        .routes(routes!(types::get, types::put, types::delete))
        .routes(routes!(suppressions::list))
        .routes(routes!(suppressions::get))
        .routes(routes!(suppressions::lift))
        .routes(routes!(digests::list))
        .routes(routes!(digests::send))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::list_operators, keys::create_operator))
        .routes(routes!(keys::revoke_operator))
}

/// What happened: events, deliveries and the audit trail.
fn history(router: OpenApiRouter<Arc<ApiState>>) -> OpenApiRouter<Arc<ApiState>> {
    router
        .routes(routes!(privacy::export))
        .routes(routes!(privacy::erase))
        .routes(routes!(trail::of_tenant))
        .routes(routes!(trail::of_server))
        .routes(routes!(trail::rejected))
        .routes(routes!(stats::of_tenant))
        .routes(routes!(stats::of_all))
        .routes(routes!(server::get))
        .routes(routes!(server::settings))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::replay))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::cancel))
}

/// Event ingest, whose bodies may be larger than others.
pub(in crate::api) fn ingest_paths() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new()
        .routes(routes!(ingest::post_events, follow::follow))
        .routes(routes!(ingest::post_source))
}

/// The notification channels under a second path.
pub(in crate::api) fn alias_paths(prefix: Option<&str>) -> Router<Arc<ApiState>> {
    let Some(prefix) = prefix else { return Router::new() };
    let path = format!("{prefix}/tenants/{{tenant}}/notification-channels");
    Router::new().route(&path, get(notification::get).patch(notification::patch))
}
