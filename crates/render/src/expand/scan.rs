//! Cutting a template's source into text, expressions, and partials.

use super::tag;

/// A piece of a template's source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// `{{…}}`, including the braces. Comments are expressions too.
    Expression(&'a str),
    /// `{{> …}}`: the name and the parameters, without the braces and the `>`.
    Partial {
        call: &'a str,
        /// The whole expression, for counting its lines.
        raw: &'a str,
    },
}

/// Cuts `source`. The error has the 1-based line.
pub(super) fn scan(source: &str) -> Result<Vec<Piece<'_>>, (usize, String)> {
    let mut pieces = Vec::new();
    let (mut at, mut from) = (0, 0);
    let line_of = |at: usize| source[..at].matches('\n').count() + 1;
    while let Some(open) = source[from..].find("{{").map(|found| from + found) {
        if is_escaped(&source[at..open]) {
            from = open + if source[open + 2..].starts_with("{{") { 4 } else { 2 };
            continue;
        }
        if open > at {
            pieces.push(Piece::Text(&source[at..open]));
        }
        let end = expression_end(&source[open..])
            .map_err(|message| (line_of(open), message.to_owned()))?;
        let raw = &source[open..open + end];
        at = open + end;
        from = at;
        let inner = raw[2..].trim_start_matches('~').trim_start();
        if let Some(call) = inner.strip_prefix('>') {
            let call = call.strip_suffix("}}").unwrap_or(call).trim_end_matches('~').trim();
            pieces.push(Piece::Partial { call, raw });
        } else {
            refuse(inner).map_err(|message| (line_of(open), message.to_owned()))?;
            pieces.push(Piece::Expression(raw));
        }
    }
    if at < source.len() {
        pieces.push(Piece::Text(&source[at..]));
    }
    Ok(pieces)
}

/// Whether `{{` after this text is text too: `\{{`. Two backslashes are a backslash.
fn is_escaped(before: &str) -> bool {
    before.bytes().rev().take_while(|&byte| byte == b'\\').count() == 1
}

/// Refuses the forms of handlebars that templates here cannot use.
fn refuse(inner: &str) -> Result<(), &'static str> {
    if inner.starts_with(['{', '&']) {
        return Err("unescaped output is not allowed; write {{…}} with two braces");
    }
    if inner.starts_with('*') || inner.starts_with("#*") || inner.starts_with("#>") {
        return Err("decorators and block partials are not supported; write {{> name key=value}}");
    }
    Ok(())
}

/// The length of the expression at the start of `text`, including its `}}`.
fn expression_end(text: &str) -> Result<usize, &'static str> {
    const COMMENT: &str = "a comment is not closed; add `}}`, or `--}}` if it starts with `{{!--`";
    if text.starts_with("{{!--") || text.starts_with("{{~!--") {
        let end = text.find("--}}").map(|at| at + 4);
        return end.or_else(|| text.find("--~}}").map(|at| at + 5)).ok_or(COMMENT);
    }
    if is_comment(text) {
        return text.find("}}").map(|at| at + 2).ok_or(COMMENT);
    }
    tag::read(text).map(|tag| tag.length)
}

/// Whether the expression is a comment.
pub(crate) fn is_comment(expression: &str) -> bool {
    expression.trim_start_matches(['{', '~']).starts_with('!')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_braces_are_text() {
        for (source, expressions) in [
            (r"a \{{b}} {{c}}", vec!["{{c}}"]),
            (r"a \\{{b}}", vec!["{{b}}"]),
            (r"\{{{{#raw}}}} {{c}}", vec!["{{c}}"]),
            (r"{{a}}\{{#if x}}", vec!["{{a}}"]),
        ] {
            let pieces = scan(source).unwrap();
            let found: Vec<_> = pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Expression(raw) => Some(*raw),
                    _ => None,
                })
                .collect();
            assert_eq!(found, expressions, "{source}");
        }
    }
}
