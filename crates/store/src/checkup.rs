//! What an operator wants to know of a store before relying on it: each thing that was checked, and
//! what was found.

use std::fmt;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, in one or two words.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found and, if something is wrong, what to do.
    pub found: String,
}

/// How a checked thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but a promise is weaker than it could be.
    Warning,
    /// Something does not work, or data is in danger.
    Problem,
}

impl Verdict {
    /// The word for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Check {
    /// As it should be.
    pub fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, found: found.into() }
    }

    /// It works, but something could be better.
    pub fn warning(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into() }
    }

    /// Something is wrong.
    pub fn problem(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Problem, found: found.into() }
    }
}
