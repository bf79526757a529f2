//! Partials, expanded as text when a template is loaded, and the way back from the expanded text to
//! the file and line of each byte.
//!
//! Handlebars has partials of its own, but it copies the whole event at each use, and it renders a
//! missing field that is passed as a parameter as nothing. Expanding them here costs nothing when a
//! message is sent, works inside MJML before it becomes HTML, and keeps missing fields and line
//! numbers exact.

mod call;
mod scan;
mod tag;

use std::collections::BTreeSet;
use std::ops::Range;

pub(super) use call::words;
pub(super) use scan::is_comment;
use scan::{Piece, scan};
pub(super) use tag::read;

use super::limits::{EXPANDED_BYTES, PARTIALS, PIECES, READ_BYTES};

/// Where a piece of the expanded text comes from.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// First byte in the expanded text.
    at: usize,
    file: u16,
    line: u32,
}

/// A mistake in a file.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) message: String,
}

/// A template with its partials in place.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// One for each piece, ascending.
    marks: Vec<Mark>,
    /// The byte ranges of `text` that are handlebars expressions, ascending.
    pub(super) expressions: Vec<Range<usize>>,
    files: Vec<String>,
    /// How many texts, expressions, and uses of partials it was made of.
    pub(super) pieces: usize,
}

impl Expanded {
    /// The file and line of a byte of `text`.
    pub(super) fn place(&self, at: usize) -> Option<(&str, usize)> {
        let index = self.marks.partition_point(|mark| mark.at <= at).checked_sub(1)?;
        let mark = self.marks[index];
        let breaks = self.text.get(mark.at..at)?.matches('\n').count();
        Some((self.files.get(usize::from(mark.file))?, mark.line as usize + breaks))
    }

    /// The paths of the partials that the template uses.
    pub(super) fn partials(&self) -> BTreeSet<&str> {
        self.files.iter().skip(1).map(String::as_str).collect()
    }
}

/// Looks up a partial by its name: its path and its source, or the path that it would have.
pub(super) type Find<'f, 'a> = dyn Fn(&str) -> Result<(String, &'a str), String> + 'f;

/// Expands the `source` of the file at `path`.
pub(super) fn expand<'a>(
    path: &str,
    source: &'a str,
    find: &Find<'_, 'a>,
) -> Result<Expanded, Fault> {
    let mut expansion = Expansion { out: Expanded::default(), find, read: 0 };
    expansion.file(path, source, None, 0)?;
    let out = expansion.out;
    // Braces at the end of one piece and at the start of the next could be read as one expression.
    match expressions(&out.text) {
        Ok(found) if found == out.expressions => Ok(out),
        found => {
            let found = found.unwrap_or_default();
            let same = found.iter().zip(&out.expressions).take_while(|(a, b)| a == b).count();
            let at = [&found, &out.expressions].into_iter().filter_map(|all| all.get(same));
            let at = at.map(|range| range.start).min().unwrap_or_default();
            let (file, line) = out.place(at).unwrap_or((path, 1));
            let message = "a `{` or a `\\` touches the braces of an expression, or a parameter of a \
                           partial ends the expression that uses it; put a space between them";
            Err(Fault { file: file.to_owned(), line, message: message.to_owned() })
        }
    }
}

/// The byte ranges of a text without partials that handlebars reads as expressions. An expression
/// of a form that templates cannot use is an error, with its line.
pub(super) fn expressions(text: &str) -> Result<Vec<Range<usize>>, (usize, String)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    for piece in scan(text)? {
        let raw = match piece {
            Piece::Text(raw) => raw,
            Piece::Expression(raw) => {
                ranges.push(at..at + raw.len());
                raw
            }
            Piece::Partial { raw, .. } => {
                let line = text[..at].matches('\n').count() + 1;
                return Err((line, format!("`{raw}` cannot be used here")));
            }
        };
        at += raw.len();
    }
    Ok(ranges)
}

struct Expansion<'f, 'a> {
    out: Expanded,
    find: &'f Find<'f, 'a>,
    /// Bytes that were read.
    read: usize,
}

/// Comments have no text and may be read differently by handlebars, so all of them become this one.
const COMMENT: &str = "{{!}}";

/// The parameters of the partial that is being expanded. A template has none.
type Given<'g> = Option<&'g [(String, String)]>;

/// What is wrong with a partial: a mistake inside its file, or in the call.
enum PartialFault {
    Inside(Fault),
    Call(String),
}

