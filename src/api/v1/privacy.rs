//! Data protection: all of a tenant as lines of JSON, and erasing it, or all about somebody, for good.

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
use crate::access::{Action, Role};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::Body;
use crate::api::edit::load;
use crate::api::scope::{Caller, Scope, Write};
use crate::ops::{self, Erasing, Export, Extent, Found, Subject};

/// Export a tenant
///
/// Everything there is of it, one JSON object a line: `kind` says what it is (`tenant`, `destination`,
/// `route`, `template`, `key`, `entry`, `event`, `rejected`, `change`). Secrets are masked. The last line
/// has the kind `end` and counts the others: where it is missing, the export broke off.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/export", tag = "Data protection", params(super::TenantPath), security(("key" = ["admin"])),
    responses((status = 200, description = "Lines, as they are read from the store.", body = String, content_type = "application/x-ndjson")))]
pub(super) async fn export(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    // There is nothing to be told of a tenant that is not there.
    load(&state, &scope.tenant).await?;
    let (out, mut lines) = mpsc::channel::<String>(ops::LINES_AHEAD);
    let tenant = scope.tenant.clone();
    // It ends when nobody reads any more.
    tokio::spawn(async move {
        let channels = state.registry.channels();
        let masked = |one: &crate::tenant::DestinationSpec| masked(channels, one);
        let now_ms = state.clock.now_ms();
        let export = Export { tenant: &tenant, masked: &masked, now_ms };
        if let Err(error) = ops::export(&state.store, &export, &out).await {
            tracing::warn!(%error, tenant = &*tenant, "an export broke off");
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

/// What to erase: `subject` or `everything`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Erase {
    /// Whom events are about: all that have this value at one of the paths go, whatever their state.
    #[schema(min_length = 1, max_length = 1024, example = "ann@example.com")]
    subject: Option<String>,
    /// Where the value stands: dotted paths from the envelope down. Those of the server's settings when
    /// left out.
    #[schema(min_items = 1, max_items = 32, example = json!(["data.metadata.user_email"]))]
    paths: Option<Vec<String>>,
    /// The whole tenant, its document and keys included; the audit trail stays. For operators.
    #[serde(default)]
    everything: bool,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What was erased.
#[derive(Serialize, ToSchema)]
pub(super) struct ErasureAnswer {
    /// The line of the audit trail that tells of it; none of a dry run.
    #[schema(example = "aud_fffffe6b…")]
    audit: Option<String>,
    /// Whether it was only counted.
    dry_run: bool,
    /// What was removed; of a dry run, what would be.
    erased: Found,
    /// Whether the store's own files are free of it. If not, something was in the way: repeat the
    /// request.
    scrubbed: bool,
}

/// Erase events or a tenant
///
/// Removes events with all that belongs to them (deliveries, attempts, what waits, dead letters), for
/// good: those about a subject, or the whole tenant. It may take long, goes on when the caller goes
/// away, and may be repeated. The audit trail says who, when and how much, and of the subject a salted
/// hash.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/erasures", tag = "Data protection", params(super::TenantPath), request_body = Erase,
    security(("key" = ["admin"])), responses((status = 200, description = "What was erased.", body = ErasureAnswer)))]
pub(super) async fn erase(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<Erase>,
) -> Result<Response, ApiError> {
    let Caller { principal, tenant } = &*scope;
    let dry_run = body.dry_run;
    let extent = extent(&state, body)?;
    if extent == Extent::Everything {
        // Of a tenant that was deleted there may be events left, so it need not be there.
        principal.require(Action::Operate)?;
    } else {
        load(&state, tenant).await?;
    }
    let unclaimed = principal.role == Role::Operator;
    let erasing = Erasing { tenant: tenant.to_string(), extent, unclaimed };
    if dry_run {
        let erased = ops::find(&state.store, &erasing).await?;
        let answer = ErasureAnswer { audit: None, dry_run, erased, scrubbed: false };
        return Ok(success(StatusCode::OK, answer));
    }
    let principal = principal.clone();
    // Of its own: what was begun is ended though nobody waits for the answer.
    let erasing = tokio::spawn(async move {
        let done = ops::erase(&state.store, &erasing, &principal, state.clock, &|_| ()).await;
        if erasing.extent == Extent::Everything {
            state.door.keyring.refresh().await?;
            state.registry.reload().await?;
        }
        done
    });
    let report = erasing.await.map_err(|error| {
        tracing::error!(%error, "an erasure broke off");
        let message = "the erasure broke off; repeat it";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal", message)
    })??;
    let answer = ErasureAnswer {
        audit: Some(report.id),
        dry_run,
        erased: report.found,
        scrubbed: report.scrubbed,
    };
    Ok(success(StatusCode::OK, answer))
}

fn extent(state: &ApiState, body: Erase) -> Result<Extent, ApiError> {
    let refuse = |field: &str, message: &str| ApiError::fields(vec![Detail::new(field, message)]);
    match (body.subject, body.everything, body.paths) {
        (Some(subject), false, paths) => {
            let paths = paths.unwrap_or_else(|| state.v1.subject_paths.clone());
            let subject = Subject::new(&subject, &paths);
            let subject = subject.map_err(|(field, message)| refuse(field, &message))?;
            Ok(Extent::Subject(subject))
        }
        (None, true, None) => Ok(Extent::Everything),
        (None, true, Some(_)) => Err(refuse("paths", "belongs to `subject`")),
        (Some(_), true, _) => Err(refuse("everything", "is not for a `subject`: give one of both")),
        (None, false, _) => {
            let message = "is missing: whom the events are about; or `\"everything\": true`";
            Err(refuse("subject", message))
        }
    }
}
