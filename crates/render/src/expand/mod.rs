//! Partials, expanded as text when a template is loaded, and the way back from the expanded text to
//! the file and line of each byte.
//!
//! Handlebars has partials of its own, but it copies the whole event at each use, and it renders a
//! missing field that is passed as a parameter as nothing. Expanding them here costs nothing when a
//! message is sent, works inside MJML before it becomes HTML, and keeps missing fields and line
//! numbers exact.

mod call;
mod scan;

use std::collections::BTreeSet;

pub(super) use call::words;
use scan::{Piece, scan};

/// Most levels of partials inside partials.
const DEPTH: usize = 8;
/// Most bytes of a template with its partials.
const LENGTH: usize = 512 * 1024;

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
    pub(super) expressions: Vec<std::ops::Range<usize>>,
    files: Vec<String>,
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
    let mut expansion = Expansion { out: Expanded::default(), find };
    expansion.file(path, source, None, 0)?;
    Ok(expansion.out)
}

struct Expansion<'f, 'a> {
    out: Expanded,
    find: &'f Find<'f, 'a>,
}

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
        let put = |text: &str| match given {
            Some(parameters) => call::substitute(text, parameters),
            None => text.to_owned(),
        };
        let mut line = 1;
        for piece in scan(source).map_err(|(line, message)| fault(line, message))? {
            let at = self.out.text.len();
            if at > LENGTH {
                let message =
                    format!("the template has more than {LENGTH} bytes with its partials");
                return Err(fault(line, message));
            }
            self.out.marks.push(Mark { at, file, line: u32::try_from(line).unwrap_or(u32::MAX) });
            let raw = match piece {
                Piece::Text(raw) => {
                    self.out.text.push_str(raw);
                    raw
                }
                Piece::Expression(raw) => {
                    self.out.text.push_str(&put(raw));
                    self.out.expressions.push(at..self.out.text.len());
                    raw
                }
                Piece::Partial { call, raw } => {
                    self.partial(&put(call), depth).map_err(|found| match found {
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
        if depth >= DEPTH {
            return Err(PartialFault::Call(format!(
                "partials are nested more than {DEPTH} deep; check whether `{name}` includes itself"
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
