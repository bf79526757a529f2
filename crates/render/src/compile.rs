//! One template, from its source to a message: partials expanded, MJML compiled, handlebars parsed
//! and rendered. Errors point to the file and line that the author wrote.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use fanfare_contract::{Part, RenderError};
use handlebars::{Context, RenderContext, Renderable, Template};

use super::error::TemplateError;
use super::escape;
use super::expand::{Expanded, expand, expressions};
use super::explain::{Explanation, explain};
use super::fold::fold;
use super::helpers::Registry;
use super::instrument::instrument;
use super::limits::{Budget, OWNER_BYTES, OWNER_PARSING, PARSING, PIECES, RENDER};
use super::meter::{Bounded, Over, Used, metered};
use super::mjml;
use super::nesting;
use super::slack;
use super::sources::{File, Format, Layer, Name};
use super::syntax;

/// Most characters of a subject.
const SUBJECT: usize = 200;

/// The helpers and the escape of each format. Handlebars has one escape for each registry.
static REGISTRIES: LazyLock<[Registry; 3]> =
    LazyLock::new(|| [Format::Text, Format::Html, Format::Slack].map(Registry::new));

fn registry(format: Format) -> &'static Registry {
    &REGISTRIES[format as usize]
}

/// A parsed template, and the way back to its source.
pub(super) struct Compiled {
    name: Name,
    template: Template,
    source: Expanded,
    /// For HTML: the text that handlebars parsed, and where its expressions come from.
    html: Option<mjml::Html>,
    /// The most levels of blocks or of parentheses.
    depth: usize,
}

/// What templates take of the limits for one owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) pieces: usize,
    pub(super) bytes: usize,
    pub(super) parsing: usize,
}

impl Size {
    /// What is too much for one owner, if something is.
    pub(super) fn too_much(&self) -> Option<String> {
        if self.pieces > PIECES {
            Some(format!("more than {PIECES} pieces"))
        } else if self.bytes > OWNER_BYTES {
            Some(format!("more than {OWNER_BYTES} bytes"))
        } else if self.parsing > OWNER_PARSING {
            Some("too many expressions for their length".to_owned())
        } else {
            None
        }
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.pieces += other.pieces;
        self.bytes += other.bytes;
        self.parsing = self.parsing.saturating_add(other.parsing);
    }
}

/// Compiles `file`. A partial comes from the first of the `layers` that has it.
pub(super) fn compile(
    layers: &[Arc<Layer>],
    name: &Name,
    file: &File,
) -> Result<Compiled, TemplateError> {
    let source = expanded(layers, name, file)?;
    let format = Format::of(name.part);
    let template = Template::default();
    let mut compiled = Compiled { name: name.clone(), template, source, html: None, depth: 0 };
    let depth = nesting::blocks(&compiled.source.text, &compiled.source.expressions);
    compiled.depth =
        depth.map_err(|found| compiled.fault(compiled.source.place(found.at), found.message))?;
    if format == Format::Html {
        let html = mjml::compile(&compiled.source, registry(format)).map_err(|error| {
            let place = error.at.and_then(|at| compiled.source.place(at));
            compiled.fault(place, error.message)
        })?;
        compiled.depth = compiled.depth_of_html(&html)?;
        compiled.html = Some(html);
    }
    if compiled.parsing() > PARSING {
        let message = "the template has too many expressions for its length, with its partials and \
                       the HTML of its MJML; use fewer expressions or shorter text";
        return Err(compiled.fault(None, message.to_owned()));
    }
    let registry = registry(format);
    let mut template =
        Template::compile(compiled.text()).map_err(|error| compiled.unparsed(error.pos()))?;
    fold(&mut template, registry.handlebars());
    let mapping = template.mapping.clone();
    instrument(&mut template, registry).map_err(|at| {
        let (place, _) = compiled.at(mapping.get(at).map(|mapping| (mapping.0, mapping.1)));
        let message = "decorators, partials with `>` and unescaped output cannot be used here";
        compiled.fault(place, message.to_owned())
    })?;
    compiled.template = template;
    Ok(compiled)
}

