//! Routing: which destinations of a tenant receive an event, and why.
//!
//! A route ([`RouteSpec`]) has event-type patterns, an optional filter, and the ids of destinations.
//! All routes of a tenant are compiled into one immutable [`Table`]. It answers two questions:
//! [`Table::matching`] returns the destinations of an event, and [`Table::explain`] says for every
//! route whether it matches and why not.
//!
//! ```
//! use bytes::Bytes;
//! use fanfare_contract::Event;
//! use fanfare_routing::{RouteSpec, Table};
//!
//! let route: RouteSpec = toml::from_str(
//!     r#"
//!     events = ["kyc.session.*"]
//!     when = { data = { risk_score = [{ numeric = [">=", 70] }] } }
//!     to = ["support"]
//!     "#,
//! )
//! .unwrap();
//! let table = Table::compile(&[route], &["backoffice", "support"]).unwrap();
//!
//! let event = |score: u32| {
//!     let kind = "kyc.session.processed";
//!     let body = format!(r#"{{"type": "{kind}", "data": {{"risk_score": {score}}}}}"#);
//!     Event::new("acme".into(), "evt_1".into(), kind.into(), 0, 0, Bytes::from(body))
//! };
//! let mut destinations = Vec::new();
//! let _ = table.matching(&event(88), &mut destinations);
//! assert_eq!(destinations, [1]); // "support"
//!
//! let explained = table.explain(&event(12));
//! assert_eq!(
//!     explained[0].to_string(),
//!     "route 1: no, data.risk_score: expected a number >= 70, found 12"
//! );
//! ```
//!
//! # Event types
//!
//! A type is words joined by full stops. Patterns compare whole words, with case. `*` matches exactly
//! one word, and `**` matches one or more words: `kyc.**` matches `kyc.a` and `kyc.a.b`, but not
//! `kyc`. `**` alone matches every type. Patterns under `except` exclude types.
//!
//! # Filters
//!
//! A filter is an Amazon EventBridge event pattern on the whole envelope. [`pattern`] describes every
//! operator.
//!
//! # How a table finds its matches
//!
//! A hash map finds exact types, and a trie of words finds types with wildcards, so routes of other
//! types cost nothing. Among the filtered routes of a type, an index finds those with a field that
//! accepts a value of the event. Only these filters are evaluated. The event's JSON is parsed when the
//! first filtered route of its type needs it.
//!
//! # What it may cost
//!
//! The work for one event is counted in steps and bounded ([`pattern::MAX_STEPS`]). [`Tested`] says
//! whether it was enough.

mod error;
pub mod exact;
mod explain;
mod index;
pub mod pattern;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod type_index;
mod type_pattern;

pub use error::RouteError;
pub use explain::Explanation;
pub use fanfare_contract::did_you_mean;
pub use pattern::WhyNot;
pub use spec::RouteSpec;
pub use table::{Table, Tested};

impl RouteSpec {
    /// Whether the route selects this event type. The filter is not considered.
    pub fn names(&self, kind: &str) -> bool {
        let matches = |pattern: &String| type_matches(pattern, kind);
        self.events.iter().any(matches) && !self.except.iter().any(matches)
    }
}

/// Whether an event-type pattern matches a type. A pattern that cannot be parsed matches no type.
pub fn type_matches(pattern: &str, kind: &str) -> bool {
    type_pattern::TypePattern::parse(pattern).is_ok_and(|pattern| pattern.matches(kind))
}

/// A filter from a comma-separated list of event types and patterns. The error continues a sentence
/// that begins with the field.
pub fn type_filter(list: &str) -> Result<impl Fn(&str) -> bool + Send + Sync + 'static, String> {
    let patterns = list.split(',').map(|pattern| type_pattern::TypePattern::parse(pattern.trim()));
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    Ok(move |kind: &str| patterns.iter().any(|pattern| pattern.matches(kind)))
}
