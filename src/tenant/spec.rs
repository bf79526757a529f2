//! A tenant as it is stored: destinations, routes, templates, and what was disabled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use fanfare_contract::LaneId;
use fanfare_routing::RouteSpec;
use fanfare_store::Ms;

/// One tenant's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantSpec {
    /// 1 to 64 of `a-z 0-9 - _`.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where events can go.
    pub destinations: Vec<DestinationSpec>,
    /// Which events go where.
    pub routes: Vec<RouteSpec>,
    /// Links into the tenant's own systems, for buttons: name → address with `{data.field}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Own templates by path, for example `email/kyc.session.created/subject.txt.hbs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, String>,
    /// Destinations that were paused by hand.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<String>,
    /// Destinations, or single lanes of them, that nothing will reach until somebody mends them, by
    /// id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disabled: BTreeMap<LaneId, Disabled>,
    /// Whether mails of the notification channels shall be digests, also while there is none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub notify_in_batches: bool,
    /// What was changed last, on its way to the audit trail: written with the change itself, so that
    /// neither is there without the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<Change>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TenantSpec {
    /// A tenant that has nothing yet.
    pub fn empty(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            destinations: Vec::new(),
            routes: Vec::new(),
            links: BTreeMap::new(),
            templates: BTreeMap::new(),
            held: BTreeSet::new(),
            disabled: BTreeMap::new(),
            notify_in_batches: false,
            journal: Vec::new(),
        }
    }

    /// What its messages are written with.
    pub fn wording(&self) -> Wording {
        let (name, links, templates) =
            (self.name.clone(), self.links.clone(), self.templates.clone());
        Wording { name, links, templates }
    }
}

/// What of a tenant its messages are written with.
#[derive(Clone, Debug, PartialEq)]
pub struct Wording {
    /// For people.
    pub name: String,
    /// See [`TenantSpec::links`].
    pub links: BTreeMap<String, String>,
    /// See [`TenantSpec::templates`].
    pub templates: BTreeMap<String, String>,
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the trail: the newest comes first.
    pub id: String,
    /// When.
    pub at_ms: Ms,
    /// The key that did it, by its id; never the key itself.
    pub by: String,
    /// `create`, `update`, `delete`, `pause`, `replay`, ….
    pub action: String,
    /// `destinations/backoffice`, `routes`, ….
    pub resource: String,
    /// As it was, secrets masked; null when it was not there.
    pub before: Value,
    /// As it is, secrets masked; null when it is gone.
    pub after: Value,
    /// `done`; `begun` when it is not known whether it came to pass; `failed`.
    pub outcome: String,
}

/// One destination as written: `id`, `channel`, the common options and the channel's settings.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationSpec {
    /// 1 to 64 of `a-z 0-9 - _`.
    pub id: String,
    /// `webhook`, `email` or `slack`.
    pub channel: String,
    /// Everything else.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl fmt::Debug for DestinationSpec {
    // The fields hold secrets; which, the channel knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationSpec")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("fields", &self.fields.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Why and since when a destination is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// The failure's code.
    pub reason: String,
    /// What happened and what would mend it.
    pub message: String,
    /// Since when.
    pub at_ms: Ms,
}

/// One thing wrong with a tenant's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, when it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `destination "support"`, `route 3`, `tenant`.
    pub place: String,
    /// Dotted path within the place; may be empty.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at a place, not yet tied to a file.
    pub fn new(
        place: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { file: None, place: place.into(), field: field.into(), message: message.into() }
    }

    /// The same, in `file`.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        f.write_str(&self.place)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}
