//! The closed sets of words in requests and answers, for the API's description. Most fields hold
//! the words of other modules as text, so these types only describe them.

#![expect(dead_code, reason = "describes words; the fields hold them as text")]

use utoipa::ToSchema;

/// How a destination is notified.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Channel {
    Webhook,
    Email,
    Slack,
    Poll,
}

/// What is known of an event: `pending` until its routes have been evaluated, then `unrouted` if no
/// route matched, or `routed`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum EventState {
    Pending,
    Unrouted,
    Routed,
}

/// The environment: `live` for real recipients, `test` for test destinations.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Environment {
    Live,
    Test,
}

/// Where a template comes from: built in, from the server's folder, or the tenant's own.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum TemplateOrigin {
    Builtin,
    Server,
    Tenant,
}

/// The outcome of a change. `begun`: a crash left the outcome unknown.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum AuditOutcome {
    Begun,
    Done,
    Failed,
}

/// What a document did to its tenant.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum DocumentOutcome {
    Created,
    Changed,
    Unchanged,
}

/// What became of an event that was sent. `duplicate`: an event with the same id was accepted
/// before.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum PublishOutcome {
    Accepted,
    Duplicate,
    Refused,
}

/// Who set a quota: an operator for this tenant, or the server's settings for all tenants.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum QuotaSource {
    Tenant,
    Default,
}
