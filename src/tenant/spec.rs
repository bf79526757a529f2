//! A tenant's document as it is stored: destinations, routes, templates, and what is disabled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::quota::Overrides;
use crate::toml_source::Position;
use fanfare_contract::{Environment, LaneId};
use fanfare_routing::RouteSpec;
use fanfare_store::Ms;

/// One tenant's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantSpec {
    /// 1 to 64 characters of a-z, 0-9, - and _.
    pub id: String,
    /// The tenant's name, for people.
    pub name: String,
    /// Where events can be sent.
    pub destinations: Vec<DestinationSpec>,
    /// Which events go to which destinations.
    pub routes: Vec<RouteSpec>,
    /// URLs in the tenant's own systems, for buttons: name → URL with `{data.field}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// The tenant's own templates by path, such as `email/kyc.session.created/subject.txt.hbs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, String>,
    /// The quotas that an operator set for this tenant. `None` in a document from outside that does
    /// not mention them: the stored ones stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Overrides>,
    /// Destinations that a person paused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<String>,
    /// Destinations, or single lanes of them, that receive nothing until they are enabled again, by
    /// id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disabled: BTreeMap<LaneId, Disabled>,
    /// When destinations were last changed or repaired, by id. A new time lifts what holds them
    /// back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<String, Ms>,
    /// Whether emails of the notification channels are digests. Kept even while there are no
    /// emails.
    #[serde(default, skip_serializing_if = "is_false")]
    pub notify_in_batches: bool,
    /// The last change's audit entry, on its way to the audit trail. It is written together with
    /// the change, so that neither exists without the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<AuditEntry>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TenantSpec {
    /// A new tenant.
    pub fn empty(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            destinations: Vec::new(),
            routes: Vec::new(),
            links: BTreeMap::new(),
            templates: BTreeMap::new(),
            quotas: None,
            held: BTreeSet::new(),
            disabled: BTreeMap::new(),
            repaired: BTreeMap::new(),
            notify_in_batches: false,
            journal: Vec::new(),
        }
    }

    /// What its messages are rendered with.
    pub fn wording(&self) -> Wording {
        let (name, links, templates) =
            (self.name.clone(), self.links.clone(), self.templates.clone());
        Wording { name, links, templates }
    }
}

/// The parts of a document that messages are rendered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Wording {
    /// The tenant's name, for people.
    pub name: String,
    /// See [`TenantSpec::links`].
    pub links: BTreeMap<String, String>,
    /// See [`TenantSpec::templates`].
    pub templates: BTreeMap<String, String>,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The entry's id. Ids descend with time.
    pub id: String,
    /// When the change was made.
    pub at_ms: Ms,
    /// The id of the key that made the change, never the key itself.
    pub by: String,
    /// The environment of that key.
    #[serde(default, skip_serializing_if = "Environment::is_live")]
    pub environment: Environment,
    /// `create`, `update`, `delete`, `pause`, `replay`, ….
    pub action: String,
    /// `destinations/backoffice`, `routes`, ….
    pub resource: String,
    /// The resource before the change, with secrets masked. Null if it did not exist.
    pub before: Value,
    /// The resource after the change, with secrets masked. Null if it was deleted.
    pub after: Value,
    /// `done`, `failed`, or `begun` if the outcome is unknown.
    pub outcome: String,
}

/// One destination: `id`, `channel`, the common options and the channel's settings.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DestinationSpec {
    /// 1 to 64 characters of a-z, 0-9, - and _.
    pub id: String,
    /// `webhook`, `email`, `slack` or `poll`.
    pub channel: String,
    /// All other fields.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl fmt::Debug for DestinationSpec {
    // Some fields are secrets, and only the channel knows which.
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
    /// What happened and how to fix it.
    pub message: String,
    /// Since when.
    pub at_ms: Ms,
}

/// One problem of a tenant's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file that the document came from, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the file, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
    /// `destination "support"`, `route 3`, `tenant`; empty for the file as a whole.
    pub place: String,
    /// Dotted path within the place. May be empty.
    pub field: String,
    /// What is wrong and how to fix it. It continues a sentence that begins with the field.
    pub message: String,
}

impl Problem {
    /// A problem at a place, without a file.
    pub fn new(
        place: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: None,
            at: None,
            place: place.into(),
            field: field.into(),
            message: message.into(),
        }
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
            write!(f, "{file}:")?;
            if let Some(at) = self.at {
                write!(f, "{at}:")?;
            }
            f.write_str(" ")?;
        }
        match (&*self.place, &*self.field) {
            ("", _) => {}
            (place, "") => write!(f, "{place}: ")?,
            (place, field) => write!(f, "{place}, {}: ", with_brackets(field))?,
        }
        f.write_str(&self.message)
    }
}

/// A path with positions in brackets: `to[0]` for `to.0`.
fn with_brackets(path: &str) -> String {
    let mut shown = String::with_capacity(path.len() + 2);
    for (nth, word) in path.split('.').enumerate() {
        let is_index = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match (nth, is_index) {
            (0, _) => shown.push_str(word),
            (_, true) => shown.extend(["[", word, "]"]),
            (_, false) => shown.extend([".", word]),
        }
    }
    shown
}
