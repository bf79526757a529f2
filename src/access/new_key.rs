//! A key to create: what it may do, who may create it, and what makes it invalid.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Environment, check_display_text};

use super::principal::{Action, Denied, Principal, Role};

/// Longest label, in characters.
const MAX_LABEL: usize = 100;
/// How long a portal link is valid by default.
pub const PORTAL_TTL: Duration = Duration::from_mins(15);
/// How long a portal link is valid at most.
const MAX_PORTAL_TTL: Duration = Duration::from_hours(24);

/// A key to create.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What the key may do.
    pub role: Role,
    /// The key's tenant. `None` if and only if the role is operator.
    pub tenant: Option<Arc<str>>,
    /// The environment of the key's events.
    pub environment: Environment,
    /// A label for people, at most 100 characters.
    pub label: String,
    /// How long the key is valid. `None` if it never expires.
    pub ttl: Option<Duration>,
    /// Whether it is the key of a portal link: for one tenant, valid for at most 24 hours.
    pub portal: bool,
    /// The id of the key that creates it. `None` for the command line.
    pub created_by: Option<Arc<str>>,
}

impl NewKey {
    /// A live key that never expires.
    pub fn new(role: Role, tenant: Option<&str>) -> Self {
        Self {
            role,
            tenant: tenant.map(Into::into),
            environment: Environment::Live,
            label: String::new(),
            ttl: None,
            portal: false,
            created_by: None,
        }
    }

    /// The key of a portal link.
    pub fn portal(role: Role, tenant: &str) -> Self {
        Self { portal: true, ttl: Some(PORTAL_TTL), ..Self::new(role, Some(tenant)) }
    }

    /// Whether `by` may create it. An operator may create any key, an admin those of its tenant,
    /// and a portal link none. A test key cannot create a live key.
    pub fn allowed_to(&self, by: &Principal) -> Result<(), Denied> {
        by.require(Action::Keys)?;
        let exceeds = self.role == Role::Operator && by.role != Role::Operator;
        let crosses = by.environment == Environment::Test && self.environment == Environment::Live;
        if exceeds {
            return Err(Denied::Forbidden(by.role));
        }
        if crosses {
            return Err(Denied::TestKey);
        }
        match self.tenant.as_deref() {
            Some(tenant) if !by.sees(tenant) => Err(Denied::no_tenant(tenant)),
            _ => Ok(()),
        }
    }

    /// Everything wrong with it, by field.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |field, message: &str| problems.push((field, message.to_owned()));
        match (self.role, &self.tenant) {
            (Role::Operator, Some(_)) => {
                wrong(
                    "tenant",
                    "must be omitted: an operator's key is for all tenants; create an admin key for one tenant",
                );
            }
            (Role::Admin | Role::Publisher | Role::Reader | Role::Consumer, None) => {
                wrong("tenant", "is missing: only an operator's key is for all tenants");
            }
            _ => {}
        }
        if self.label.chars().count() > MAX_LABEL {
            wrong("label", "must have at most 100 characters");
        }
        if let Err(message) = check_display_text(&self.label) {
            wrong("label", &message);
        }
        if self.ttl.is_some_and(|ttl| ttl < Duration::from_secs(1)) {
            wrong("expires", "must be at least one second from now");
        }
        if self.portal && !matches!(self.role, Role::Admin | Role::Reader) {
            wrong("role", "must be admin or reader for a portal link");
        }
        if self.portal && self.ttl.is_none_or(|ttl| ttl > MAX_PORTAL_TTL) {
            wrong("expires", "must be at most 24 hours from now for a portal link");
        }
        problems
    }
}
