//! Templates: what messages look like. A tenant's own take the place of the built-in ones.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_contract::{Delivery, Event, Part, Templates};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{PageQuery, check_limit};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids, Params};
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::Page;
use crate::api::scope::{Read, Scope, Write};
use crate::event::{Fill, decode};
use crate::tenant::{Problem, TenantSpec};
use fanfare_render::{Engine, Listed, Origin, samples};

/// A part of a message.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PartName {
    /// The subject of a mail: one line of text.
    Subject,
    /// The HTML of a mail, as MJML.
    Html,
    /// The text of a mail.
    Text,
    /// A Slack message: JSON with `blocks` and `text`.
    Slack,
}

impl PartName {
    const ALL: [Self; 4] = [Self::Subject, Self::Html, Self::Text, Self::Slack];

    fn part(self) -> Part {
        match self {
            Self::Subject => Part::Subject,
            Self::Html => Part::Html,
            Self::Text => Part::Text,
            Self::Slack => Part::Slack,
        }
    }

    fn of(part: Part) -> Self {
        match part {
            Part::Subject => Self::Subject,
            Part::Html => Self::Html,
            Part::Text => Self::Text,
            Part::Slack => Self::Slack,
        }
    }

    /// Where a tenant's document has it.
    fn path(self, kind: &str) -> String {
        match self {
            Self::Subject => format!("email/{kind}/subject.txt.hbs"),
            Self::Html => format!("email/{kind}/body.mjml.hbs"),
            Self::Text => format!("email/{kind}/body.txt.hbs"),
            Self::Slack => format!("slack/{kind}.json.hbs"),
        }
    }
}

/// A line of the list of templates.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateLine {
    /// The event type; `_default` for types without their own, `_digest` for digests.
    #[schema(example = "kyc.session.created")]
    event_type: String,
    /// The part of the message.
    part: PartName,
    /// Whose it is: `builtin`, `server` or `tenant`.
    #[schema(example = "builtin")]
    origin: &'static str,
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(super) struct Template {
    #[serde(flatten)]
    line: TemplateLine,
    /// As it was written.
    #[schema(example = "A session began: {{data.session_id}}")]
    source: String,
}

/// A template as it shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateBody {
    /// Handlebars; for HTML over MJML, for Slack over JSON.
    #[schema(max_length = 262_144, example = "A session began: {{data.session_id}}")]
    source: String,
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Builtin => "builtin",
        Origin::Folder => "server",
        Origin::Tenant => "tenant",
    }
}

/// One template of the document.
struct One<'a> {
    kind: &'a str,
    part: PartName,
}

impl Resource for One<'_> {
    fn name(&self) -> String {
        format!("templates/{}", self.part.path(self.kind))
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        Some(spec.templates.get(&self.part.path(self.kind))?.as_str().into())
    }

    fn refuse(&self, _: &TenantSpec, problems: Vec<Problem>) -> ApiError {
        let detail = |problem: Problem| Detail::new("source", problem.message);
        ApiError::fields(problems.into_iter().map(detail).collect())
    }
}

fn engine(state: &ApiState, spec: &TenantSpec) -> Result<Engine, ApiError> {
    let detail = |problem: Problem| Detail::new(problem.field, problem.message);
    (state.v1.engine)(spec)
        .map_err(|problems| ApiError::fields(problems.into_iter().map(detail).collect()))
}

/// List templates
///
/// The tenant's own in the place of those that they cover.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/templates", tag = "Templates", params(super::TenantPath, PageQuery),
    security(("key" = ["reader"])), responses((status = 200, description = "Templates.", body = Page<TemplateLine>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let (spec, _) = load(&state, &scope.tenant).await?;
    let names = engine(&state, &spec)?.names(&spec.id);
    let page = Page::cut(names, query.cursor.as_deref(), query.limit, |one| one.name.clone());
    let line = |one: Listed| TemplateLine {
        event_type: one.kind,
        part: PartName::of(one.part),
        origin: origin(one.origin),
    };
    let data = page.data.into_iter().map(line).collect();
    Ok(success(StatusCode::OK, Page { data, next_cursor: page.next_cursor }))
}

/// Get a template
#[utoipa::path(get, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", tag = "Templates", params(super::TemplatePath),
    security(("key" = ["reader"])), responses((status = 200, description = "The template.", body = Template)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, kind, part)): Ids<(String, String, PartName)>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    answer(&state, &spec, &One { kind: &kind, part }, StatusCode::OK).await
}

async fn answer(
    state: &ApiState,
    spec: &TenantSpec,
    one: &One<'_>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let engine = engine(state, spec)?;
    let found = engine.source(&spec.id, one.kind, one.part.part());
    let (source, whose) = found.ok_or_else(|| ApiError::not_found("template", one.kind))?;
    let (event_type, origin) = (one.kind.to_owned(), origin(whose));
    let line = TemplateLine { event_type, part: one.part, origin };
    let response = success(status, Template { line, source: source.to_owned() });
    Ok(match edit::tag(state, one, spec).await? {
        Some(tag) => tagged(response, &tag),
        None => response,
    })
}

