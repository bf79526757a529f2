//! A tenant's notification channels as one small resource: one webhook, one list of email addresses
//! and one Slack channel. Each receives every event.
//!
//! The resource is a view of the destinations `notify-webhook`, `notify-email` and `notify-slack`
//! and of the route `notification-channels`. They can also be changed like any other destination
//! and route.

mod patch;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use patch::{EMAIL, NotificationChannelsUpdate, SLACK, WEBHOOK, find};

use super::destinations::masked;
use super::params::TenantPath;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::Body;
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{Read, Scope, WriteShared};
use crate::api::shown_once::{MASK, success_once};
use crate::api::state::ApiState;
use crate::tenant::{Problem, TenantSpec};

/// A tenant's notification channels.
#[derive(Serialize, ToSchema)]
pub(super) struct NotificationChannels {
    notification_config: NotificationConfig,
}

/// A tenant's notification channels.
#[derive(Serialize, ToSchema)]
struct NotificationConfig {
    /// The webhook's URL. It receives every event as a signed POST.
    #[schema(example = "https://hooks.acme.example/kyc")]
    webhook_url: Option<String>,
    /// The secret that signs the requests, masked: 28 `*` and the last 4 characters.
    #[schema(example = "****************************1a2b")]
    webhook_secret: Option<String>,
    /// The secret that was just generated. Only this response shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret_once: Option<String>,
    /// Email addresses. They receive every event, or one digest per day.
    #[schema(example = json!(["compliance@acme.example"]))]
    notification_emails: Vec<String>,
    /// The URL of a Slack incoming webhook. It is a secret and therefore masked.
    #[schema(example = "https://hooks.slack.com/****************************XXXX")]
    slack_webhook_url: Option<String>,
    /// Whether emails are collected into one digest per day.
    batch_notifications_enabled: bool,
}

/// The view as a resource.
struct NotificationResource;

impl Resource for NotificationResource {
    fn name(&self) -> String {
        "notification-channels".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let managed = [WEBHOOK, EMAIL, SLACK].map(|id| find(spec, id));
        Some(json!({"destinations": managed, "batches": spec.notify_in_batches}))
    }

    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        serde_json::to_value(config(state, spec, None)).ok()
    }

    fn refuse(&self, _: &TenantSpec, problems: Vec<Problem>) -> ApiError {
        ApiError::fields(problems.into_iter().map(detail).collect())
    }
}

/// Names a problem of one of the destinations by the field that caused it.
fn detail(problem: Problem) -> Detail {
    let is = |id: &str| problem.place == format!("destination \"{id}\"");
    let field = match problem.field.as_str() {
        "url" if is(WEBHOOK) => "webhook_url".to_owned(),
        "secret" if is(WEBHOOK) => "webhook_secret".to_owned(),
        "url" if is(SLACK) => "slack_webhook_url".to_owned(),
        field if is(EMAIL) && field.starts_with("to") => {
            field.replacen("to", "notification_emails", 1)
        }
        field => format!("{} {field}", problem.place),
    };
    Detail::new(field, problem.message)
}

/// Shows the notification channels. `once` is a secret that was just generated.
fn config(state: &ApiState, spec: &TenantSpec, once: Option<String>) -> NotificationConfig {
    let channels = state.registry.channels();
    let shown = |id: &str| find(spec, id).map(|one| masked(channels, one)).unwrap_or_default();
    let text = |map: &Map<String, Value>, field: &str| map.get(field)?.as_str().map(str::to_owned);
    let (webhook, email, slack) = (shown(WEBHOOK), shown(EMAIL), shown(SLACK));
    let emails = match email.get("to") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    let batches = if email.is_empty() {
        spec.notify_in_batches
    } else {
        email.get("digest").is_some_and(Value::is_object)
    };
    NotificationConfig {
        webhook_url: text(&webhook, "url"),
        webhook_secret: text(&webhook, "secret"),
        webhook_secret_once: once,
        notification_emails: emails,
        slack_webhook_url: text(&slack, "url"),
        batch_notifications_enabled: batches,
    }
}

/// Get the notification channels
#[utoipa::path(get, path = "/v1/tenants/{tenant}/notification-channels", operation_id = "get_notification_channels", tag = "Notification channels", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The notification channels.", body = NotificationChannels)))]
pub(in crate::api) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let tag = edit::tag(&state, &NotificationResource, &spec).await?.unwrap_or_default();
    let shown = NotificationChannels { notification_config: config(&state, &spec, None) };
    Ok(tagged(success(StatusCode::OK, shown), &tag))
}

/// Update the notification channels
///
/// Fields that you omit keep their values, and null clears a field. A webhook without a secret gets
/// a generated one. Only this response shows it, as `webhook_secret_once`.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/notification-channels", operation_id = "update_notification_channels", tag = "Notification channels", params(TenantPath),
    request_body = NotificationChannelsUpdate,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated notification channels.", body = NotificationChannels)))]
pub(in crate::api) async fn patch(
    scope: Scope<WriteShared>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(patch): Body<NotificationChannelsUpdate>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, &NotificationResource, "update", &if_match, |spec| {
        patch.apply(state.registry.channels(), spec)
    });
    let edited = edited.await?;
    let shown =
        NotificationChannels { notification_config: config(&state, &edited.spec, edited.out) };
    let response = success_once(StatusCode::OK, &shown, |data| {
        if let Some(once) = data.pointer_mut("/notification_config/webhook_secret_once") {
            *once = MASK.into();
        }
    });
    Ok(tagged(response, &edited.tag.unwrap_or_default()))
}
