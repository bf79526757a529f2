//! Templates: a delivery goes in, a subject, HTML, plain text or Slack blocks come out.
//!
//! Everything that can be done once is done once: partials are expanded, MJML becomes HTML,
//! handlebars is compiled to a list of steps. Sending costs these steps alone. The templates of a
//! tenant or of a folder are compiled and rendered on sample events when the engine is made, so that
//! a bad one is refused with its line and not found out by a customer.
//!
//! The rules that template authors need:
//!
//! - A field that the event does not have is an error, in conditions too. `(opt data.note)` says that
//!   it may be missing; every helper passes such an absent value on, and `(has …)` tests for it.
//!   JSON `null` counts as missing.
//! - Values are always escaped for where they stand. `{{{…}}}` is refused.
//! - `{{> name label="…" value=data.x}}` includes a partial; inside it `@label` and `@value` stand
//!   for what was given. It happens at load time, so it costs nothing and errors keep their line.
//! - Slack templates may leave commas after the last item, and break long strings over lines.

mod compile;
mod context;
mod digest;
mod engine;
mod error;
mod escape;
mod expand;
mod fold;
mod helpers;
mod links;
mod mjml;
mod program;
pub mod samples;
mod slack;
mod sources;
mod table;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Listed};
pub use error::TemplateError;
pub use links::Links;
pub use sources::{Origin, Sources, Tenant};
