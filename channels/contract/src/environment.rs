//! Live or test: two worlds of one tenant that share its settings and nothing else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of a tenant's two worlds something belongs to. An event of one never reaches a destination
/// of the other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// What customers see.
    #[default]
    Live,
    /// For trying things out.
    Test,
}

impl Environment {
    /// The word for settings, keys and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Whether it is the usual one.
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Environment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err("must be `live` or `test`".to_owned()),
        }
    }
}
