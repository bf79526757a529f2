//! The resources of the HTTP API, version 1: one file each.
//!
//! Everything of a tenant lies under `/v1/tenants/{tenant}/…`, where `me` is the key's own tenant;
//! events come in at, and are followed by, `/v1/events`.

mod actions;
mod deliveries;
mod destinations;
mod digests;
mod document;
mod events;
mod follow;
mod keys;
mod mailbox;
mod notification;
mod preferences;
mod privacy;
mod replay;
mod routes;
mod suppressions;
mod templates;
mod tenants;
mod trail;
mod types;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::openapi::{Info, OpenApiBuilder};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::answer::{ApiError, success};
use super::body::within;
use super::edit::Turns;
use super::etag::Tags;
use super::idempotency::Kept;
use crate::tenant::{Problem, TenantSpec};
use fanfare_render::Engine;

/// Makes the templates of a tenant's document, or says what is wrong with them.
pub type MakeEngine = Arc<dyn Fn(&TenantSpec) -> Result<Engine, Vec<Problem>> + Send + Sync>;

/// What the handlers of version 1 share.
pub struct Shared {
    pub(super) tags: Tags,
    pub(super) turns: Turns,
    pub(super) engine: MakeEngine,
    /// Places for requests that wait.
    pub(super) waiters: Semaphore,
    /// Where the notification channels are served as well: `/kyc`, say.
    pub(super) alias: Option<String>,
    /// Where in an event it stands whom it is about.
    pub(super) subject_paths: Vec<String>,
}

impl Shared {
    /// With what makes templates, the path under which the notification channels are served as well,
    /// and where in an event it stands whom it is about.
    pub fn new(engine: MakeEngine, alias: Option<String>, subject_paths: Vec<String>) -> Self {
        Self {
            tags: Tags::default(),
            turns: Turns::default(),
            engine,
            waiters: follow::waiters(),
            alias,
            subject_paths,
        }
    }
}

/// A tenant's id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers get it as their scope")]
struct TenantPath {
    /// The tenant; `me` is the key's own.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "me")]
    tenant: String,
}

macro_rules! paths {
    ($($name:ident, $field:ident, $what:literal, $example:literal;)*) => {$(
        #[doc = $what]
        #[derive(IntoParams)]
        #[into_params(parameter_in = Path)]
        #[expect(dead_code, reason = "describes parameters; handlers take them by position")]
        struct $name {
            /// The tenant; `me` is the key's own.
            #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "me")]
            tenant: String,
            #[doc = $what]
            #[param(pattern = "^[!-.0-~]+$", max_length = 256, example = $example)]
            $field: String,
        }
    )*};
}

paths! {
    DestinationPath, destination, "The destination's id.", "backoffice";
    DeliveryPath, delivery, "The delivery's id.", "dlv_evt_04flagged.backoffice";
    EventIdPath, event, "The event's id.", "evt_04flagged";
    SuppressionPath, suppression, "The suppression's id: of a destination, or of one receiver of it.", "desk~4f2a90";
    RoutePath, route, "The route's id.", "rte_5d41402abc";
    KeyPath, key, "The key's id.", "key_4kQ0v8xT2mZr7Lw1Yc9b";
}

/// A template in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters; handlers take them by position")]
struct TemplatePath {
    /// The tenant; `me` is the key's own.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "me")]
    tenant: String,
    /// The event type; `_default` for types without their own, `_digest` for digests.
    #[param(pattern = "^[!-.0-~]+$", max_length = 128, example = "kyc.session.created")]
    event_type: String,
    /// The part of the message.
    part: templates::PartName,
}

/// An event type in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers take it by position")]
struct TypePath {
    /// The event type.
    #[param(pattern = "^[!-.0-~]+$", max_length = 128, example = "kyc.session.created")]
    event_type: String,
}

