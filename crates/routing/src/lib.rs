//! The routing table of one tenant: which destinations hear of an event, and why.
//!
//! A route ([`RouteSpec`]) is a list of event-type patterns, an optional filter and the ids of
//! destinations. All routes of a tenant are compiled into one immutable [`Table`], which answers
//! two questions: [`Table::matching`] (the hot path: destinations of an event) and
//! [`Table::explain`] (for people: every route, matched or why not).
//!
//! # Event types
//! Types are compared segment by segment, case-sensitively. `*` stands for exactly one segment,
//! `**` for one or more: `kyc.**` matches `kyc.a` and `kyc.a.b`, not `kyc`; `**` alone matches
//! every type. Patterns under `except` take types out again.
//!
//! # Filters
//! A filter is an Amazon EventBridge event pattern over the whole envelope; the meaning of every
//! operator is told in [`pattern`].
//!
//! # How a match is found
//! Exact types through a hash map, wildcard types through a trie over segments, so that routes of
//! other types cost nothing. Among the filtered routes of a type, an index finds those whose most
//! telling field agrees with the event; only these are evaluated. The event's JSON is parsed when
//! the first filtered route of its type needs it, not before.

mod error;
mod explain;
mod index;
pub mod pattern;
mod spec;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod types;

pub use error::RouteError;
pub use explain::Explanation;
pub use pattern::WhyNot;
pub use spec::RouteSpec;
pub use suggest::did_you_mean;
pub use table::Table;

impl RouteSpec {
    /// Whether it is about this type, whatever the filter says.
    pub fn names(&self, kind: &str) -> bool {
        let matches = |pattern: &String| type_matches(pattern, kind);
        self.events.iter().any(matches) && !self.except.iter().any(matches)
    }
}

/// Whether an event-type pattern, as it is written, matches a type; a wrong one matches none.
pub fn type_matches(pattern: &str, kind: &str) -> bool {
    types::TypePattern::parse(pattern).is_ok_and(|pattern| pattern.matches(kind))
}
