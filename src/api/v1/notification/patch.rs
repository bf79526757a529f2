//! Applies changes of the notification channels to a tenant's document.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::api::answer::{ApiError, Detail};
use crate::api::body::given;
use crate::api::merge_patch::merge;
use crate::api::v1::destinations::{complete, masked, remove};
use crate::api::v1::routes::managed;
use crate::tenant::{Channels, DestinationSpec, MANAGED, SecretsChange, TenantSpec};
use fanfare_contract::FieldError;

pub(super) const WEBHOOK: &str = MANAGED[0];
pub(super) const EMAIL: &str = MANAGED[1];
pub(super) const SLACK: &str = MANAGED[2];
pub(super) const ROUTE: &str = MANAGED[3];
/// When digests are sent: every day at 08:00 UTC.
const SCHEDULE: &str = "0 8 * * *";

/// Changes of the notification channels. Fields that you omit keep their values, and null clears a
/// field.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[expect(clippy::option_option, reason = "absent, null, a value")]
pub(in crate::api) struct NotificationChannelsUpdate {
    /// The webhook's URL. If the webhook has no secret yet, or if the URL has another scheme, host or
    /// port than before, a secret is generated, unless you send one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048, example = "https://hooks.acme.example/kyc")]
    webhook_url: Option<Option<String>>,
    /// The webhook's secret: 16 to 256 characters, or `whsec_…`. Null generates a new one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 256)]
    webhook_secret: Option<Option<String>>,
    /// Email addresses, at most 100. Null or an empty list removes all of them.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100, example = json!(["compliance@acme.example"]))]
    notification_emails: Option<Option<Vec<String>>>,
    /// The URL of a Slack incoming webhook.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    slack_webhook_url: Option<Option<String>>,
    /// Whether emails are collected into one digest per day.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    batch_notifications_enabled: Option<Option<bool>>,
}

/// A destination by id.
pub(super) fn find<'s>(spec: &'s TenantSpec, id: &str) -> Option<&'s DestinationSpec> {
    spec.destinations.iter().find(|destination| destination.id == id)
}

impl NotificationChannelsUpdate {
    /// Applies the changes. Returns a webhook secret that was generated.
    pub(super) fn apply(
        &self,
        channels: &Channels,
        spec: &mut TenantSpec,
    ) -> Result<Option<String>, ApiError> {
        let before = spec.clone();
        let secret = webhook(channels, spec, self)?;
        slack(channels, spec, self);
        email(spec, self);
        route(spec, &before);
        Ok(secret)
    }
}

/// The destination with this id. Created if it does not exist.
fn managed_one<'s>(spec: &'s mut TenantSpec, id: &str, channel: &str) -> &'s mut DestinationSpec {
    let at = spec.destinations.iter().position(|one| one.id == id).unwrap_or_else(|| {
        let (id, channel) = (id.to_owned(), channel.to_owned());
        spec.destinations.push(DestinationSpec { id, channel, fields: Map::new() });
        spec.destinations.len() - 1
    });
    // As in tenant files: a change is assumed to fix what disabled the destination.
    spec.disabled.remove(id);
    &mut spec.destinations[at]
}

/// Returns a secret that was generated.
fn webhook(
    channels: &Channels,
    spec: &mut TenantSpec,
    patch: &NotificationChannelsUpdate,
) -> Result<Option<String>, ApiError> {
    match (&patch.webhook_url, &patch.webhook_secret) {
        (None, None) => return Ok(None),
        (Some(None), _) => {
            remove(spec, WEBHOOK);
            return Ok(None);
        }
        (None, Some(_)) if find(spec, WEBHOOK).is_none() => {
            let message = "requires a webhook; send `webhook_url` as well";
            return Err(ApiError::field("webhook_secret", message));
        }
        _ => {}
    }
    let shown = find(spec, WEBHOOK).map(|one| masked(channels, one)).unwrap_or_default();
    let one = managed_one(spec, WEBHOOK, "webhook");
    let old = std::mem::replace(&mut one.fields, shown);
    let mut given = Map::new();
    if let Some(Some(url)) = &patch.webhook_url {
        given.insert("url".to_owned(), url.clone().into());
    }
    if let Some(secret) = &patch.webhook_secret {
        given.insert("secret".to_owned(), secret.clone().into());
    }
    merge(&mut one.fields, &given);
    if let Some(chosen) = channels.get("webhook").filter(|_| !old.is_empty()) {
        let change = SecretsChange { old: &old, given: Some(&given) };
        let restored = change.restore(&*chosen.channel, &mut one.fields);
        restored.map_err(not_given_again)?;
    }
    let made = complete(channels, one);
    Ok(made.get("secret").and_then(Value::as_str).map(str::to_owned))
}

/// Names the secrets that do not follow the URL. This resource has no field for most of them.
fn not_given_again(errors: Vec<FieldError>) -> ApiError {
    let detail = |FieldError { field, message }| match field.as_str() {
        "secret" => Detail::new("webhook_secret", message),
        _ => Detail::new(
            "webhook_url",
            format!(
                "has another scheme, host or port than before, and the destination `{WEBHOOK}` has \
                 the secret `{field}`, which would be sent there; change that destination instead"
            ),
        ),
    };
    ApiError::fields(errors.into_iter().map(detail).collect())
}

fn slack(channels: &Channels, spec: &mut TenantSpec, patch: &NotificationChannelsUpdate) {
    match &patch.slack_webhook_url {
        None => {}
        Some(None) => remove(spec, SLACK),
        Some(Some(url)) => {
            let shown = find(spec, SLACK).map(|one| masked(channels, one)).unwrap_or_default();
            if shown.get("url").and_then(Value::as_str) != Some(url) {
                let one = managed_one(spec, SLACK, "slack");
                one.fields.insert("url".to_owned(), url.clone().into());
            }
        }
    }
}

fn email(spec: &mut TenantSpec, patch: &NotificationChannelsUpdate) {
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

/// Turns the daily digest on or off. An existing schedule is kept.
fn digest(one: &mut DestinationSpec, on: bool) {
    if !on {
        one.fields.shift_remove("digest");
    } else if !one.fields.get("digest").is_some_and(Value::is_object) {
        let daily = json!({"schedule": SCHEDULE, "timezone": "UTC"});
        one.fields.insert("digest".to_owned(), daily);
    }
}

/// Adds new destinations to the route. A destination that was removed from the route stays removed.
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
