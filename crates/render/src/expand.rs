//! Partials, expanded as text when a template is loaded, and the way back from what came out to the
//! file and line that it was written in.
//!
//! Handlebars' own partials would copy the whole event at every use, and turn a missing field that
//! is passed as a parameter into an empty one. Expanding them here costs nothing when sending,
//! works inside MJML before it becomes HTML, and keeps strictness and line numbers.

use std::collections::BTreeSet;

/// Partials in partials, at most this deep.
const DEPTH: usize = 8;
/// A template with its partials, at most this long.
const LENGTH: usize = 512 * 1024;
/// What handlebars itself calls `@…`; everything else with an `@` is a partial's parameter.
const DATA_VARIABLES: [&str; 6] = ["root", "key", "index", "first", "last", "level"];

/// A piece of a template's source.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// `{{…}}`, braces included.
    Expression(&'a str),
    /// `{{> …}}`, without the braces and the arrow.
    Partial(&'a str),
}

/// Where a part of the expanded text was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// First byte in the expanded text.
    pub(super) at: usize,
    file: u16,
    line: u32,
}

/// A fault in a file.
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
    pub(super) marks: Vec<Mark>,
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

    /// The partials that were used, by path.
    pub(super) fn partials(&self) -> BTreeSet<&str> {
        self.files.iter().skip(1).map(String::as_str).collect()
    }
}

/// Expands `source`; `find` gives a partial's path and source by its name.
pub(super) fn expand<'a>(
    path: &str,
    source: &'a str,
    find: &dyn Fn(&str) -> Option<(String, &'a str)>,
) -> Result<Expanded, Fault> {
    let mut expansion = Expansion { out: Expanded::default(), find };
    expansion.file(path, source, None, 0)?;
    Ok(expansion.out)
}

struct Expansion<'f, 'a> {
    out: Expanded,
    find: &'f dyn Fn(&str) -> Option<(String, &'a str)>,
}

/// A partial's parameters; `None` for a template, which has none.
type Given<'g> = Option<&'g [(String, String)]>;
/// Names and values, as they are written.
type Parameters = Vec<(String, String)>;

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
        let file = u16::try_from(file).map_err(|_| fault(1, "too many partials".to_owned()))?;
        let mut line = 1;
        for piece in scan(source).map_err(|(line, message)| fault(line, message))? {
            let at = self.out.text.len();
            if at > LENGTH {
                return Err(fault(line, format!("longer than {LENGTH} bytes with its partials")));
            }
            self.out.marks.push(Mark { at, file, line: u32::try_from(line).unwrap_or(u32::MAX) });
            let raw = match piece {
                Piece::Text(raw) => {
                    self.out.text.push_str(raw);
                    raw
                }
                Piece::Expression(raw) => {
                    self.out.text.push_str(&with_given(raw, given));
                    self.out.expressions.push(at..self.out.text.len());
                    raw
                }
                Piece::Partial(raw) => {
                    let call = with_given(raw, given);
                    self.partial(&call, depth).map_err(|inner| match inner {
                        Ok(fault) => fault,
                        Err(message) => fault(line, message),
                    })?;
                    raw
                }
            };
            line += raw.matches('\n').count();
        }
        Ok(())
    }

    /// A fault inside the partial, or (`Err`) of the call.
    fn partial(&mut self, call: &str, depth: usize) -> Result<(), Result<Fault, String>> {
        let (name, given) = parse_call(call).map_err(Err)?;
        let Some((path, source)) = (self.find)(name) else {
            return Err(Err(format!("there is no partial `{name}`")));
        };
        if depth >= DEPTH {
            return Err(Err(format!(
                "partials nested more than {DEPTH} deep: `{name}` uses itself?"
            )));
        }
        for (key, _) in &given {
            if !source.contains(&format!("@{key}")) {
                return Err(Err(format!("the partial `{name}` has no parameter `{key}`")));
            }
        }
        // A file ends with a line break that is not part of what it stands for.
        let source = source.strip_suffix('\n').unwrap_or(source);
        self.file(&path, source, Some(&given), depth + 1).map_err(Ok)
    }
}

/// Puts the parameters of a partial in the place of `@name`, outside string literals. One that was
/// not given is null.
fn with_given(expression: &str, given: Given) -> String {
    let Some(given) = given else { return expression.to_owned() };
    let mut out = String::with_capacity(expression.len());
    let mut quote = None;
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '@' && quote.is_none() {
            let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
            if !name.is_empty() && !DATA_VARIABLES.contains(&name) {
                let value = given.iter().find(|(key, _)| key == name);
                out.push_str(value.map_or("null", |(_, value)| value));
                rest = &rest[name.len()..];
                continue;
            }
        }
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// `name key=value …`: the values as they are written.
fn parse_call(call: &str) -> Result<(&str, Parameters), String> {
    let mut words = words(call)?.into_iter();
    let name = words.next().ok_or("a partial needs a name")?;
    let mut given = Vec::new();
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|(key, value)| {
            !value.is_empty()
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }) else {
            return Err(format!("`{word}` should be `name=value`: partials take named parameters"));
        };
        given.push((key.to_owned(), value.to_owned()));
    }
    Ok((name, given))
}

