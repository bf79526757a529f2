//! Templates: what messages look like. A tenant's own templates override the built-in ones.

mod part;
pub(super) mod preview;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use part::{TemplatePart, TemplatePath};

use super::params::TenantPath;
use super::words;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, PathParams, QueryParams};
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::{Page, PageQuery, check_limit};
use crate::api::scope::{Read, Scope, WriteShared};
use crate::api::state::ApiState;
use crate::tenant::{Problem, TenantSpec};
use fanfare_render::{Listed, Origin};

/// A template in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateSummary {
    /// The event type. `_default` is for types without a template of their own, and `_digest` is
    /// for digests.
    #[schema(example = "kyc.session.created")]
    event_type: String,
    /// The part of the message.
    part: TemplatePart,
    /// Where it comes from.
    #[schema(value_type = words::TemplateOrigin, example = "builtin")]
    origin: &'static str,
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(super) struct Template {
    #[serde(flatten)]
    line: TemplateSummary,
    /// The template's source.
    #[schema(example = "A session began: {{data.session_id}}")]
    source: String,
}

/// A template to create or replace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateSource {
    /// The source: Handlebars, which renders MJML for HTML and JSON for Slack.
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

/// One template of a document.
struct TemplateResource<'a> {
    kind: &'a str,
    part: TemplatePart,
}

impl Resource for TemplateResource<'_> {
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

/// List templates
///
/// Lists the templates that apply to the tenant: its own, and those that it does not override.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/templates", operation_id = "list_templates", tag = "Templates", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The templates that apply to the tenant.", body = Page<TemplateSummary>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let spec = load(&state, &scope).await?;
    let names = edit::engine(&state, &spec).await?.names(&spec.id);
    let page = Page::cut(names, query.cursor.as_deref(), query.limit, |one| one.name.clone());
    let line = |one: Listed| TemplateSummary {
        event_type: one.kind,
        part: TemplatePart::of(one.part),
        origin: origin(one.origin),
    };
    let data = page.data.into_iter().map(line).collect();
    Ok(success(StatusCode::OK, Page { data, next_cursor: page.next_cursor }))
}

/// Get a template
#[utoipa::path(get, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", operation_id = "get_template", tag = "Templates", params(TemplatePath),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The template.", body = Template)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, kind, part)): PathParams<(String, String, TemplatePart)>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    answer(&state, &spec, &TemplateResource { kind: &kind, part }, StatusCode::OK).await
}

async fn answer(
    state: &ApiState,
    spec: &TenantSpec,
    one: &TemplateResource<'_>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let engine = edit::engine(state, spec).await?;
    let found = engine.source(&spec.id, one.kind, one.part.part());
    let (source, whose) = found.ok_or_else(|| ApiError::not_found("template", one.kind))?;
    let (event_type, origin) = (one.kind.to_owned(), origin(whose));
    let line = TemplateSummary { event_type, part: one.part, origin };
    let response = success(status, Template { line, source: source.to_owned() });
    Ok(match edit::tag(state, one, spec).await? {
        Some(tag) => tagged(response, &tag),
        None => response,
    })
}

/// Create or replace a template
///
/// The template is rendered with sample events first. If that fails, the error names the line, and
/// nothing changes.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", operation_id = "replace_template", tag = "Templates", params(TemplatePath),
    request_body = TemplateSource,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The replaced template.", body = Template), (status = 201, description = "The new template.", body = Template)))]
pub(super) async fn put(
    scope: Scope<WriteShared>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, kind, part)): PathParams<(String, String, TemplatePart)>,
    Body(body): Body<TemplateSource>,
) -> Result<Response, ApiError> {
    let one = TemplateResource { kind: &kind, part };
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
/// Deletes the tenant's own template. The server's or the built-in one applies again.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/templates/{event_type}/{part}", operation_id = "delete_template", tag = "Templates", params(TemplatePath),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["admin"])), responses((status = 204, description = "The template was deleted.")))]
pub(super) async fn delete(
    scope: Scope<WriteShared>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, kind, part)): PathParams<(String, String, TemplatePart)>,
) -> Result<StatusCode, ApiError> {
    let one = TemplateResource { kind: &kind, part };
    let edited = edit(&state, &scope, &one, "delete", &if_match, |spec| {
        let gone = spec.templates.remove(&part.path(&kind));
        gone.map(drop).ok_or_else(|| ApiError::not_found("template", &kind))
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}
