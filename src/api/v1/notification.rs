//! A tenant's notification channels as one small resource: one webhook, one list of addresses, one
//! Slack channel, each of which gets every event.
//!
//! It is a view: what is set here are the destinations `notify-webhook`, `notify-email` and
//! `notify-slack` and the route `notification-channels`, which stand among the others and may be
//! changed there as well.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::destinations::{masked, remove};
use super::routes::managed;
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::Body;
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::idempotency::MASK;
use crate::api::scope::{Read, Scope, Write};
use crate::tenant::{DestinationSpec, Problem, TenantSpec};

const WEBHOOK: &str = "notify-webhook";
const EMAIL: &str = "notify-email";
const SLACK: &str = "notify-slack";
const ROUTE: &str = "notification-channels";
/// When digests go out: every morning.
const SCHEDULE: &str = "0 8 * * *";

/// Where a tenant is notified.
#[derive(Serialize, ToSchema)]
pub(super) struct Notification {
    notification_config: NotificationConfig,
}

/// Where a tenant is notified.
#[derive(Serialize, ToSchema)]
struct NotificationConfig {
    /// Gets every event as a signed POST.
    #[schema(example = "https://hooks.acme.example/kyc")]
    webhook_url: Option<String>,
    /// What the POSTs are signed with: 28 `*` and the last 4.
    #[schema(example = "****************************1a2b")]
    webhook_secret: Option<String>,
    /// The secret that was just made, whole, in this one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret_once: Option<String>,
    /// Get every event as a mail, or one digest a day.
    #[schema(example = json!(["compliance@acme.example"]))]
    notification_emails: Vec<String>,
    /// An incoming webhook of Slack; masked, for it is a secret.
    #[schema(example = "https://hooks.slack.com/****************************XXXX")]
    slack_webhook_url: Option<String>,
    /// Mails are collected into one digest a day.
    batch_notifications_enabled: bool,
}

/// What shall be different. What is left out stays, null clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[expect(clippy::option_option, reason = "absent, null, a value")]
pub(super) struct NotificationPatch {
    /// Setting it without a secret makes one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048, example = "https://hooks.acme.example/kyc")]
    webhook_url: Option<Option<String>>,
    /// 16 to 256 characters, or `whsec_…`; null has a new one made.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 256)]
    webhook_secret: Option<Option<String>>,
    /// At most 100 addresses.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100, example = json!(["compliance@acme.example"]))]
    notification_emails: Option<Option<Vec<String>>>,
    /// An incoming webhook of Slack.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    slack_webhook_url: Option<Option<String>>,
    /// Whether mails are collected into one digest a day.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    batch_notifications_enabled: Option<Option<bool>>,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The view.
struct View;

impl Resource for View {
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

/// A problem of one of the destinations, by the field that it comes from.
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

fn find<'s>(spec: &'s TenantSpec, id: &str) -> Option<&'s DestinationSpec> {
    spec.destinations.iter().find(|destination| destination.id == id)
}

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
#[utoipa::path(get, path = "/v1/tenants/{tenant}/notification-channels", tag = "Notification channels", params(super::TenantPath),
    security(("key" = ["reader"])), responses((status = 200, description = "Where the tenant is notified.", body = Notification)))]
pub(in crate::api) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let tag = edit::tag(&state, &View, &spec).await?.unwrap_or_default();
    let shown = Notification { notification_config: config(&state, &spec, None) };
    Ok(tagged(success(StatusCode::OK, shown), &tag))
}

/// Change the notification channels
///
/// What is left out stays, null clears. A webhook without a secret gets one, shown whole in this one
/// answer as `webhook_secret_once`.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/notification-channels", tag = "Notification channels", params(super::TenantPath),
    request_body = NotificationPatch, security(("key" = ["admin"])),
    responses((status = 200, description = "As they are now.", body = Notification)))]
pub(in crate::api) async fn patch(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(patch): Body<NotificationPatch>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, &View, "update", &if_match, |spec| {
        let before = spec.clone();
        let made = webhook(&state, spec, &patch)?;
        slack(&state, spec, &patch);
        email(spec, &patch);
        route(spec, &before);
        Ok(made)
    });
    let edited = edited.await?;
    let shown = Notification { notification_config: config(&state, &edited.spec, edited.out) };
    let response = super::success_once(StatusCode::OK, &shown, |data| {
        if let Some(once) = data.pointer_mut("/notification_config/webhook_secret_once") {
            *once = MASK.into();
        }
    });
    Ok(tagged(response, &edited.tag.unwrap_or_default()))
}