/// The source of `file` with its partials in place.
pub(super) fn expanded(
    layers: &[Arc<Layer>],
    name: &Name,
    file: &File,
) -> Result<Expanded, TemplateError> {
    let format = Format::of(name.part);
    let find = |partial: &str| {
        let found = layers.iter().find_map(|layer| layer.partial(format, partial));
        found.ok_or_else(|| format.partial(partial))
    };
    expand(&file.path, &file.source, &find).map_err(|fault| {
        let template = if fault.file == file.path { name.display() } else { fault.file };
        TemplateError::new(template, fault.message).at(fault.line)
    })
}

impl Compiled {
    /// The text that handlebars parses.
    fn text(&self) -> &str {
        self.html.as_ref().map_or(&self.source.text, |html| &html.text)
    }

    /// How much of the limits for one owner it takes.
    pub(super) fn size(&self) -> Size {
        let html = self.html.as_ref().map_or(0, |html| html.text.len());
        let bytes = self.source.text.len() + html;
        Size { pieces: self.source.pieces, bytes, parsing: self.parsing() }
    }

    /// What parsing takes: the number of expressions times the length of the text.
    fn parsing(&self) -> usize {
        let expressions = match &self.html {
            Some(html) => html.origins.len(),
            None => self.source.expressions.len(),
        };
        expressions.saturating_mul(self.text().len())
    }

    /// The most levels of blocks or of parentheses.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Checks that handlebars sees the same expressions in the HTML as in the source, and returns
    /// their most levels.
    fn depth_of_html(&self, html: &mjml::Html) -> Result<usize, TemplateError> {
        let fault = |at: usize, message: String| {
            let index = html.origins.partition_point(|&(html_at, _)| html_at <= at);
            let origin = index.checked_sub(1).and_then(|index| html.origins.get(index));
            self.fault(origin.and_then(|&(_, source_at)| self.source.place(source_at)), message)
        };
        let ranges: Vec<Range<usize>> = expressions(&html.text).unwrap_or_default();
        let found = ranges.iter().map(|range| range.start);
        if !found.eq(html.origins.iter().map(|&(at, _)| at)) {
            let message = "braces in the MJML join to an expression; put a space between them";
            return Err(fault(0, message.to_owned()));
        }
        let depth = nesting::blocks(&html.text, &ranges);
        depth.map_err(|found| fault(found.at, found.message))
    }

    /// Renders the template within the budget and brings the text into the form of its part.
    pub(super) fn render(
        &self,
        context: &Context,
        budget: Budget,
    ) -> (Result<String, RenderError>, Used) {
        let registry = registry(Format::of(self.name.part)).handlebars();
        let mut out = Bounded::new(budget.bytes);
        let mut rc = RenderContext::new(None);
        let (rendered, used) =
            metered(budget, || self.template.render(registry, context, &mut rc, &mut out));
        let result = rendered
            .map_err(|error| self.unrendered(&error, context, used.over))
            .and_then(|()| self.finished(&out.into_string()));
        (result, used)
    }

    /// The rendered text in the form of its part.
    fn finished(&self, rendered: &str) -> Result<String, RenderError> {
        match self.name.part {
            Part::Html => Ok(rendered.to_owned()),
            Part::Text => Ok(paragraphs(rendered)),
            Part::Subject => {
                let subject = escape::one_line(rendered);
                if subject.is_empty() {
                    let message =
                        "the subject is empty; add text that does not depend on the event";
                    return Err(self.fault(None, message.to_owned()).into());
                }
                Ok(escape::truncate(&subject, SUBJECT).into_owned())
            }
            Part::Slack => {
                slack::message(rendered).map_err(|fault| self.not_a_message(fault).into())
            }
        }
    }

