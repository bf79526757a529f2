//! MJML to HTML, once for each template, with the handlebars expressions left in place.
//!
//! mrml does not see the expressions. Each is replaced by a word that mrml copies unchanged, in text
//! and in attributes, and the word is replaced by the expression in the HTML. This also shows which
//! line of which file an expression in the HTML comes from.

use std::collections::HashMap;
use std::fmt::Write as _;

use mrml::prelude::parser::Error;
use mrml::prelude::render::RenderOptions;

use super::css::{Place, places};
use super::expand::{Expanded, is_comment};
use super::helpers::{CSS_STRING, CSS_VALUE, Registry};
use super::limits::HTML_BYTES;
use super::nesting;

/// HTML with handlebars expressions. `origins` has the first byte of each expression, and the byte of
/// the expanded MJML that it comes from.
#[derive(Debug)]
pub(super) struct Html {
    pub(super) text: String,
    pub(super) origins: Vec<(usize, usize)>,
}

/// What is wrong with the MJML, and at which byte of the expanded text.
#[derive(Debug)]
pub(super) struct MjmlError {
    pub(super) at: Option<usize>,
    pub(super) message: String,
}

const OPEN: &str = "FanfareExpression";
const CLOSE: char = 'Z';

/// Compiles MJML to HTML that loads nothing from elsewhere, not even fonts.
pub(super) fn compile(source: &Expanded, registry: &Registry) -> Result<Html, MjmlError> {
    let (hidden, starts) = hide(source);
    // Back from a byte of the hidden text to one of the expanded text.
    let back = |at: usize| {
        let index = starts.partition_point(|&(hidden_at, _)| hidden_at <= at).checked_sub(1)?;
        let (hidden_at, source_at) = starts[index];
        Some(source_at + (at - hidden_at).min(source.text.len().saturating_sub(source_at)))
    };
    nesting::elements(&hidden).map_err(|found| MjmlError {
        at: back(found.at),
        message: format!("MJML: {}", found.message),
    })?;
    let parsed = mrml::parse(&hidden).map_err(|error| MjmlError {
        at: position(&error, &hidden).and_then(back),
        message: explain(&error, &hidden),
    })?;
    if let Some(warning) = parsed.warnings.first() {
        let message = format!("MJML: {}; remove it, or check its name", warning.kind);
        return Err(MjmlError { at: back(warning.span.start), message });
    }
    let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
    let html = parsed
        .element
        .render(&options)
        .map_err(|error| MjmlError { at: None, message: format!("MJML: {error}") })?;
    let revealed = reveal(&in_lines(html), source, registry)?;
    if revealed.text.len() > HTML_BYTES {
        let message =
            format!("MJML: the HTML has more than {HTML_BYTES} bytes; use fewer elements");
        return Err(MjmlError { at: None, message });
    }
    Ok(revealed)
}

/// The next tag after this many bytes starts a new line.
const LINE: usize = 120;

/// HTML in short lines, so mail can carry it without an encoding. Each line break replaces the space
/// between a tag's name and its first attribute, where it changes nothing.
fn in_lines(html: String) -> String {
    let mut bytes = html.into_bytes();
    let (mut line, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'\n' {
            line = at + 1;
        }
        if bytes[at] == b'<' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
            at += 1 + bytes[at + 1..].iter().take_while(|byte| name(byte)).count();
            let attribute = bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic);
            if at - line > LINE && bytes.get(at) == Some(&b' ') && attribute {
                bytes[at] = b'\n';
            }
        } else {
            at += 1;
        }
    }
    String::from_utf8(bytes).expect("only spaces were replaced by line breaks")
}

/// The text with every expression replaced by a word, and for each stretch its first byte in the new
/// text and in the old one.
fn hide(source: &Expanded) -> (String, Vec<(usize, usize)>) {
    let mut hidden = String::with_capacity(source.text.len());
    let mut starts = Vec::with_capacity(source.expressions.len() * 2);
    let mut at = 0;
    for (number, range) in source.expressions.iter().enumerate() {
        starts.push((hidden.len(), at));
        hidden.push_str(&source.text[at..range.start]);
        starts.push((hidden.len(), range.start));
        // A comment is dropped, because it may be where MJML allows no word.
        if !is_comment(&source.text[range.clone()]) {
            // Writing to a string cannot fail.
            let _ = write!(hidden, "{OPEN}{number}{CLOSE}");
        }
        at = range.end;
    }
    starts.push((hidden.len(), at));
    hidden.push_str(&source.text[at..]);
    (hidden, starts)
}

