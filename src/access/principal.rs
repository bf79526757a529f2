//! Roles, and the principal that a request comes from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fanfare_contract::Environment;
use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
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

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send events.
    Publish,
    /// Read a tenant's settings, events and deliveries.
    Read,
    /// Read a tenant's mailboxes and commit messages.
    Consume,
    /// Change a tenant's settings, replay, test.
    Write,
    /// Create and revoke a tenant's keys.
    Keys,
    /// What concerns all tenants: creating and deleting them, operators' keys, rejected entries,
    /// metrics.
    Operate,
}

impl Role {
    /// All roles, the most powerful first.
    pub const ALL: [Self; 5] =
        [Self::Operator, Self::Admin, Self::Publisher, Self::Reader, Self::Consumer];

    /// Whether the role allows an action, regardless of the tenant.
    pub fn allows(self, action: Action) -> bool {
        match self {
            Self::Operator => true,
            Self::Admin => action != Action::Operate,
            Self::Publisher => action == Action::Publish,
            Self::Reader => action == Action::Read,
            Self::Consumer => action == Action::Consume,
        }
    }

    /// The role's name in settings, tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Publisher => "publisher",
            Self::Reader => "reader",
            Self::Consumer => "consumer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| "must be operator, admin, publisher, reader or consumer".to_owned())
    }
}

/// The key that a request comes from, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `key_…`, or `ingest` for the ingest key in the settings, or the name under which requests
    /// without a key are allowed, such as `development`.
    pub key_id: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// The only tenant that it may access. `None` for all tenants.
    pub tenant: Option<Arc<str>>,
    /// The environment of its events. A live key may also access test things. For a test key, live
    /// things do not exist.
    pub environment: Environment,
    /// Whether it comes from a portal link. It then may not create keys, because they could outlive
    /// the link.
    pub portal: bool,
}

impl Principal {
    /// Whether the role allows an action. The tenant is checked separately: [`Principal::sees`].
    pub fn may(&self, action: Action) -> bool {
        self.role.allows(action) && !(self.portal && action == Action::Keys)
    }

    /// Fails if the role does not allow an action.
    pub fn require(&self, action: Action) -> Result<(), Denied> {
        if self.may(action) { Ok(()) } else { Err(Denied::Forbidden(self.role)) }
    }

    /// The only tenant that it may access.
    pub fn tenant_scope(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }

    /// Whether it may access a tenant. Other tenants do not exist for it.
    pub fn sees(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
    }

    /// Whether it may access things of an environment. For a test key, live things do not exist.
    pub fn sees_environment(&self, environment: Environment) -> bool {
        self.environment.is_live() || !environment.is_live()
    }

    /// Fails for a test key. Guards what live events use too.
    pub fn require_live(&self) -> Result<(), Denied> {
        if self.environment.is_live() { Ok(()) } else { Err(Denied::TestKey) }
    }

    /// The tenant of a request: the one that it names, or the key's own. A tenant that the key may
    /// not access is refused like one that does not exist. Callers must therefore refuse an id that
    /// does not exist with [`Denied::no_tenant`] as well.
    pub fn tenant_of(&self, named: Option<&str>) -> Result<Arc<str>, Denied> {
        match (named, &self.tenant) {
            (None | Some("me"), Some(own)) => Ok(own.clone()),
            (None | Some("me"), None) => Err(Denied::Unnamed),
            (Some(named), _) if self.sees(named) => Ok(named.into()),
            (Some(named), _) => Err(Denied::no_tenant(named)),
        }
    }
}

/// Why a request was denied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request has no key.
    #[error(
        "the request has no API key; send `Authorization: Bearer sk_live_…`, or create a key with \
             `fanfare keys create`"
    )]
    NoKey,
    /// Not a key, or unknown, or revoked. The caller need not know which.
    #[error("the API key is unknown or was revoked; check it, or create a new one")]
    UnknownKey,
    /// The key has expired.
    #[error("the API key has expired; create a new one")]
    Expired,
    /// The key's role does not allow the action.
    #[error("a key with the role {0} may not do this; use a key with another role")]
    Forbidden(Role),
    /// The key belongs to the test environment, and live events use what the request is about.
    #[error(
        "a test key may not do this, because live events use it too; use a key of the live \
             environment"
    )]
    TestKey,
    /// The key may access all tenants, so the request must name one.
    #[error("the request names no tenant; add `?tenant=acme` or the header `Fanfare-Tenant: acme`")]
    Unnamed,
    /// The tenant does not exist, or the key may not access it.
    #[error("there is no tenant `{0}`; add it with `fanfare apply`")]
    NoTenant(Box<str>),
}

impl Denied {
    /// The refusal for a tenant that does not exist, and for one that the key must not know about.
    pub fn no_tenant(named: &str) -> Self {
        Self::NoTenant(named.chars().take(64).collect())
    }

    /// The error's code. Codes are stable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "wrong_key",
            Self::Expired => "expired_key",
            Self::Forbidden(_) => "forbidden",
            Self::TestKey => "live_key_required",
            Self::Unnamed => "no_tenant",
            Self::NoTenant(_) => "unknown_tenant",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(role: Role, tenant: Option<&str>) -> Principal {
        let tenant = tenant.map(Into::into);
        let environment = Environment::Live;
        Principal { key_id: "key_1".into(), role, tenant, environment, portal: false }
    }

    #[test]
    fn each_role_allows_its_actions_and_nothing_else() {
        use Action::{Consume, Keys, Operate, Publish, Read, Write};
        let all = [Publish, Read, Consume, Write, Keys, Operate];
        let allowed = |role| all.into_iter().filter(move |action| Role::allows(role, *action));
        let allowed = |role| allowed(role).collect::<Vec<_>>();
        assert_eq!(allowed(Role::Operator), all);
        assert_eq!(allowed(Role::Admin), [Publish, Read, Consume, Write, Keys]);
        assert_eq!(allowed(Role::Publisher), [Publish]);
        assert_eq!(allowed(Role::Reader), [Read]);
        assert_eq!(allowed(Role::Consumer), [Consume]);
    }

    #[test]
    fn a_portal_link_cannot_create_keys() {
        let portal = Principal { portal: true, ..principal(Role::Admin, Some("acme")) };
        assert!(portal.may(Action::Write));
        assert_eq!(portal.require(Action::Keys), Err(Denied::Forbidden(Role::Admin)));
    }

    #[test]
    fn live_things_do_not_exist_for_a_test_key() {
        let live = principal(Role::Admin, Some("acme"));
        let test = Principal { environment: Environment::Test, ..live.clone() };
        assert!(
            live.sees_environment(Environment::Live) && live.sees_environment(Environment::Test)
        );
        assert!(test.sees_environment(Environment::Test));
        assert!(!test.sees_environment(Environment::Live));
        assert_eq!((live.require_live(), test.require_live()), (Ok(()), Err(Denied::TestKey)));
    }

    #[test]
    fn a_foreign_tenant_is_refused_like_one_that_does_not_exist() {
        let key = principal(Role::Admin, Some("acme"));
        assert_eq!(key.tenant_of(None).as_deref(), Ok("acme"));
        assert_eq!(key.tenant_of(Some("me")).as_deref(), Ok("acme"));
        assert_eq!(key.tenant_of(Some("acme")).as_deref(), Ok("acme"));
        assert_eq!(key.tenant_of(Some("globex")), Err(Denied::no_tenant("globex")));
        let operator = principal(Role::Operator, None);
        assert_eq!(operator.tenant_of(Some("globex")).as_deref(), Ok("globex"));
        assert_eq!(operator.tenant_of(None), Err(Denied::Unnamed));
    }
}
