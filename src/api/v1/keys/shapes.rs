//! API keys as requests and responses show them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{self, Environment, Role};

/// What a key may do.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub(super) enum RoleWord {
    /// Everything, for all tenants.
    Operator,
    /// Everything, for one tenant.
    Admin,
    /// Sends events. Cannot read anything.
    Publisher,
    /// Reads everything of one tenant. Cannot change anything.
    Reader,
    /// Reads the mailboxes of one tenant and commits what it has processed. Nothing else.
    Consumer,
}

impl RoleWord {
    pub(super) fn role(self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Admin => Role::Admin,
            Self::Publisher => Role::Publisher,
            Self::Reader => Role::Reader,
            Self::Consumer => Role::Consumer,
        }
    }
}

/// The environment of a key's events.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Environment)]
pub(super) enum EnvironmentWord {
    /// Real events, for real recipients.
    Live,
    /// Test events, for test destinations.
    Test,
}

impl EnvironmentWord {
    pub(super) fn environment(self) -> Environment {
        match self {
            Self::Live => Environment::Live,
            Self::Test => Environment::Test,
        }
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct Key {
    /// The key's id. Use it to revoke the key.
    #[schema(example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    pub(super) id: String,
    /// The beginning and end of the key.
    #[schema(example = "sk_live_A1b2…x9Yz")]
    hint: String,
    /// What the key may do.
    #[schema(value_type = RoleWord, example = "admin")]
    role: &'static str,
    /// The key's tenant. Null for an operator's key.
    tenant: Option<String>,
    /// The environment of the key.
    #[schema(value_type = EnvironmentWord, example = "live")]
    environment: &'static str,
    /// A label for people.
    #[schema(example = "deployment")]
    label: String,
    /// When the key was created, in Unix milliseconds.
    created_ms: i64,
    /// The id of the key that created it. `cli` is the command line.
    created_by: Option<String>,
    /// When the key expires, in Unix milliseconds. Null if it never expires.
    expires_ms: Option<i64>,
    /// When the key was last used, in Unix milliseconds, accurate to a minute.
    last_used_ms: Option<i64>,
    /// Whether it is the key of a portal link.
    portal: bool,
    /// The key itself. Only the response that creates the key has it.
    #[serde(rename = "key", skip_serializing_if = "Option::is_none")]
    #[schema(example = "sk_live_…")]
    pub(super) text: Option<String>,
}

impl Key {
    pub(super) fn of(key: access::Key) -> Self {
        Self {
            id: key.id,
            hint: key.hint,
            role: key.role.word(),
            tenant: key.tenant.map(|tenant| tenant.to_string()),
            environment: key.environment.word(),
            label: key.label,
            created_ms: key.created_ms,
            created_by: key.created_by.map(|by| by.to_string()),
            expires_ms: key.expires_ms,
            last_used_ms: key.last_used_ms,
            portal: key.portal,
            text: None,
        }
    }
}

/// A key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub(in crate::api::v1) struct KeyBody {
    /// What the key may do. Operators' keys are created at `/v1/keys`.
    #[schema(example = "reader")]
    pub(super) role: RoleWord,
    /// The environment of the key. The default is the environment of the key that creates it.
    pub(super) environment: Option<EnvironmentWord>,
    /// A label for people.
    #[serde(default)]
    #[schema(max_length = 100, example = "deployment")]
    pub(super) label: String,
    /// How long the key is valid. By default it never expires. A portal link expires after 15
    /// minutes by default.
    #[schema(minimum = 1, maximum = 315_360_000, example = 7_776_000)]
    pub(super) expires_in_seconds: Option<u32>,
    /// Creates the key of a portal link: an admin's or reader's key of one tenant that is valid
    /// for at most 24 hours and cannot create other keys.
    #[serde(default)]
    pub(super) portal: bool,
}