    /// A mistake that keeps handlebars from parsing the template.
    fn unparsed(&self, position: Option<(usize, usize)>) -> TemplateError {
        if let Some((at, message)) = syntax::first_mistake(&self.source) {
            return self.fault(self.source.place(at), message);
        }
        let (place, expression) = self.at(position);
        let message = match expression {
            Some(expression) => {
                format!("`{expression}` cannot be parsed; check its names, quotes, and parentheses")
            }
            None => "the template cannot be parsed; check its `{{…}}` expressions".to_owned(),
        };
        self.fault(place, message)
    }

    /// An error of handlebars while it renders.
    fn unrendered(
        &self,
        error: &handlebars::RenderError,
        context: &Context,
        over: Option<Over>,
    ) -> RenderError {
        let (place, expression) = self.at(error.line_no.zip(error.column_no));
        if let Some(over) = over {
            let message = match over {
                Over::Steps => format!(
                    "the template takes more than {} steps with this event; use fewer loops inside \
                     of loops, or loop over `(entries … limit=…)`",
                    RENDER.steps
                ),
                Over::Output => {
                    format!("the output has more than {} bytes; show less", RENDER.bytes)
                }
            };
            return self.fault(place, message).into();
        }
        let expression = expression.unwrap_or_default();
        let Explanation { field, message } = explain(error.reason(), expression, context.data());
        RenderError { field, ..self.fault(place, message).into() }
    }

    fn not_a_message(&self, fault: slack::NotAMessage) -> TemplateError {
        let place = fault.near.as_deref().and_then(|near| self.find_line(near));
        let near = fault
            .near
            .filter(|_| place.is_none())
            .map_or_else(String::new, |near| format!(", near `{}`", escape::truncate(&near, 80)));
        self.fault(place, fault.message + &near)
    }

    /// The line of the source that is `line`, if there is exactly one.
    fn find_line(&self, line: &str) -> Option<(&str, usize)> {
        let mut at = 0;
        let mut found = None;
        for candidate in self.source.text.split_inclusive('\n') {
            if candidate.trim() == line && found.replace(at).is_some() {
                return None;
            }
            at += candidate.len();
        }
        found.and_then(|at| self.source.place(at))
    }

    /// A mistake in the template's own file, or in a partial that it uses.
    fn fault(&self, place: Option<(&str, usize)>, message: String) -> TemplateError {
        let name = self.name.display();
        match place {
            None => TemplateError::new(name, message),
            Some((file, line)) if self.source.place(0).is_some_and(|(own, _)| own == file) => {
                TemplateError::new(name, message).at(line)
            }
            Some((file, line)) => {
                TemplateError::new(file, format!("{message} (used by {name})")).at(line)
            }
        }
    }

    /// The file and line of a position in the text that handlebars parsed, and the expression there.
    fn at(&self, position: Option<(usize, usize)>) -> (Option<(&str, usize)>, Option<&str>) {
        let byte = position.and_then(|(line, column)| self.source_byte(line, column));
        let Some(at) = byte else { return (None, None) };
        let ranges = &self.source.expressions;
        let index = ranges.partition_point(|range| range.end <= at);
        let expression = ranges.get(index).map(|range| &self.source.text[range.clone()]);
        (self.source.place(at), expression)
    }

    fn source_byte(&self, line: usize, column: usize) -> Option<usize> {
        let at = byte_of(self.text(), line, column)?;
        let Some(html) = &self.html else {
            return Some(at);
        };
        // The expression that begins here, or the one before.
        let index = html.origins.partition_point(|&(html_at, _)| html_at <= at);
        html.origins.get(index.checked_sub(1)?).map(|&(_, source_at)| source_at)
    }
}

/// The byte at a 1-based line and column, which counts characters.
fn byte_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let rest = text.get(start..)?;
    let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

/// The text without white space at line ends, and with at most one empty line in a row.
fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