impl<'a> Expansion<'_, 'a> {
    fn file(
        &mut self,
        path: &str,
        source: &'a str,
        given: Given,
        depth: usize,
    ) -> Result<(), Fault> {
        let fault = |line, message| Fault { file: path.to_owned(), line, message };
        let file = self.out.files.iter().position(|file| file == path).unwrap_or_else(|| {
            self.out.files.push(path.to_owned());
            self.out.files.len() - 1
        });
        let file = u16::try_from(file)
            .map_err(|_| fault(1, format!("the template uses more than {} partials", u16::MAX)))?;
        let too_long = |line| {
            let message =
                format!("the template has more than {EXPANDED_BYTES} bytes with its partials");
            fault(line, message)
        };
        let put = |text: &str, line| match given {
            Some(parameters) => {
                call::substitute(text, parameters, EXPANDED_BYTES).ok_or_else(|| too_long(line))
            }
            None => Ok(text.to_owned()),
        };
        let mut line = 1;
        for piece in scan(source).map_err(|(line, message)| fault(line, message))? {
            let at = self.out.text.len();
            if at > EXPANDED_BYTES {
                return Err(too_long(line));
            }
            self.out.pieces += 1;
            if self.out.pieces > PIECES || self.read > READ_BYTES {
                let message = format!(
                    "the template expands to more than {PIECES} pieces, or reads more than \
                     {READ_BYTES} bytes, with its partials; use fewer of them"
                );
                return Err(fault(line, message));
            }
            self.out.marks.push(Mark { at, file, line: u32::try_from(line).unwrap_or(u32::MAX) });
            let raw = match piece {
                Piece::Text(raw) => {
                    self.out.text.push_str(raw);
                    raw
                }
                Piece::Expression(raw) => {
                    let text = if is_comment(raw) { COMMENT.to_owned() } else { put(raw, line)? };
                    self.read += text.len();
                    self.out.text.push_str(&text);
                    self.out.expressions.push(at..self.out.text.len());
                    raw
                }
                Piece::Partial { call, raw } => {
                    let call = put(call, line)?;
                    self.read += call.len();
                    self.partial(&call, depth).map_err(|found| match found {
                        PartialFault::Inside(fault) => fault,
                        PartialFault::Call(message) => fault(line, message),
                    })?;
                    raw
                }
            };
            line += raw.matches('\n').count();
        }
        Ok(())
    }

    fn partial(&mut self, call: &str, depth: usize) -> Result<(), PartialFault> {
        let (name, parameters) = call::parse(call).map_err(PartialFault::Call)?;
        let (path, source) = (self.find)(name).map_err(|path| {
            PartialFault::Call(format!("there is no partial `{name}`; add the file {path}"))
        })?;
        if depth >= PARTIALS {
            return Err(PartialFault::Call(format!(
                "partials are nested more than {PARTIALS} deep; check whether `{name}` includes itself"
            )));
        }
        for (key, _) in &parameters {
            if !source.contains(&format!("@{key}")) {
                let message = format!(
                    "the partial `{name}` has no parameter `{key}`; remove it, or use `@{key}` in \
                     {path}"
                );
                return Err(PartialFault::Call(message));
            }
        }
        self.read += source.len();
        // The line break at the end of a partial's file is not part of its text.
        let source = source.strip_suffix('\n').unwrap_or(source);
        self.file(&path, source, Some(&parameters), depth + 1).map_err(PartialFault::Inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(source: &str) -> Result<Expanded, Fault> {
        let find = |name: &str| match name {
            "row" => Ok((
                "p/row".to_owned(),
                "<tr>\n{{text @label}}: {{text @value}}{{@index}} {{\"@value\"}}</tr>\n",
            )),
            "outer" => Ok(("p/outer".to_owned(), "[{{> row label=@label value=(date @at)}}]\n")),
            "loop" => Ok(("p/loop".to_owned(), "{{> loop}}")),
            other => Err(format!("p/{other}")),
        };
        expand("t", source, &find)
    }

    #[test]
    fn a_partial_is_expanded_with_its_parameters() {
        let out = expanded("a\n{{> outer label=\"At }} x\" at=data.at}}\nb {{c}}").unwrap();
        assert_eq!(
            out.text,
            "a\n[<tr>\n{{text \"At }} x\"}}: {{text (date data.at)}}{{@index}} {{\"@value\"}}</tr>]\nb {{c}}"
        );
        assert_eq!(out.partials().into_iter().collect::<Vec<_>>(), ["p/outer", "p/row"]);
    }

    #[test]
    fn every_byte_has_its_file_and_line() {
        let out = expanded("a\n{{> outer label=\"L\"}}\nb {{c}}").unwrap();
        assert_eq!(out.place(out.text.find("{{text null").unwrap_or(0)), Some(("t", 1)));
        assert_eq!(out.place(out.text.find("{{text (").unwrap()), Some(("p/row", 2)));
        assert_eq!(out.place(out.text.find("{{c").unwrap()), Some(("t", 3)));
        assert_eq!(out.place(out.text.find("b ").unwrap()), Some(("t", 3)));
    }

    #[test]
    fn pieces_do_not_join_to_an_expression() {
        let expanded = |partial: &'static str, source: &str| {
            let find = |_: &str| Ok(("p".to_owned(), partial));
            expand("t", source, &find).map_err(|fault| fault.line)
        };
        assert_eq!(expanded("a{", "{{> p}}{#if x}}{{/if}}").unwrap_err(), 1);
        assert_eq!(expanded("\\", "\n{{> p}}{{#if x}}").unwrap_err(), 2);
        assert_eq!(
            expanded("{{f @x}}", "{{> p x=\"}}\"}}").unwrap().expressions,
            std::slice::from_ref(&(0..10))
        );
        assert_eq!(expanded("{{! @x }}", "{{> p x=\"}}{{#*inline}}\"}}").unwrap().text, COMMENT);
        assert!(expanded("{{f a.[@x]}}", "{{> p x=\"]}}{{g\"}}").is_err());
    }

    #[test]
    fn partials_that_multiply_are_refused_without_expanding_them() {
        let body = |next: &str| format!("{{{{> {next}}}}}").repeat(60);
        let bodies: Vec<String> = (2..=8).map(|level| body(&format!("p{level}"))).collect();
        let find = |name: &str| match name.strip_prefix('p').and_then(|n| n.parse::<usize>().ok()) {
            Some(8) => Ok((name.to_owned(), "")),
            Some(level) => Ok((name.to_owned(), bodies[level - 1].as_str())),
            None => Err(name.to_owned()),
        };
        let message = expand("t", "{{> p1}}", &find).unwrap_err().message;
        assert!(message.contains("more than 50000 pieces"), "{message}");
        // Parameters that double themselves are refused as well.
        let bodies: Vec<String> = (2..=8)
            .map(|level| format!("{{{{> p{level} x=(f @x @x @x @x @x @x @x @x @x @x)}}}}"))
            .collect();
        let find = |name: &str| match name.strip_prefix('p').and_then(|n| n.parse::<usize>().ok()) {
            Some(8) => Ok((name.to_owned(), "{{@x}}")),
            Some(level) => Ok((name.to_owned(), bodies[level - 1].as_str())),
            None => Err(name.to_owned()),
        };
        let message = expand("t", "{{> p1 x=data.x}}", &find).unwrap_err().message;
        assert!(message.contains("more than 524288 bytes"), "{message}");
    }

    #[test]
    fn a_mistake_is_reported_with_its_file_its_line_and_what_to_do() {
        for (source, expected) in [
            ("\n{{{x}}}", "t:2: unescaped output is not allowed; write {{…}} with two braces"),
            ("\n\n{{x", "t:3: an expression is not closed; add `}}`"),
            (
                "{{line \"x}}",
                "t:1: an expression has a quote that is not closed; close the quote and add `}}`",
            ),
            (
                "{{! note",
                "t:1: a comment is not closed; add `}}`, or `--}}` if it starts with `{{!--`",
            ),
            ("\n{{> nope}}", "t:2: there is no partial `nope`; add the file p/nope"),
            ("{{> }}", "t:1: a partial has no name; write {{> name}}"),
            (
                "{{> row labl=1}}",
                "t:1: the partial `row` has no parameter `labl`; remove it, or use `@labl` in p/row",
            ),
            ("{{> row data}}", "t:1: a partial takes named parameters; write `name=data`"),
            ("{{> row label=(date x}}", "t:1: a `(` is not closed; add `)`"),
            ("{{> row label=x)}}", "t:1: a `)` has no `(`; remove it or add `(`"),
            (
                "{{> loop}}",
                "p/loop:1: partials are nested more than 8 deep; check whether `loop` includes itself",
            ),
        ] {
            let Fault { file, line, message } = expanded(source).unwrap_err();
            assert_eq!(format!("{file}:{line}: {message}"), expected);
        }
    }
}