/// Splits at white space outside quotes and parentheses.
fn words(text: &str) -> Result<Vec<&str>, String> {
    let (mut words, mut start, mut depth, mut quote) = (Vec::new(), None, 0_usize, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1).ok_or("a `)` too many")?,
                _ => {}
            },
        }
        let splits = c.is_whitespace() && depth == 0 && quote.is_none();
        match start {
            None if !splits => start = Some(at),
            Some(from) if splits => {
                words.push(&text[from..at]);
                start = None;
            }
            _ => {}
        }
    }
    if quote.is_some() || depth > 0 {
        return Err("a quote or parenthesis is not closed".to_owned());
    }
    words.extend(start.map(|from| &text[from..]));
    Ok(words)
}

/// Cuts a source into text, expressions (comments too) and partials.
fn scan(source: &str) -> Result<Vec<Piece<'_>>, (usize, String)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let line_of = |at: usize| source[..at].matches('\n').count() + 1;
    while let Some(open) = source[at..].find("{{").map(|found| at + found) {
        if open > at {
            pieces.push(Piece::Text(&source[at..open]));
        }
        let end = expression_end(&source[open..])
            .map_err(|message| (line_of(open), message.to_owned()))?;
        let expression = &source[open..open + end];
        at = open + end;
        let inner = expression[2..].trim_start_matches('~').trim_start();
        if let Some(call) = inner.strip_prefix('>') {
            let call = call.strip_suffix("}}").unwrap_or(call);
            pieces.push(Piece::Partial(call.trim_end_matches('~').trim()));
        } else {
            refuse(inner).map_err(|message| (line_of(open), message.to_owned()))?;
            pieces.push(Piece::Expression(expression));
        }
    }
    if at < source.len() {
        pieces.push(Piece::Text(&source[at..]));
    }
    Ok(pieces)
}

/// The forms of handlebars that are not for templates here.
fn refuse(inner: &str) -> Result<(), &'static str> {
    if inner.starts_with(['{', '&']) {
        return Err("unescaped output is not allowed: write {{…}} with two braces");
    }
    if inner.starts_with('*') || inner.starts_with("#*") || inner.starts_with("#>") {
        return Err("decorators and block partials are not supported: use {{> name key=value}}");
    }
    Ok(())
}

/// The length of the expression at the start of `text`, up to and with its `}}`.
fn expression_end(text: &str) -> Result<usize, &'static str> {
    if text.starts_with("{{!--") || text.starts_with("{{~!--") {
        let end = text.find("--}}").map(|at| at + 4);
        return end
            .or_else(|| text.find("--~}}").map(|at| at + 5))
            .ok_or("a comment is not closed");
    }
    if text.starts_with("{{!") || text.starts_with("{{~!") {
        return text.find("}}").map(|at| at + 2).ok_or("a comment is not closed");
    }
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[at..].starts_with("}}") => return Ok(at + 2),
            _ => {}
        }
    }
    Err("a {{ is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(source: &str) -> Result<Expanded, Fault> {
        let find = |name: &str| match name {
            "row" => Some((
                "p/row".to_owned(),
                "<tr>\n{{text @label}}: {{text @value}}{{@index}} {{\"@value\"}}</tr>\n",
            )),
            "outer" => Some(("p/outer".to_owned(), "[{{> row label=@label value=(date @at)}}]\n")),
            "loop" => Some(("p/loop".to_owned(), "{{> loop}}")),
            _ => None,
        };
        expand("t", source, &find)
    }

    #[test]
    fn a_partial_stands_in_its_place_with_its_parameters() {
        let out = expanded("a\n{{> outer label=\"At }} x\" at=data.at}}\nb {{c}}").unwrap();
        assert_eq!(
            out.text,
            "a\n[<tr>\n{{text \"At }} x\"}}: {{text (date data.at)}}{{@index}} {{\"@value\"}}</tr>]\nb {{c}}"
        );
        assert_eq!(out.partials().into_iter().collect::<Vec<_>>(), ["p/outer", "p/row"]);
    }

    #[test]
    fn every_byte_knows_its_file_and_line() {
        let out = expanded("a\n{{> outer label=\"L\"}}\nb {{c}}").unwrap();
        assert_eq!(out.place(out.text.find("{{text null").unwrap_or(0)), Some(("t", 1)));
        assert_eq!(out.place(out.text.find("{{text (").unwrap()), Some(("p/row", 2)));
        assert_eq!(out.place(out.text.find("{{c").unwrap()), Some(("t", 3)));
        assert_eq!(out.place(out.text.find("b ").unwrap()), Some(("t", 3)));
    }

    #[test]
    fn faults_name_file_and_line() {
        let fault = |source: &str| {
            let fault = expanded(source).unwrap_err();
            (fault.file, fault.line, fault.message)
        };
        assert_eq!(fault("\n{{{x}}}").1, 2);
        assert_eq!(fault("\n\n{{x").1, 3);
        assert_eq!(fault("{{> nope}}").2, "there is no partial `nope`");
        assert!(fault("{{> row labl=1}}").2.contains("no parameter `labl`"));
        assert!(fault("{{> row data}}").2.contains("name=value"));
        assert!(fault("{{> loop}}").2.contains("deep"));
    }
}