/// The destination with this id; made when it is not there.
fn managed_one<'s>(spec: &'s mut TenantSpec, id: &str, channel: &str) -> &'s mut DestinationSpec {
    let at = spec.destinations.iter().position(|one| one.id == id).unwrap_or_else(|| {
        let (id, channel) = (id.to_owned(), channel.to_owned());
        spec.destinations.push(DestinationSpec { id, channel, fields: Map::new() });
        spec.destinations.len() - 1
    });
    // It was changed, so it is thought to be mended.
    spec.disabled.remove(id);
    &mut spec.destinations[at]
}

/// Answers a secret that was made.
fn webhook(
    state: &ApiState,
    spec: &mut TenantSpec,
    patch: &NotificationPatch,
) -> Result<Option<String>, ApiError> {
    match (&patch.webhook_url, &patch.webhook_secret) {
        (None, None) => return Ok(None),
        (Some(None), _) => {
            remove(spec, WEBHOOK);
            return Ok(None);
        }
        (None, Some(_)) if find(spec, WEBHOOK).is_none() => {
            let message = "belongs to a webhook; send `webhook_url` with it";
            return Err(ApiError::fields(vec![Detail::new("webhook_secret", message)]));
        }
        _ => {}
    }
    let channels = state.registry.channels();
    let shown = find(spec, WEBHOOK).map(|one| masked(channels, one)).unwrap_or_default();
    let is_shown = |field: &str, text: &str| shown.get(field).and_then(Value::as_str) == Some(text);
    let one = managed_one(spec, WEBHOOK, "webhook");
    if let Some(Some(url)) = &patch.webhook_url
        && !is_shown("url", url)
    {
        one.fields.insert("url".to_owned(), url.clone().into());
    }
    match &patch.webhook_secret {
        Some(Some(secret)) if !is_shown("secret", secret) => {
            one.fields.insert("secret".to_owned(), secret.clone().into());
        }
        Some(None) => _ = one.fields.shift_remove("secret"),
        _ => {}
    }
    let made = super::destinations::complete(channels, one);
    Ok(made.get("secret").and_then(Value::as_str).map(str::to_owned))
}

fn slack(state: &ApiState, spec: &mut TenantSpec, patch: &NotificationPatch) {
    match &patch.slack_webhook_url {
        None => {}
        Some(None) => remove(spec, SLACK),
        Some(Some(url)) => {
            let channels = state.registry.channels();
            let shown = find(spec, SLACK).map(|one| masked(channels, one)).unwrap_or_default();
            if shown.get("url").and_then(Value::as_str) != Some(url) {
                let one = managed_one(spec, SLACK, "slack");
                one.fields.insert("url".to_owned(), url.clone().into());
            }
        }
    }
}

fn email(spec: &mut TenantSpec, patch: &NotificationPatch) {
    if let Some(batches) = patch.batch_notifications_enabled {
        spec.notify_in_batches = batches.unwrap_or_default();
    }
    match &patch.notification_emails {
        None => {}
        Some(Some(emails)) if !emails.is_empty() => {
            let is_new = find(spec, EMAIL).is_none();
            let batches = spec.notify_in_batches;
            let one = managed_one(spec, EMAIL, "email");
            one.fields.insert("to".to_owned(), emails.clone().into());
            if is_new && batches {
                digest(one, true);
            }
        }
        Some(_) => remove(spec, EMAIL),
    }
    if let Some(batches) = patch.batch_notifications_enabled
        && find(spec, EMAIL).is_some()
    {
        digest(managed_one(spec, EMAIL, "email"), batches.unwrap_or_default());
    }
}

/// A schedule that somebody has chosen stays.
fn digest(one: &mut DestinationSpec, on: bool) {
    if !on {
        one.fields.shift_remove("digest");
    } else if !one.fields.get("digest").is_some_and(Value::is_object) {
        let daily = json!({"schedule": SCHEDULE, "timezone": "UTC"});
        one.fields.insert("digest".to_owned(), daily);
    }
}

/// The route leads to those that are new as well; to one that somebody took out of it, it does not
/// again.
fn route(spec: &mut TenantSpec, before: &TenantSpec) {
    let is_new = |id: &&str| find(spec, id).is_some() && find(before, id).is_none();
    let new: Vec<String> =
        [WEBHOOK, EMAIL, SLACK].iter().filter(|id| is_new(id)).map(|id| (*id).to_owned()).collect();
    if new.is_empty() {
        return;
    }
    match spec.routes.iter_mut().find(|route| route.id.as_deref() == Some(ROUTE)) {
        Some(route) => route.to.extend(new),
        None => spec.routes.push(managed(ROUTE, vec!["**".to_owned()], new)),
    }
}
