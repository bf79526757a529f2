//! Renders a message without sending it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_contract::{Delivery, Event};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::part::TemplatePart;
use crate::access::Action;
use crate::api::answer::{ApiError, success};
use crate::api::body::Body;
use crate::api::edit::{self, load};
use crate::api::scope::{Read, Scope};
use crate::api::state::ApiState;
use crate::api::v1::params::TenantPath;
use crate::event::{Fill, decode};
use fanfare_render::{Engine, samples};

/// What to render.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct PreviewRequest {
    /// Renders the sample event of this type. `_digest` renders a digest of all samples.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.created")]
    kind: Option<String>,
    /// Renders this event instead of a sample.
    #[schema(value_type = Option<Object>)]
    event: Option<Box<RawValue>>,
    /// The parts to render. The default is all.
    parts: Option<Vec<TemplatePart>>,
    /// Sources to use instead of the stored templates, by part. Requires the role admin.
    templates: Option<TemplateSources>,
}

/// Template sources to try.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct TemplateSources {
    subject: Option<String>,
    html: Option<String>,
    text: Option<String>,
    slack: Option<String>,
}

/// A rendered message.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct RenderedMessage {
    /// The subject of the email.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The HTML of the email.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// The plain text of the email.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The Slack message, shortened to Slack's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    slack: Option<Value>,
}

/// Preview a message
///
/// Renders a sample event or your own event. Nothing is sent or stored. With `templates`, which
/// tries sources that are not stored, the request requires the role admin. The body has at most
/// 512 KiB.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/templates/preview", operation_id = "preview_template", tag = "Templates", params(TenantPath),
    request_body = PreviewRequest,
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "The rendered message.", body = RenderedMessage)))]
pub(in crate::api::v1) async fn preview(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Body(preview): Body<PreviewRequest>,
) -> Result<Response, ApiError> {
    let mut spec = load(&state, &scope).await?;
    let (delivery, kind) = delivery(&state, &scope.tenant, &preview)?;
    if let Some(drafts) = &preview.templates {
        scope.principal.require(Action::Write)?;
        for part in TemplatePart::ALL {
            if let Some(draft) = drafts.of(part) {
                spec.templates.insert(part.path(&kind), draft.to_owned());
            }
        }
    }
    let make = state.v1.engine.clone();
    let render = move || {
        let engine = make(&spec).map_err(edit::unusable)?;
        rendered(&engine, &delivery, preview.parts.as_deref())
    };
    let rendered = edit::on_pool(&state, &scope.tenant, render).await??;
    Ok(success(StatusCode::OK, rendered))
}

/// Renders the wanted parts.
fn rendered(
    engine: &Engine,
    delivery: &Delivery,
    wanted: Option<&[TemplatePart]>,
) -> Result<RenderedMessage, ApiError> {
    let render = |part: TemplatePart| -> Result<Option<String>, ApiError> {
        if wanted.is_some_and(|wanted| !wanted.contains(&part)) {
            return Ok(None);
        }
        let wrong = |error| ApiError::field("event", format!("{error}"));
        Ok(engine.render(delivery, &[part.part()]).map_err(wrong)?.pop())
    };
    let slack = render(TemplatePart::Slack)?.map(|text| {
        let fit = fanfare_slack::preview(&text);
        fit.map_err(|error| ApiError::field("templates.slack", error.to_string()))
    });
    Ok(RenderedMessage {
        subject: render(TemplatePart::Subject)?,
        html: render(TemplatePart::Html)?,
        text: render(TemplatePart::Text)?,
        slack: slack.transpose()?.map(|payload| json!(payload)),
    })
}

impl TemplateSources {
    fn of(&self, part: TemplatePart) -> Option<&str> {
        match part {
            TemplatePart::Subject => self.subject.as_deref(),
            TemplatePart::Html => self.html.as_deref(),
            TemplatePart::Text => self.text.as_deref(),
            TemplatePart::Slack => self.slack.as_deref(),
        }
    }
}

/// The delivery to render, and the event type whose templates apply.
fn delivery(
    state: &ApiState,
    tenant: &Arc<str>,
    preview: &PreviewRequest,
) -> Result<(Delivery, String), ApiError> {
    let own = |event: Event| {
        let Event { id, kind, created, received_ms, body, .. } = event;
        Arc::new(Event::new(tenant.clone(), id, kind, created, received_ms, body))
    };
    if let Some(event) = &preview.event {
        let now = state.clock.now_ms();
        let fill = Fill { id: &|| "evt_preview".to_owned(), received_ms: now };
        let raw = event.get().as_bytes().to_vec();
        let event = decode(tenant, raw.into(), state.limits, &fill)?;
        let kind = event.kind.to_string();
        return Ok((samples::delivery(own(event)), kind));
    }
    match preview.kind.as_deref() {
        Some("_digest") => {
            let events = samples::all().into_iter().map(own).collect();
            Ok((samples::digest(tenant, events), "_digest".to_owned()))
        }
        Some(kind) => {
            let sample = samples::sample(kind).ok_or_else(|| {
                let message = "has no sample event; send an `event` instead";
                ApiError::field("type", message)
            })?;
            Ok((samples::delivery(own(sample)), kind.to_owned()))
        }
        None => Err(ApiError::field("type", "is missing; name an event type or send an `event`")),
    }
}
