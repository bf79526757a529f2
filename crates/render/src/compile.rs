//! One template, from its source to a message: partials expanded, MJML compiled, handlebars parsed
//! and rendered. Errors point to the file and line that the author wrote.

use std::sync::{Arc, LazyLock};

use fanfare_contract::{Part, RenderError};
use handlebars::{Context, Handlebars, RenderContext, Renderable, Template};

use super::error::TemplateError;
use super::escape;
use super::expand::{Expanded, expand};
use super::explain::{Explanation, explain};
use super::fold::fold;
use super::helpers;
use super::mjml;
use super::slack;
use super::sources::{File, Format, Layer, Name};
use super::syntax;

/// Most characters of a subject.
const SUBJECT: usize = 200;

/// The helpers and the escape of each format. Handlebars has one escape for each registry.
static REGISTRIES: LazyLock<[Handlebars<'static>; 3]> =
    LazyLock::new(|| [Format::Text, Format::Html, Format::Slack].map(helpers::registry));

fn registry(format: Format) -> &'static Handlebars<'static> {
    &REGISTRIES[format as usize]
}

/// A parsed template, and the way back to its source.
pub(super) struct Compiled {
    name: Name,
    template: Template,
    source: Expanded,
    /// For HTML: the text that handlebars parsed, and where its expressions come from.
    html: Option<mjml::Html>,
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
    let mut compiled = Compiled { name: name.clone(), template, source, html: None };
    if format == Format::Html {
        let html = mjml::compile(&compiled.source).map_err(|error| {
            let place = error.at.and_then(|at| compiled.source.place(at));
            compiled.fault(place, error.message)
        })?;
        compiled.html = Some(html);
    }
    compiled.template =
        Template::compile(compiled.text()).map_err(|error| compiled.unparsed(error.pos()))?;
    fold(&mut compiled.template, registry(format));
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

    /// Renders the template and brings the text into the form of its part.
    pub(super) fn render(&self, context: &Context) -> Result<String, RenderError> {
        let registry = registry(Format::of(self.name.part));
        let rendered = self
            .template
            .renders(registry, context, &mut RenderContext::new(None))
            .map_err(|error| self.unrendered(&error, context))?;
        match self.name.part {
            Part::Html => Ok(rendered),
            Part::Text => Ok(paragraphs(&rendered)),
            Part::Subject => {
                let subject = escape::one_line(&rendered);
                if subject.is_empty() {
                    let message =
                        "the subject is empty; add text that does not depend on the event";
                    return Err(self.fault(None, message.to_owned()).into());
                }
                Ok(escape::truncate(&subject, SUBJECT).into_owned())
            }
            Part::Slack => {
                slack::message(&rendered).map_err(|fault| self.not_a_message(fault).into())
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
    fn unrendered(&self, error: &handlebars::RenderError, context: &Context) -> RenderError {
        let (place, expression) = self.at(error.line_no.zip(error.column_no));
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
