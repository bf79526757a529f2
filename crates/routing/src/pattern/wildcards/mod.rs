//! Text with `*`: one pattern, and all patterns of one field at once.
//!
//! A tenant's filters can have thousands of wildcards for one field. Testing them one by one would
//! read the event's text thousands of times. A [`WildcardSet`] reads it once: an Aho-Corasick
//! automaton finds the pieces between the stars, and every wildcard advances from one piece to the
//! next.

mod automaton;
mod one;
mod registry;
mod set;
#[cfg(test)]
mod tests;

pub(super) use one::Wildcard;
pub(super) use registry::{Registry, Slot};
pub(super) use set::Scan;
pub(crate) use set::WildcardSet;
