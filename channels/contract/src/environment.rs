//! Live and test: the two environments of a tenant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of a tenant's two environments. An event of one environment never reaches a destination of
/// the other.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Production.
    #[default]
    Live,
    /// For trying things out, without effect on production.
    Test,
}

impl Environment {
    /// The environment's name in settings, keys and tables: `live` or `test`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Whether this is the live environment, which is the default.
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