/// A key in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers take it by position")]
struct OperatorKeyPath {
    /// The key's id.
    #[param(pattern = "^[!-.0-~]+$", max_length = 64, example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    key: String,
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

fn check_limit(limit: Option<u16>) -> Result<(), ApiError> {
    within("limit", limit.map(u64::from), 1..=1_000).map(drop)
}

/// An answer with a value that is shown this once: given again, it is `masked`.
fn success_once(
    status: StatusCode,
    data: &impl Serialize,
    mask: impl FnOnce(&mut Value),
) -> Response {
    let mut response = success(status, data);
    let mut kept = json!({"status": "success", "data": data});
    mask(&mut kept["data"]);
    response.extensions_mut().insert(Kept(kept.to_string().into()));
    response
}

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(tags(
    (name = "Tenants", description = "Who has destinations, routes and keys of its own."),
    (name = "Destinations", description = "The places of a tenant that can be notified."),
    (name = "Notification channels", description = "One webhook, one list of addresses, one Slack channel: a view on destinations and routes."),
    (name = "Routes", description = "Which events go to which destinations."),
    (name = "Preferences", description = "Event type × destination as one matrix: a view on routes."),
    (name = "Templates", description = "What messages look like."),
    (name = "Event types", description = "The catalogue: what each type means, an example, a JSON Schema."),
    (name = "Mailboxes", description = "Destinations of the channel `poll`: messages that their consumers fetch."),
    (name = "Events", description = "What came in, and what became of it."),
    (name = "Deliveries", description = "One event on its way to one destination, with its attempts."),
    (name = "Dead letters", description = "What ended badly, and sending it again."),
    (name = "Suppressions", description = "What nothing is sent to until somebody mends it, and what was kept back."),
    (name = "Digests", description = "What is collected, and when it goes out."),
    (name = "Keys", description = "Who may use this API, and for what."),
    (name = "Data protection", description = "All that there is of a tenant, and erasing it, or all that tells of somebody."),
    (name = "Audit trail", description = "Who changed what, when, from what to what."),
))]
struct Head;

/// All paths that need a key, with their descriptions.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    let about = "Events in, every tenant's routing table decides who hears of them. Success is \
                 `{\"status\":\"success\",\"data\":…}`, an error \
                 `{\"status\":\"error\",\"error\":{\"type\",\"code\",\"message\",\"details\"}}` with every \
                 field error at once.";
    let mut info = Info::new("Fanfare", env!("CARGO_PKG_VERSION"));
    info.description = Some(about.to_owned());
    let head = OpenApiBuilder::from(Head::openapi()).info(info).build();
    OpenApiRouter::with_openapi(head)
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::get, tenants::patch, tenants::delete))
        .routes(routes!(document::get, document::put))
        .routes(routes!(notification::get, notification::patch))
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
        .routes(routes!(actions::test))
        .routes(routes!(actions::recover))
        .routes(routes!(mailbox::messages))
        .routes(routes!(mailbox::commit))
        .routes(routes!(routes::list, routes::create, routes::put_all))
        .routes(routes!(routes::get, routes::put, routes::delete))
        .routes(routes!(preferences::get, preferences::put))
        .routes(routes!(templates::list))
        .routes(routes!(templates::get, templates::put, templates::delete))
        .routes(routes!(templates::preview))
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
        .routes(routes!(privacy::export))
        .routes(routes!(privacy::erase))
        .routes(routes!(trail::of_tenant))
        .routes(routes!(trail::of_server))
        .routes(routes!(trail::rejected))
        .routes(routes!(events::list))
        .routes(routes!(events::get))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::replay))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(deliveries::dead_letters))
        .routes(routes!(replay::replay))
        .routes(routes!(replay::cancel))
}

/// The paths of events, which may be large.
pub(super) fn ingest() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(super::events::post_events, follow::follow))
}

/// The notification channels under another path.
pub(super) fn alias(prefix: Option<&str>) -> Router<Arc<ApiState>> {
    let Some(prefix) = prefix else { return Router::new() };
    let path = format!("{prefix}/tenants/{{tenant}}/notification-channels");
    Router::new().route(&path, get(notification::get).patch(notification::patch))
}
