//! Destinations as requests and responses show them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::document::{is_enabled, masked};
use super::held::{self, Held};
use crate::api::v1::words;
use crate::tenant::{Channels, DestinationSpec, TenantSpec};

/// A destination.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct Destination {
    /// The destination's id.
    #[schema(example = "backoffice")]
    pub(super) id: String,
    /// The channel.
    #[schema(value_type = words::Channel, example = "webhook")]
    channel: String,
    /// The channel's settings and the options that every destination has, as in tenant files.
    /// Secrets are masked: 28 `*` and the last 4 characters.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc", "secret": "****************************1a2b", "rate": "10/s"}))]
    settings: Map<String, Value>,
    /// Whether events are sent.
    state: DestinationState,
    /// Why and since when the destination is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<Disabled>,
    /// Why nothing is sent for a while, and until when, if all recipients are held back. Only when
    /// destinations are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    /// Values that were generated, by field. Only this response shows them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Option<Object>)]
    pub(super) shown_once: Map<String, Value>,
    /// The recipients with their waiting deliveries. Only in answers to GET.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) lanes: Vec<Recipient>,
}

/// A recipient of a destination. An email destination has one per address.
#[derive(Serialize, ToSchema)]
pub(super) struct Recipient {
    /// The destination's id, followed by `~` and a suffix if the destination has several
    /// recipients.
    #[schema(example = "backoffice")]
    pub(super) id: String,
    /// The recipient without secrets: a host name or a masked address.
    #[schema(example = "hooks.acme.example")]
    pub(super) to: String,
    /// Number of waiting deliveries.
    pub(super) waiting: u64,
    /// Why nothing is sent to this recipient for a while, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<Held>,
}

/// Whether a destination's events are sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DestinationState {
    /// Events are sent.
    Active,
    /// Events wait until the time in `held`.
    Held,
    /// Events wait until the destination is resumed.
    Paused,
    /// Events are suppressed.
    Disabled,
}

/// Why a destination is disabled.
#[derive(Serialize, ToSchema)]
#[schema(as = DisabledDestination)]
struct Disabled {
    /// The code of the failure, such as `gone`, `bounces` or `only_failures`. `settings` if
    /// `enabled` is false.
    #[schema(example = "gone")]
    reason: String,
    /// What happened and how to fix it.
    message: String,
    /// Since when, in Unix milliseconds.
    at_ms: Option<i64>,
}

/// A destination to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct NewDestination {
    /// 1 to 64 characters of a-z, 0-9, - and _. Generated if you omit it.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "backoffice")]
    pub(super) id: Option<String>,
    /// The channel.
    #[schema(value_type = words::Channel, example = "webhook")]
    pub(super) channel: String,
    /// The channel's settings and the options that every destination has, as in tenant files.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc"}))]
    pub(super) settings: Map<String, Value>,
}

/// A destination to create or replace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct DestinationReplacement {
    /// The channel.
    #[schema(value_type = words::Channel, example = "webhook")]
    pub(super) channel: String,
    /// All settings. A secret that you send back masked keeps its value.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc", "secret": "****************************1a2b"}))]
    pub(super) settings: Map<String, Value>,
}

/// Changes of a destination.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct DestinationUpdate {
    /// A JSON merge patch (RFC 7396) of the settings. Fields that you omit keep their values, and
    /// null removes a field.
    #[schema(value_type = Object, example = json!({"rate": "5/s", "timeout": null}))]
    pub(super) settings: Map<String, Value>,
}

impl Destination {
    pub(in crate::api::v1) fn of(
        spec: &TenantSpec,
        one: &DestinationSpec,
        channels: &Channels,
    ) -> Self {
        let disabled = spec.disabled.get(one.id.as_str()).map(|disabled| Disabled {
            reason: disabled.reason.clone(),
            message: disabled.message.clone(),
            at_ms: Some(disabled.at_ms),
        });
        let disabled = disabled.or_else(|| {
            (!is_enabled(one)).then(|| Disabled {
                reason: "settings".to_owned(),
                message: "`enabled` is false in the destination's settings".to_owned(),
                at_ms: None,
            })
        });
        let paused = one.fields.get("paused").and_then(Value::as_bool).unwrap_or_default();
        let state = match (&disabled, paused || spec.held.contains(&one.id)) {
            (Some(_), _) => DestinationState::Disabled,
            (None, true) => DestinationState::Paused,
            (None, false) => DestinationState::Active,
        };
        let settings = masked(channels, one);
        let (id, channel) = (one.id.clone(), one.channel.clone());
        let (shown_once, lanes, held) = (Map::new(), Vec::new(), None);
        Self { id, channel, settings, state, disabled, held, shown_once, lanes }
    }

    /// Adds the recipients, and what holds the destination back.
    pub(super) fn set_lanes(&mut self, lanes: Vec<Recipient>) {
        let holds: Vec<Option<Held>> = lanes.iter().map(|lane| lane.held.clone()).collect();
        self.set_held(held::of_all(&holds));
        self.lanes = lanes;
    }

    /// Adds what holds the destination back.
    pub(super) fn set_held(&mut self, held: Option<Held>) {
        if held.is_some() && matches!(self.state, DestinationState::Active) {
            self.state = DestinationState::Held;
            self.held = held;
        }
    }
}
