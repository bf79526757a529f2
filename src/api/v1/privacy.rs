//! Data protection: exports a tenant as lines of JSON, and erases a tenant or all events about a
//! person.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body as Stream, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::destinations::masked;
use super::params::TenantPath;
use crate::access::{Action, Role};
use crate::api::answer::{ApiError, success};
use crate::api::body::Body;
use crate::api::edit::load;
use crate::api::scope::{Caller, Scope, Write, WriteShared};
use crate::api::state::ApiState;
use crate::ops::{self, Erasing, Export, Extent, Found, Subject};

/// Export a tenant
///
/// Returns all data of the tenant, one JSON object per line. `kind` is the type of the line:
/// `tenant`, `destination`, `route`, `template`, `key`, `entry`, `event`, `rejected` or `change`.
/// Secrets are masked. The last line has the kind `end` and counts the others. If it is missing,
/// the export is incomplete.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/export", operation_id = "export_tenant", tag = "Data protection", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "Lines of JSON, streamed from the store.", body = String, content_type = "application/x-ndjson")))]
pub(super) async fn export(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    // Fail with 404 instead of an empty export if the tenant does not exist.
    load(&state, &scope).await?;
    let (out, mut lines) = mpsc::channel::<String>(ops::LINES_AHEAD);
    let Caller { principal, tenant } = Caller::clone(&scope);
    // This task ends when the client stops reading.
    tokio::spawn(async move {
        let channels = state.registry.channels();
        let masked = |one: &crate::tenant::DestinationSpec| masked(channels, one);
        let now_ms = state.clock.now_ms();
        let environment = (!principal.environment.is_live()).then_some(principal.environment);
        let export = Export { tenant: &tenant, environment, masked: &masked, now_ms };
        if let Err(error) = ops::export(&state.store, &export, &out).await {
            tracing::warn!(%error, tenant = &*tenant, "an export failed before its end");
        }
    });
    let stream = futures::stream::poll_fn(move |context| {
        let line = lines.poll_recv(context);
        line.map(|line| line.map(|line| Ok::<_, Infallible>(Bytes::from(line + "\n"))))
    });
    let mut response = Stream::from_stream(stream).into_response();
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// What to erase: a `subject`, or `everything`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewErasure {
    /// The person whose events to erase: all events that have this value at one of the paths, in
    /// any state.
    #[schema(min_length = 1, max_length = 1024, example = "ann@example.com")]
    subject: Option<String>,
    /// Dotted paths in the event, such as `data.user_id`. The default is `subject_paths` in the
    /// server's settings.
    #[schema(min_items = 1, max_items = 32, example = json!(["data.metadata.user_email"]))]
    paths: Option<Vec<String>>,
    /// Erases the whole tenant, including its settings and keys. The audit trail keeps who did what
    /// and when. Requires an operator's key.
    #[serde(default)]
    everything: bool,
    /// Only count what would be erased.
    #[serde(default)]
    dry_run: bool,
}

/// The result of an erasure.
#[derive(Serialize, ToSchema)]
pub(super) struct Erasure {
    /// The id of the audit trail's entry. Null for a dry run.
    #[schema(example = "aud_fffffe6b…")]
    audit: Option<String>,
    /// Whether this was a dry run.
    dry_run: bool,
    /// What was erased, or would be erased.
    erased: Found,
    /// Whether the store's files no longer contain the erased data. If false, repeat the request.
    scrubbed: bool,
    /// Other files beside the store that may contain the erased data, such as
    /// `fanfare.db.replaced`. Remove them yourself.
    #[schema(example = json!([]))]
    elsewhere: Vec<String>,
}

/// Erase events or a tenant
///
/// Erases events for good, with their deliveries, attempts and rejected entries: either all events
/// about a person, or the whole tenant. This may take a while. It continues if the client
/// disconnects, and after a restart of the server. It is safe to repeat. The audit trail records who
/// erased how much and when, and a salted hash of the person.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/erasures", operation_id = "create_erasure", tag = "Data protection", params(TenantPath), request_body = NewErasure,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["admin"])), responses((status = 200, description = "The result of the erasure.", body = Erasure)))]
pub(super) async fn erase(
    scope: Scope<WriteShared>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<NewErasure>,
) -> Result<Response, ApiError> {
    let Caller { principal, tenant } = &*scope;
    let dry_run = body.dry_run;
    let extent = extent(&state, body)?;
    if extent == Extent::Everything {
        // A deleted tenant may still have events, so the tenant need not exist.
        principal.require(Action::Operate)?;
    } else {
        load(&state, &scope).await?;
    }
    let unclaimed = principal.role == Role::Operator;
    let erasing = Erasing { tenant: tenant.to_string(), extent, unclaimed };
    if dry_run {
        let erased = ops::find(&state.store, &erasing).await?;
        let (scrubbed, elsewhere) = (false, Vec::new());
        let answer = Erasure { audit: None, dry_run, erased, scrubbed, elsewhere };
        return Ok(success(StatusCode::OK, answer));
    }
    let principal = principal.clone();
    // A task of its own, so that the erasure finishes even if the client disconnects.
    let erasing = tokio::spawn(async move {
        let done = ops::erase(&state.store, &erasing, &principal, state.clock, &|_| ()).await;
        if erasing.extent == Extent::Everything {
            state.authenticator.keyring.refresh().await?;
            state.registry.catch_up_removed(&erasing.tenant).await?;
        }
        done
    });
    let report = erasing.await.map_err(|error| {
        tracing::error!(%error, "an erasure failed before its end");
        let message = "the erasure stopped before it was complete; repeat the request";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal", message)
    })??;
    let answer = Erasure {
        audit: Some(report.id),
        dry_run,
        erased: report.found,
        scrubbed: report.scrubbed,
        elsewhere: report.elsewhere,
    };
    Ok(success(StatusCode::OK, answer))
}

fn extent(state: &ApiState, body: NewErasure) -> Result<Extent, ApiError> {
    let refuse = |field: &str, message: &str| ApiError::field(field, message);
    match (body.subject, body.everything, body.paths) {
        (Some(subject), false, paths) => {
            let paths = paths.unwrap_or_else(|| state.v1.subject_paths.clone());
            let subject = Subject::new(&subject, &paths);
            let subject = subject.map_err(|(field, message)| refuse(field, &message))?;
            Ok(Extent::Subject(subject))
        }
        (None, true, None) => Ok(Extent::Everything),
        (None, true, Some(_)) => Err(refuse("paths", "is only valid with `subject`")),
        (Some(_), true, _) => {
            Err(refuse("everything", "cannot be combined with `subject`; send one of them"))
        }
        (None, false, _) => {
            let message = "is missing; send the person's value, or `\"everything\": true`";
            Err(refuse("subject", message))
        }
    }
}
