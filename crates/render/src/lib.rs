//! Templates: a delivery goes in, and a subject, HTML, plain text, or a Slack message comes out.
//!
//! The templates in `templates/` are part of the binary. A server's folder and a tenant's own
//! templates replace them part by part. [`Engine::load`] compiles the replacements and renders them
//! on sample events, so an author sees a mistake before any event is sent with it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use fanfare_contract::Part;
//! use fanfare_render::{Engine, samples};
//!
//! let path = "email/kyc.session.created/subject.txt.hbs".to_owned();
//! let own = BTreeMap::from([(path, "New session: {{short data.session_id}}".to_owned())]);
//! let engine = Engine::with_overrides(BTreeMap::from([("acme".to_owned(), own)])).unwrap();
//!
//! let event = samples::sample("kyc.session.created").unwrap();
//! let parts = engine.render(&samples::delivery(Arc::new(event)), &[Part::Subject]).unwrap();
//! assert_eq!(parts, ["New session: 7f6c2a54"]);
//! ```
//!
//! # From a source to a message
//!
//! Loading does the work that is the same for every message:
//!
//! 1. `sources` reads the files and says which template and part each one is.
//! 2. `expand` puts partials and their parameters in place, as text.
//! 3. `mjml` turns MJML into HTML and leaves the handlebars expressions where they are. `css` finds
//!    those that are in CSS.
//! 4. `compile` parses the result with handlebars, and `fold` renders the calls that no event can
//!    change.
//! 5. `instrument` makes the parsed template count its steps.
//!
//! Sending builds the `context` of the delivery and renders the parsed template on it. `helpers`
//! has the functions that templates call, `escape` the escapes for each format, and `slack` the
//! conversion to strict JSON. `syntax` and `explain` put errors into words.
//!
//! # Bounds
//!
//! `limits` has every limit. `nesting` checks depths before anything recursive runs. `meter` counts
//! a rendering's steps and ends it at its budget. [`Engine::load`] compiles on a thread with a large
//! stack. [`Engine::render_in_place`] renders what is quick on the caller's thread, and [`Pool`] has
//! threads for the rest.
//!
//! # Rules for template authors
//!
//! - A field that the event does not have is an error, in conditions too. JSON `null` counts as
//!   missing. `(opt data.note)` makes a field optional, helpers pass a missing optional value on,
//!   and `(has (opt data.note))` tests for it.
//! - Values are always escaped for the place where they appear. `{{{…}}}` is refused.
//! - `{{> name label="…" value=data.x}}` includes a partial. Inside the partial, `@label` and
//!   `@value` are the parameters.
//! - A Slack template may have a comma after the last item and strings that span several lines.
//!
//! `templates/README.md` is the guide for authors.

mod compile;
mod context;
mod css;
mod digest;
mod engine;
mod error;
mod escape;
mod expand;
mod explain;
mod fold;
mod helpers;
mod instrument;
mod limits;
mod links;
mod meter;
mod mjml;
mod nesting;
mod pool;
pub mod samples;
mod set;
mod slack;
mod sources;
mod syntax;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Listed};
pub use error::TemplateError;
pub use links::Links;
pub use pool::{NotRun, Pool};
pub use sources::{Origin, Sources, Tenant};
