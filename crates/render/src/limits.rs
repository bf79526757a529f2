//! Every limit on templates, with its reason. `docs/templates.md` lists them for authors.
//!
//! Handlebars and mrml parse and render by recursion and have no limits of their own. What is
//! checked before they run keeps the stack small, and what is counted while they run keeps the time
//! and the memory small. No limit depends on the machine: a template that `check` accepts here is
//! accepted by every server.

/// Most levels of blocks (with each `else if` as one), of subexpressions, and of MJML elements.
pub(super) const DEPTH: usize = 64;
/// Most levels of partials inside partials.
pub(super) const PARTIALS: usize = 8;
/// Most pieces (texts, expressions, and uses of partials) of one owner's templates together, with
/// their partials in place.
pub(super) const PIECES: usize = 50_000;
/// Most bytes of one template with its partials in place.
pub(super) const EXPANDED_BYTES: usize = 512 * 1024;
/// Most bytes of one owner's templates together, with their partials in place. They stay in memory.
pub(super) const OWNER_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes that are read while the partials of one template are put in place. A partial that
/// shows nothing is read as often as it is used.
pub(super) const READ_BYTES: usize = 8 * 1024 * 1024;
/// Most MJML and HTML elements of one template.
pub(super) const ELEMENTS: usize = 10_000;
/// Most images of one `<mj-carousel>`. mrml writes a rule of CSS for each pair of them.
pub(super) const CAROUSEL_IMAGES: usize = 32;
/// Most bytes of `<mj-attributes>` times the number of elements, which each get a copy of them.
pub(super) const SHARED_ATTRIBUTES: usize = 16 * 1024 * 1024;
/// Most bytes of the HTML that MJML becomes, with the expressions that it contains.
pub(super) const HTML_BYTES: usize = 2 * 1024 * 1024;
/// Most expressions of a template times its bytes. Handlebars counts the lines before each
/// expression, so parsing takes a few nanoseconds for each.
pub(super) const PARSING: usize = 128 * 1024 * 1024;
/// Likewise, for one owner's templates together: at most a few seconds.
pub(super) const OWNER_PARSING: usize = 8 * PARSING;

/// What one rendering may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Steps: a step takes about 100 ns. See [`super::meter`].
    pub(super) steps: u64,
    /// Bytes of output.
    pub(super) bytes: usize,
}

/// For one part of one message: 1,000,000 steps, 50 to 200 ms, and 1 MiB of output.
pub(super) const RENDER: Budget = Budget { steps: 1_000_000, bytes: 1024 * 1024 };
/// For a part that is rendered in place, on a thread that also serves others: about 3 ms.
pub(super) const BRIEF: Budget = Budget { steps: 30_000, ..RENDER };
/// For a call that is rendered once, when its template is compiled.
pub(super) const FOLDED: Budget = Budget { steps: 10_000, bytes: 16 * 1024 };
/// Most steps for rendering one owner's templates on the samples when they are loaded.
pub(super) const CHECK_STEPS: u64 = 20_000_000;

/// Templates with more levels are not rendered in place, so that the stack of the thread does not
/// matter.
pub(super) const SHALLOW: usize = 16;
/// The stack of the threads that parse and render, in bytes. [`DEPTH`] levels of each kind take less
/// than a fourth of it, in a build without optimization too.
pub(super) const STACK: usize = 16 * 1024 * 1024;
