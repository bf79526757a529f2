//! Which expressions of an HTML text are in CSS: in a `style` attribute or a `<style>` element.
//!
//! There, the escape for HTML is not enough: a value such as `red;background:url(//x)` would become
//! a declaration of its own. MJML writes many of its attributes into `style`.

/// The place of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the text or in another attribute.
    Text,
    /// In CSS.
    CssValue,
    /// In a string in CSS: `url('…')`.
    CssString,
}

/// Where in the HTML the reader is.
enum State {
    Text,
    /// In a tag, outside of quotes. With the name of the attribute before `=`.
    Tag {
        attribute: String,
    },
    /// In quotes in a tag.
    Value {
        quote: char,
        css: bool,
        string: Option<char>,
    },
    /// In a `<style>` element.
    Style {
        string: Option<char>,
    },
}

/// The place of each `word` in the HTML, in order.
pub(super) fn places(html: &str, word: &str) -> Vec<Place> {
    let mut places = Vec::new();
    let mut state = State::Text;
    let mut rest = html;
    let mut is_style = false;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with(word) {
            places.push(match &state {
                State::Value { css: true, string: None, .. } | State::Style { string: None } => {
                    Place::CssValue
                }
                State::Value { css: true, .. } | State::Style { .. } => Place::CssString,
                State::Text | State::Tag { .. } | State::Value { .. } => Place::Text,
            });
        }
        state = match state {
            State::Text if c == '<' && is_tag(rest) => {
                is_style = starts_with_name(&rest[1..], "style");
                State::Tag { attribute: String::new() }
            }
            State::Text => State::Text,
            State::Tag { .. } if c == '>' && is_style => State::Style { string: None },
            State::Tag { .. } if c == '>' => State::Text,
            State::Tag { attribute } if c == '"' || c == '\'' => {
                let css = attribute.trim_end_matches('=').eq_ignore_ascii_case("style");
                State::Value { quote: c, css, string: None }
            }
            State::Tag { mut attribute } => {
                // White space ends a name, unless there is a `=` before or after it.
                if !c.is_whitespace() {
                    attribute.push(c);
                } else if !attribute.ends_with('=') && !rest.trim_start().starts_with('=') {
                    attribute.clear();
                }
                State::Tag { attribute }
            }
            State::Value { quote, .. } if c == quote => State::Tag { attribute: String::new() },
            State::Value { quote, css, string } => {
                State::Value { quote, css, string: toggled(string, c) }
            }
            State::Style { .. } if c == '<' && starts_with_name(&rest[1..], "/style") => {
                is_style = false;
                State::Tag { attribute: String::new() }
            }
            State::Style { string } => State::Style { string: toggled(string, c) },
        };
        rest = &rest[c.len_utf8()..];
    }
    places
}

/// A quote begins a string, or ends the one that it began.
fn toggled(string: Option<char>, c: char) -> Option<char> {
    match string {
        Some(open) if open == c => None,
        None if c == '"' || c == '\'' => Some(c),
        same => same,
    }
}

fn is_tag(rest: &str) -> bool {
    rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
}

fn starts_with_name(rest: &str, name: &str) -> bool {
    let begins = rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    begins && !rest[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::Place::{CssString, CssValue, Text};
    use super::*;

    #[test]
    fn the_place_of_each_expression_is_known() {
        for (html, expected) in [
            (
                "X<p title=\"X\" style=\"color:X;background:url('X')\" class='X'>X</p>",
                vec![Text, Text, CssValue, CssString, Text, Text],
            ),
            ("<p STYLE = 'a:X'>X</p><p data-style=\"X\">", vec![CssValue, Text, Text]),
            ("<style type=\"X\">a{b:X;c:\"X\"}</style>X", vec![Text, CssValue, CssString, Text]),
            ("<!--[if mso]><td style=\"width:X\"><![endif]-->X", vec![CssValue, Text]),
            ("a < X <p style=X>X", vec![Text, Text, Text]),
        ] {
            assert_eq!(places(html, "X"), expected, "{html}");
        }
    }
}
