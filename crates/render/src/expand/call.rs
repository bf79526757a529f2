//! The parameters of a partial: reading `{{> name key=value}}`, and putting the values in place.

/// The names that handlebars itself writes with `@`. Any other is a partial's parameter.
const DATA_VARIABLES: [&str; 6] = ["root", "key", "index", "first", "last", "level"];

/// Names and values, as they are written in the call.
pub(super) type Parameters = Vec<(String, String)>;

/// Reads `name key=value …`.
pub(super) fn parse(call: &str) -> Result<(&str, Parameters), String> {
    let mut words = words(call)?.into_iter();
    let name = words.next().ok_or("a partial has no name; write {{> name}}")?;
    let mut parameters = Vec::new();
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|(key, value)| {
            !value.is_empty()
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }) else {
            return Err(format!("a partial takes named parameters; write `name={word}`"));
        };
        parameters.push((key.to_owned(), value.to_owned()));
    }
    Ok((name, parameters))
}

/// Splits at white space outside quotes and parentheses.
pub(crate) fn words(text: &str) -> Result<Vec<&str>, String> {
    let (mut words, mut start, mut depth, mut quote) = (Vec::new(), None, 0_usize, None);
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' => depth += 1,
                ')' => {
                    depth = depth.checked_sub(1).ok_or("a `)` has no `(`; remove it or add `(`")?;
                }
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
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    if depth > 0 {
        return Err("a `(` is not closed; add `)`".to_owned());
    }
    words.extend(start.map(|from| &text[from..]));
    Ok(words)
}

/// Replaces `@name` by the value of that parameter, outside string literals. A parameter that the
/// call does not pass is null. `None` if the result has more than `limit` bytes.
pub(super) fn substitute(
    expression: &str,
    parameters: &[(String, String)],
    limit: usize,
) -> Option<String> {
    let mut out = String::with_capacity(expression.len());
    let mut quote = None;
    let mut escaped = false;
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '@' && quote.is_none() {
            let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
            if !name.is_empty() && !DATA_VARIABLES.contains(&name) {
                let value = parameters.iter().find(|(key, _)| key == name);
                out.push_str(value.map_or("null", |(_, value)| value));
                if out.len() > limit {
                    return None;
                }
                rest = &rest[name.len()..];
                continue;
            }
        }
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        out.push(c);
    }
    (out.len() <= limit).then_some(out)
}
