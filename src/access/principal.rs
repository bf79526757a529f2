//! Roles, and who a request comes from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use fanfare_contract::Environment;
use serde::{Deserialize, Serialize};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, of all tenants.
    Operator,
    /// Everything of one tenant.
    Admin,
    /// Sends events, and sees nothing.
    Publisher,
    /// Sees everything of one tenant, and changes nothing.
    Reader,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send events.
    Publish,
    /// Look at a tenant's settings, events and deliveries.
    Read,
    /// Change a tenant's settings, replay, test.
    Write,
    /// Make and revoke keys of a tenant.
    Keys,
    /// What concerns all tenants: make and remove them, operators' keys, dead letters, numbers.
    Operate,
}

impl Role {
    /// All of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Admin, Self::Publisher, Self::Reader];

    /// Whether the role allows it, whatever the tenant.
    pub fn allows(self, action: Action) -> bool {
        match self {
            Self::Operator => true,
            Self::Admin => action != Action::Operate,
            Self::Publisher => action == Action::Publish,
            Self::Reader => action == Action::Read,
        }
    }

    /// The word for settings, tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Publisher => "publisher",
            Self::Reader => "reader",
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
        found.ok_or_else(|| "must be operator, admin, publisher or reader".to_owned())
    }
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `key_…`; `ingest` for the key in the settings, `development` for nobody in particular.
    pub key_id: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// The one tenant it sees; none for all of them.
    pub tenant: Option<Arc<str>>,
    /// Where its events belong.
    pub environment: Environment,
    /// From a portal link: whoever holds it may not make keys that outlive it.
    pub portal: bool,
}

impl Principal {
    /// Whether the role allows it. Whose tenant is another question: [`Principal::sees`].
    pub fn may(&self, action: Action) -> bool {
        self.role.allows(action) && !(self.portal && action == Action::Keys)
    }

    /// As `may`, with the refusal.
    pub fn require(&self, action: Action) -> Result<(), Denied> {
        if self.may(action) { Ok(()) } else { Err(Denied::TooSmall(self.role)) }
    }

    /// The one tenant it is confined to.
    pub fn tenant_scope(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }

    /// Whether a tenant is within its scope. To anybody else it does not exist.
    pub fn sees(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
    }

    /// The tenant that a request is about: the one that it names, or the key's own. A tenant out of
    /// scope is told of as one that does not exist is; so whoever gets an id here must say
    /// [`Denied::no_tenant`] too when there is no such tenant.
    pub fn tenant_of(&self, named: Option<&str>) -> Result<Arc<str>, Denied> {
        match (named, &self.tenant) {
            (None | Some("me"), Some(own)) => Ok(own.clone()),
            (None | Some("me"), None) => Err(Denied::Unnamed),
            (Some(named), _) if self.sees(named) => Ok(named.into()),
            (Some(named), _) => Err(Denied::no_tenant(named)),
        }
    }
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error("send a key as `Authorization: Bearer sk_live_…`; `fanfare keys create` makes one")]
    NoKey,
    /// Not a key, unknown, or revoked: whoever asks need not know which.
    #[error("this key is not known here; it may have been revoked")]
    UnknownKey,
    /// It was good once.
    #[error("this key has expired")]
    Expired,
    /// Known, but not for this.
    #[error("a key of role {0} may not do this")]
    TooSmall(Role),
    /// It sees all tenants, so it must name one.
    #[error("name the tenant: ?tenant=acme or `Fanfare-Tenant: acme`")]
    Unnamed,
    /// Does not exist, or not for this key.
    #[error("there is no tenant `{0}`; add it with `fanfare apply`")]
    NoTenant(Box<str>),
}

impl Denied {
    /// The answer for a tenant that does not exist, and for one that the key must not know of.
    pub fn no_tenant(named: &str) -> Self {
        Self::NoTenant(named.chars().take(64).collect())
    }

    /// Short and stable.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "wrong_key",
            Self::Expired => "expired_key",
            Self::TooSmall(_) => "forbidden",
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
    fn each_role_may_do_what_it_is_for_and_nothing_else() {
        use Action::{Keys, Operate, Publish, Read, Write};
        let all = [Publish, Read, Write, Keys, Operate];
        let allowed = |role| all.into_iter().filter(move |action| Role::allows(role, *action));
        let allowed = |role| allowed(role).collect::<Vec<_>>();
        assert_eq!(allowed(Role::Operator), all);
        assert_eq!(allowed(Role::Admin), [Publish, Read, Write, Keys]);
        assert_eq!(allowed(Role::Publisher), [Publish]);
        assert_eq!(allowed(Role::Reader), [Read]);
    }

    #[test]
    fn a_portal_link_makes_no_keys() {
        let portal = Principal { portal: true, ..principal(Role::Admin, Some("acme")) };
        assert!(portal.may(Action::Write));
        assert_eq!(portal.require(Action::Keys), Err(Denied::TooSmall(Role::Admin)));
    }

    #[test]
    fn a_foreign_tenant_is_told_of_as_one_that_does_not_exist() {
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