/// Puts the expressions back.
fn reveal(html: &str, source: &Expanded, registry: &Registry) -> Result<Html, MjmlError> {
    let mut places = places(html, OPEN).into_iter();
    let mut text = String::with_capacity(html.len() + source.text.len());
    let mut origins = Vec::with_capacity(source.expressions.len());
    let mut seen = vec![false; source.expressions.len()];
    let mut rest = html;
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        let number = after.split_once(CLOSE).and_then(|(number, _)| number.parse::<usize>().ok());
        let Some(range) = number.and_then(|number| source.expressions.get(number)) else {
            let message = format!("the word `{OPEN}` is reserved; use another word");
            return Err(MjmlError { at: None, message });
        };
        let number = number.unwrap_or_default();
        seen[number] = true;
        origins.push((text.len(), range.start));
        let expression = &source.text[range.clone()];
        match places.next() {
            Some(Place::CssValue) => text.push_str(&escaped(expression, CSS_VALUE, registry)),
            Some(Place::CssString) => text.push_str(&escaped(expression, CSS_STRING, registry)),
            Some(Place::Text) | None => text.push_str(expression),
        }
        if text.len() > 2 * HTML_BYTES {
            break; // Too long already.
        }
        rest = &after[number.to_string().len() + CLOSE.len_utf8()..];
    }
    text.push_str(rest);
    // mrml drops text where MJML allows none. Report it instead.
    let lost = source
        .expressions
        .iter()
        .zip(&seen)
        .find(|(range, seen)| !**seen && !is_comment(&source.text[(*range).clone()]));
    match lost {
        Some((range, _)) => Err(MjmlError {
            at: Some(range.start),
            message: "MJML would drop an expression between elements; wrap it in <mj-raw>"
                .to_owned(),
        }),
        None => Ok(Html { text, origins }),
    }
}

/// The expression with its value passed through `helper`. Blocks and comments stay as they are.
fn escaped(expression: &str, helper: &str, registry: &Registry) -> String {
    let inner = expression.trim_start_matches('{').trim_end_matches('}');
    let (before, inner) = match inner.strip_prefix('~') {
        Some(inner) => ("~", inner),
        None => ("", inner),
    };
    let (after, inner) = match inner.strip_suffix('~') {
        Some(inner) => ("~", inner),
        None => ("", inner),
    };
    let inner = inner.trim();
    if inner.starts_with(['#', '/', '^', '!']) || inner.starts_with("else") || registry.has(inner) {
        return expression.to_owned();
    }
    let value = if inner.starts_with('(') || is_path(inner) {
        inner.to_owned()
    } else {
        format!("({inner})")
    };
    format!("{{{{{before}{helper} {value}{after}}}}}")
}

/// Whether it is a path alone. Keys in brackets may have spaces.
fn is_path(inner: &str) -> bool {
    let mut in_key = false;
    inner.chars().all(|c| {
        in_key = (in_key || c == '[') && c != ']';
        in_key || !c.is_whitespace()
    })
}

/// The byte of the hidden text where the error is.
fn position(error: &Error, hidden: &str) -> Option<usize> {
    match error {
        Error::UnexpectedElement { position, .. }
        | Error::UnexpectedToken { position, .. }
        | Error::MissingAttribute { position, .. }
        | Error::InvalidAttribute { position, .. }
        | Error::InvalidFormat { position, .. }
        | Error::IncludeLoaderError { position, .. } => Some(position.start),
        Error::ParserError { source, .. } => {
            let row = usize::try_from(source.pos().row).ok()?;
            Some(hidden.split_inclusive('\n').take(row.checked_sub(1)?).map(str::len).sum())
        }
        _ => None,
    }
}

fn explain(error: &Error, hidden: &str) -> String {
    match error {
        _ if !hidden.contains("<mjml") => {
            "MJML: there is no <mjml> element; put the whole template into one".to_owned()
        }
        Error::UnexpectedElement { .. } => {
            "MJML: this element is not allowed here; check its name and the element around it"
                .to_owned()
        }
        Error::UnexpectedToken { .. } => {
            "MJML: this is not allowed in the element around it; move it, or close that element"
                .to_owned()
        }
        Error::EndOfStream { .. } => {
            "MJML: the file ends inside an element; close every element".to_owned()
        }
        Error::ParserError { .. } => {
            "MJML: a tag is not complete; close it with `>`, or write `&lt;` for a `<` in text"
                .to_owned()
        }
        Error::IncludeLoaderError { .. } => {
            "MJML: <mj-include> is not supported; write {{> name}}".to_owned()
        }
        other => format!("MJML: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_replace_spaces_in_tags_only() {
        let html = "<p>a b</p><td class=\"x y\"> <br /><b>ü</b> </td>".repeat(40);
        let lines = in_lines(html.clone());
        assert!(lines.lines().all(|line| line.len() < 250), "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("class=")), "{lines}");
        assert_eq!(lines.replace('\n', " "), html);
    }
}
