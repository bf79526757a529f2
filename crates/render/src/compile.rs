//! One template, from its source to something that renders: partials expanded, MJML compiled,
//! handlebars parsed; and errors brought back to the file and line that somebody wrote.

use std::sync::{Arc, LazyLock};

use fanfare_contract::{Part, RenderError};
use handlebars::{Context, Handlebars, RenderContext, RenderErrorReason, Renderable, Template};
use serde_json::Value;

use super::error::TemplateError;
use super::escape;
use super::expand::{Expanded, expand};
use super::fold::fold;
use super::helpers;
use super::mjml;
use super::program::Program;
use super::slack;
use super::sources::{File, Format, Layer, Name};

/// Longest subject, in characters.
const SUBJECT: usize = 200;

/// Helpers and escape of each format: one registry each, because handlebars escapes by registry.
pub(super) static REGISTRIES: LazyLock<[Handlebars<'static>; 3]> =
    LazyLock::new(|| [Format::Text, Format::Html, Format::Slack].map(helpers::registry));

/// A template that is ready, and the way back to its source.
pub(super) struct Compiled {
    name: Name,
    template: Template,
    /// The same as steps, where all of it can be said in them.
    program: Option<Program>,
    source: Expanded,
    /// For HTML: what handlebars sees, and where its expressions come from.
    html: Option<mjml::Html>,
}

/// Compiles `file`; partials come from the first of the `layers` that has them.
pub(super) fn compile(
    layers: &[Arc<Layer>],
    name: &Name,
    file: &File,
) -> Result<Compiled, TemplateError> {
    let source = expanded(layers, name, file)?;
    let format = Format::of(name.part);
    let template = Template::default();
    let mut compiled = Compiled { name: name.clone(), template, program: None, source, html: None };
    if format == Format::Html {
        let html = mjml::compile(&compiled.source).map_err(|error| {
            let place = error.at.and_then(|at| compiled.source.place(at));
            compiled.fault(place, error.message)
        })?;
        compiled.html = Some(html);
    }
    compiled.template = Template::compile(compiled.text()).map_err(|error| {
        let place = error.pos().and_then(|(line, column)| compiled.place(line, column));
        compiled.fault(place, format!("handlebars: {}", error.reason()))
    })?;
    fold(&mut compiled.template, &REGISTRIES[format as usize]);
    compiled.program = Program::compile(&compiled.template, format);
    Ok(compiled)
}

/// The source with its partials in place.
pub(super) fn expanded(
    layers: &[Arc<Layer>],
    name: &Name,
    file: &File,
) -> Result<Expanded, TemplateError> {
    let format = Format::of(name.part);
    let find = |partial: &str| layers.iter().find_map(|layer| layer.partial(format, partial));
    expand(&file.path, &file.source, &find).map_err(|fault| {
        let template = if fault.file == file.path { name.display() } else { fault.file };
        TemplateError::new(template, fault.message).at(fault.line)
    })
}

impl Compiled {
    /// The text that handlebars sees.
    fn text(&self) -> &str {
        self.html.as_ref().map_or(&self.source.text, |html| &html.text)
    }

    /// Renders, and brings what came out into the form that the part has.
    pub(super) fn render(&self, context: &Context) -> Result<String, RenderError> {
        let rendered = match self.quickly(context) {
            Some(rendered) => rendered,
            None => {
                self.by_handlebars(context).map_err(|error| self.explain(&error, context.data()))?
            }
        };
        match self.name.part {
            Part::Html => Ok(rendered),
            Part::Text => Ok(paragraphs(&rendered)),
            Part::Subject => {
                let subject = escape::one_line(&rendered);
                if subject.is_empty() {
                    return Err(self.error(None, None, "the subject is empty".to_owned()));
                }
                Ok(escape::truncate(&subject, SUBJECT).into_owned())
            }
            Part::Slack => slack::message(&rendered).map_err(|fault| {
                let place = fault.near.as_deref().and_then(|near| self.find_line(near));
                let near =
                    fault.near.filter(|_| place.is_none()).map_or_else(String::new, |near| {
                        format!(", near `{}`", escape::truncate(&near, 80))
                    });
                self.error(place, None, fault.message + &near)
            }),
        }
    }

    /// The text, if it can be had without handlebars.
    pub(super) fn quickly(&self, context: &Context) -> Option<String> {
        self.program.as_ref()?.run(context.data())
    }

    /// The text as handlebars makes it, or what it has against it.
    pub(super) fn by_handlebars(
        &self,
        context: &Context,
    ) -> Result<String, handlebars::RenderError> {
        let registry = &REGISTRIES[Format::of(self.name.part) as usize];
        self.template.renders(registry, context, &mut RenderContext::new(None))
    }

    /// The one line of the source that is `line`, when there is exactly one.
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

    /// What handlebars says, in the words of somebody who wrote the template.
    fn explain(&self, error: &handlebars::RenderError, context: &Value) -> RenderError {
        let position = error.line_no.zip(error.column_no);
        let place = position.and_then(|(line, column)| self.place(line, column));
        let expression =
            position.and_then(|(line, column)| self.expression(line, column)).unwrap_or_default();
        let absent = || absent_field(expression, context);
        let (field, message) = match error.reason() {
            RenderErrorReason::MissingVariable(path) => {
                let field = path.clone().filter(|path| !path.is_empty()).or_else(absent);
                let message = missing(field.as_deref(), expression);
                (field, message)
            }
            RenderErrorReason::InvalidJsonIndex(key) => {
                let field = absent().unwrap_or_else(|| key.clone());
                let message = format!("there is a list where an object with `{key}` is expected");
                (Some(field), message)
            }
            RenderErrorReason::ParamNotFoundForIndex(..)
            | RenderErrorReason::ParamNotFoundForName(..) => {
                let field = absent();
                let message = match field {
                    Some(_) => missing(field.as_deref(), expression),
                    None => format!("{} in {expression}", error.reason()),
                };
                (field, message)
            }
            RenderErrorReason::Other(message) => {
                (first_path(expression).map(str::to_owned), message.clone())
            }
            reason => (None, format!("{reason} in {expression}")),
        };
        self.error(place, field, message)
    }

    fn error(
        &self,
        place: Option<(&str, usize)>,
        field: Option<String>,
        message: String,
    ) -> RenderError {
        let fault = self.fault(place, message);
        let TemplateError { template, line, message, .. } = fault;
        RenderError { template, line, field, message }
    }

    /// A fault in the template's own file, or in a partial of it.
    fn fault(&self, place: Option<(&str, usize)>, message: String) -> TemplateError {
        let shown = self.name.display();
        match place {
            None => TemplateError::new(shown, message),
            Some((file, line)) if self.source.place(0).is_some_and(|(own, _)| own == file) => {
                TemplateError::new(shown, message).at(line)
            }
            Some((file, line)) => {
                TemplateError::new(file, format!("{message} (used by {shown})")).at(line)
            }
        }
    }

    /// The file and line of a position in the text that handlebars sees.
    fn place(&self, line: usize, column: usize) -> Option<(&str, usize)> {
        self.source.place(self.source_byte(line, column)?)
    }

    /// The expression at such a position.
    fn expression(&self, line: usize, column: usize) -> Option<&str> {
        let at = self.source_byte(line, column)?;
        let ranges = &self.source.expressions;
        let index = ranges.partition_point(|range| range.end <= at);
        Some(&self.source.text[ranges.get(index)?.clone()])
    }

    fn source_byte(&self, line: usize, column: usize) -> Option<usize> {
        let at = byte_of(self.text(), line, column)?;
        let Some(html) = &self.html else {
            return Some(at);
        };
        // The expression that begins here, or else the one before.
        let index = html.origins.partition_point(|&(html_at, _)| html_at <= at);
        html.origins.get(index.checked_sub(1)?).map(|&(_, source_at)| source_at)
    }
}

/// Byte of a 1-based line and column (in characters).
fn byte_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let rest = text.get(start..)?;
    let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

fn missing(field: Option<&str>, expression: &str) -> String {
    match field {
        Some(field) => format!(
            "`{field}` is missing in the event; if it may be, write `(opt {field})` \
             (and `(has (opt {field}))` in a condition)"
        ),
        None => format!("a field is missing in {expression}"),
    }
}

/// The roots of the context, with which a path begins.
const ROOTS: [&str; 7] = ["event", "data", "tenant", "title", "delivery", "links", "digest"];

fn paths(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '@')))
        .map(|word| word.trim_start_matches("@root."))
        .filter(|word| ROOTS.contains(&word.split('.').next().unwrap_or_default()))
}

fn first_path(expression: &str) -> Option<&str> {
    paths(expression).next()
}

/// The first path in the expression that leads nowhere.
fn absent_field(expression: &str, context: &Value) -> Option<String> {
    let leads = |path: &str| {
        let mut value = context;
        for key in path.split('.').map(|key| key.trim_matches(['[', ']'])) {
            let next = match value {
                Value::Array(items) => key.parse::<usize>().ok().and_then(|at| items.get(at)),
                other => other.get(key),
            };
            let Some(next) = next else { return false };
            value = next;
        }
        true
    };
    paths(expression).find(|path| !leads(path)).map(str::to_owned)
}

/// Without white space at line ends, and no more than one empty line in a row.
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