/// Put a template
///
/// It is rendered on samples first; one that cannot be rendered is refused with its line.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", tag = "Templates", params(super::TemplatePath),
    request_body = TemplateBody, security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Template), (status = 201, description = "The tenant has one of its own now.", body = Template)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, kind, part)): Ids<(String, String, PartName)>,
    Body(body): Body<TemplateBody>,
) -> Result<Response, ApiError> {
    let one = One { kind: &kind, part };
    let edited = edit(&state, &scope, &one, "update", &if_match, |spec| {
        spec.templates.insert(part.path(&kind), body.source.clone());
        Ok(())
    });
    let edited = edited.await?;
    let status = if edited.created { StatusCode::CREATED } else { StatusCode::OK };
    answer(&state, &edited.spec, &one, status).await
}

/// Delete a template
///
/// The tenant's own; the built-in one takes its place.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", tag = "Templates", params(super::TemplatePath),
    security(("key" = ["admin"])), responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, kind, part)): Ids<(String, String, PartName)>,
) -> Result<StatusCode, ApiError> {
    let one = One { kind: &kind, part };
    let edited = edit(&state, &scope, &one, "delete", &if_match, |spec| {
        let gone = spec.templates.remove(&part.path(&kind));
        gone.map(drop).ok_or_else(|| ApiError::not_found("template", &kind))
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to render.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Preview {
    /// Takes the sample event of this type; `_digest` a digest of all samples.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.created")]
    kind: Option<String>,
    /// An event of your own instead.
    #[schema(value_type = Option<Object>)]
    event: Option<Map<String, Value>>,
    /// Parts to render; all when left out.
    parts: Option<Vec<PartName>>,
    /// Sources to try in the place of those there are, by part.
    templates: Option<Drafts>,
}

/// Sources that are not stored.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Drafts {
    subject: Option<String>,
    html: Option<String>,
    text: Option<String>,
    slack: Option<String>,
}

/// A message as it would leave.
#[derive(Serialize, ToSchema)]
pub(super) struct Rendered {
    /// The subject of the mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The HTML of the mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// The text of the mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The Slack message, within Slack's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    slack: Option<Value>,
}

/// Preview a message
///
/// Renders a sample or a given event; nothing is sent or stored.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/templates/preview", tag = "Templates", params(super::TenantPath),
    request_body = Preview, security(("key" = ["reader"])),
    responses((status = 200, description = "As it would leave.", body = Rendered)))]
pub(super) async fn preview(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Body(preview): Body<Preview>,
) -> Result<Response, ApiError> {
    let (mut spec, _) = load(&state, &scope.tenant).await?;
    let (delivery, kind) = delivery(&state, &scope.tenant, &preview)?;
    for part in PartName::ALL {
        let drafts = preview.templates.as_ref();
        if let Some(draft) = drafts.and_then(|drafts| drafts.of(part)) {
            spec.templates.insert(part.path(&kind), draft.to_owned());
        }
    }
    let engine = engine(&state, &spec)?;
    let wanted = |part: PartName| preview.parts.as_ref().is_none_or(|parts| parts.contains(&part));
    let render = |part: PartName| -> Result<Option<String>, ApiError> {
        if !wanted(part) {
            return Ok(None);
        }
        let wrong = |error| ApiError::fields(vec![Detail::new("event", format!("{error}"))]);
        Ok(engine.render(&delivery, &[part.part()]).map_err(wrong)?.pop())
    };
    let slack = render(PartName::Slack)?.map(|text| {
        let fit = fanfare_slack::preview(&text);
        fit.map_err(|error| {
            ApiError::fields(vec![Detail::new("templates.slack", error.to_string())])
        })
    });
    let rendered = Rendered {
        subject: render(PartName::Subject)?,
        html: render(PartName::Html)?,
        text: render(PartName::Text)?,
        slack: slack.transpose()?.map(|payload| json!(payload)),
    };
    Ok(success(StatusCode::OK, rendered))
}

impl Drafts {
    fn of(&self, part: PartName) -> Option<&str> {
        match part {
            PartName::Subject => self.subject.as_deref(),
            PartName::Html => self.html.as_deref(),
            PartName::Text => self.text.as_deref(),
            PartName::Slack => self.slack.as_deref(),
        }
    }
}

/// What is rendered, and the type whose templates it takes.
fn delivery(
    state: &ApiState,
    tenant: &Arc<str>,
    preview: &Preview,
) -> Result<(Delivery, String), ApiError> {
    let own = |event: Event| {
        let Event { id, kind, created, received_ms, body, .. } = event;
        Arc::new(Event::new(tenant.clone(), id, kind, created, received_ms, body))
    };
    if let Some(event) = &preview.event {
        let now = state.clock.now_ms();
        let fill = Fill { id: &|| "evt_preview".to_owned(), received_ms: now };
        let raw = Value::Object(event.clone()).to_string();
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
                let message = "has no sample; send an `event`";
                ApiError::fields(vec![Detail::new("type", message)])
            })?;
            Ok((samples::delivery(own(sample)), kind.to_owned()))
        }
        None => {
            let message = "is missing; or send an `event`";
            Err(ApiError::fields(vec![Detail::new("type", message)]))
        }
    }
}
