//! Which lane of a tenant a delivery goes through: a destination, or one recipient of it.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Separates the destination's id from the recipient's suffix. Neither part can contain it.
const SEPARATOR: char = '~';

/// The id of a lane: the destination's id and, if the destination has several recipients, the
/// recipient's suffix.
///
/// Its text form is `backoffice` or `compliance~3fa9c1`. Stores, delivery ids and the API use that
/// form. This type is the only place that puts it together and takes it apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(Arc<str>);

impl LaneId {
    /// The lane of `recipient`, or the destination's only lane.
    pub fn new(destination: &str, recipient: Option<&str>) -> Self {
        match recipient {
            Some(recipient) => Self(format!("{destination}{SEPARATOR}{recipient}").into()),
            None => Self(destination.into()),
        }
    }

    /// The id of the destination, as the tenant wrote it.
    pub fn destination(&self) -> &str {
        self.0.split(SEPARATOR).next().unwrap_or(&self.0)
    }

    /// The recipient's suffix: a short hash of the address. `None` for a destination with one lane.
    pub fn recipient(&self) -> Option<&str> {
        self.0.split_once(SEPARATOR).map(|(_, recipient)| recipient)
    }

    /// Whether `other` is this lane, or one of the lanes of this destination.
    pub fn covers(&self, other: &str) -> bool {
        other
            .strip_prefix(&*self.0)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for LaneId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for LaneId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Equal, ordered and hashed as its text, so that maps by lane can be asked with a text.
impl Borrow<str> for LaneId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for LaneId {
    fn eq(&self, text: &str) -> bool {
        &*self.0 == text
    }
}

impl PartialEq<&str> for LaneId {
    fn eq(&self, text: &&str) -> bool {
        &*self.0 == *text
    }
}

impl From<&str> for LaneId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for LaneId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for LaneId {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_read_back_from_its_text() {
        let lane = LaneId::new("compliance", Some("3fa9c1"));
        assert_eq!(lane.as_str(), "compliance~3fa9c1");
        assert_eq!((lane.destination(), lane.recipient()), ("compliance", Some("3fa9c1")));
        let lane = LaneId::new("backoffice", None);
        assert_eq!((lane.destination(), lane.recipient()), ("backoffice", None));
        assert_eq!(LaneId::from("backoffice"), lane);
    }

    #[test]
    fn a_destination_covers_its_lanes_and_no_other_destination() {
        let mail = LaneId::from("mail");
        assert!(mail.covers("mail") && mail.covers("mail~ann"));
        assert!(!mail.covers("mail-2") && !mail.covers("mai"));
        let ann = LaneId::from("mail~ann");
        assert!(ann.covers("mail~ann") && !ann.covers("mail") && !ann.covers("mail~bob"));
    }
}
