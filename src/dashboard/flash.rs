//! What the next page says about the last action: a message, a secret that is shown once, and a way
//! to undo it.
//!
//! A form posts, the answer redirects, and the page that follows shows the message. It travels in a
//! sealed cookie that is valid for a minute, so a secret is neither in the address nor readable in
//! the browser's storage.

use serde::{Deserialize, Serialize};

/// Longest message, in bytes.
const TEXT_MAX: usize = 600;

/// A message about the last action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flash {
    pub(super) text: String,
    /// The action failed.
    #[serde(default)]
    pub(super) bad: bool,
    /// Secrets that are shown once, each with a label.
    #[serde(default)]
    pub(super) secrets: Vec<(String, String)>,
    /// A form that undoes the action.
    #[serde(default)]
    pub(super) undo: Option<Undo>,
}

/// A form that undoes an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undo {
    /// Its address.
    pub(super) to: String,
    /// Its fields.
    pub(super) fields: Vec<(String, String)>,
}

impl Flash {
    /// An action that failed.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), bad: true, ..Self::default() }
    }

    /// The message within its bound.
    pub(super) fn bounded(mut self) -> Self {
        let mut end = self.text.len().min(TEXT_MAX);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.truncate(end);
        self
    }

    /// Whether the message can go away by itself. A secret, a failure and a message that offers to
    /// undo something stay.
    pub(super) fn is_brief(&self) -> bool {
        !self.bad && self.secrets.is_empty()
    }
}

impl From<String> for Flash {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Flash {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
