//! What is wrong with a template that handlebars cannot parse, in the words of its author.
//!
//! Handlebars reports where its parser stopped and which of its grammar rules it expected there.
//! For a block that is not closed, that is the end of the file and fourteen rules. This module reads
//! the expressions of the source in order and finds the expression to change.

use super::expand::{Expanded, words};

/// A block that is open.
struct Open<'a> {
    name: &'a str,
    /// The whole expression: `{{#if data.x}}`.
    raw: &'a str,
    at: usize,
}

/// The first mistake: its byte in the expanded text, and what to do about it. `None` if there is
/// none that this module knows.
pub(super) fn first_mistake(source: &Expanded) -> Option<(usize, String)> {
    let mut blocks: Vec<Open<'_>> = Vec::new();
    for range in &source.expressions {
        let (at, raw) = (range.start, &source.text[range.clone()]);
        let inner = raw.trim_start_matches('{').trim_end_matches('}').trim_matches('~').trim();
        if inner.starts_with('!') {
            continue;
        }
        if inner.is_empty() {
            let message =
                format!("`{raw}` is empty; remove it, or write a field such as `{{{{data.x}}}}`");
            return Some((at, message));
        }
        if let Some(name) = inner.strip_prefix('/') {
            let name = name.trim();
            match blocks.pop() {
                Some(open) if open.name == name => {}
                Some(open) => return Some((at, wrong_end(source, &open, at, raw))),
                None => return Some((at, no_start(name, raw))),
            }
            continue;
        }
        if let Err(message) = words(inner) {
            return Some((at, format!("`{raw}`: {message}")));
        }
        if let Some(block) = inner.strip_prefix('#') {
            let name = block.split_whitespace().next().unwrap_or_default();
            blocks.push(Open { name, raw, at });
        } else if is_else(inner) && blocks.is_empty() {
            let message = format!(
                "`{raw}` is outside of a block; move it between `{{{{#if …}}}}` and `{{{{/if}}}}`"
            );
            return Some((at, message));
        }
    }
    let Open { name, raw, at } = blocks.pop()?;
    Some((at, format!("`{raw}` is not closed; add `{{{{/{name}}}}}`")))
}

fn is_else(inner: &str) -> bool {
    inner == "^" || inner.split_whitespace().next() == Some("else")
}

fn wrong_end(source: &Expanded, open: &Open<'_>, at: usize, raw: &str) -> String {
    let Open { name, raw: start, at: opened } = open;
    let line = match (source.place(*opened), source.place(at)) {
        (Some((file, line)), Some((here, _))) if file == here => format!(" in line {line}"),
        (Some((file, line)), _) => format!(" in line {line} of {file}"),
        (None, _) => String::new(),
    };
    format!("`{raw}` does not close `{start}`{line}; add `{{{{/{name}}}}}` before it")
}

fn no_start(name: &str, raw: &str) -> String {
    format!("`{raw}` closes nothing; remove it, or add `{{{{#{name} …}}}}` before it")
}

#[cfg(test)]
mod tests {
    use super::super::expand::expand;
    use super::*;

    fn mistake(source: &str) -> String {
        let find = |name: &str| match name {
            "open" => Ok(("partials/open".to_owned(), "\n{{#if data.x}}")),
            other => Err(other.to_owned()),
        };
        let source = expand("t", source, &find).unwrap();
        first_mistake(&source).map_or_else(String::new, |(at, message)| {
            format!("{}: {message}", source.place(at).map_or(0, |(_, line)| line))
        })
    }

    #[test]
    fn blocks_that_do_not_fit_together_are_named_with_their_line() {
        for (source, expected) in [
            ("{{#if}}", "1: `{{#if}}` is not closed; add `{{/if}}`"),
            (
                "a\n{{#each data.x}}\n{{#if y}}{{/if}}",
                "2: `{{#each data.x}}` is not closed; add `{{/each}}`",
            ),
            (
                "{{#each a}}\n{{#if b}}\n{{/each}}",
                "3: `{{/each}}` does not close `{{#if b}}` in line 2; add `{{/if}}` before it",
            ),
            (
                "{{> open}}\n{{/each}}",
                "2: `{{/each}}` does not close `{{#if data.x}}` in line 2 of partials/open; \
                 add `{{/if}}` before it",
            ),
            ("x {{/if}}", "1: `{{/if}}` closes nothing; remove it, or add `{{#if …}}` before it"),
            (
                "{{else}}",
                "1: `{{else}}` is outside of a block; move it between `{{#if …}}` and `{{/if}}`",
            ),
        ] {
            assert_eq!(mistake(source), expected);
        }
    }

    #[test]
    fn an_expression_with_a_hole_is_named() {
        assert_eq!(
            mistake("{{upper (date x}}"),
            "1: `{{upper (date x}}`: a `(` is not closed; add `)`"
        );
        assert_eq!(
            mistake("\n{{ }}"),
            "2: `{{ }}` is empty; remove it, or write a field such as `{{data.x}}`"
        );
    }

    #[test]
    fn what_handlebars_takes_has_no_mistake() {
        for source in [
            "{{#if a}}x{{else if b}}y{{^}}z{{/if}}",
            "{{~#each a~}}{{this}}{{else}}none{{~/each~}}",
            "{{!-- {{#if}} --}}{{! {{/if }}",
            "{{line \"{{#if\" limit=3}}",
        ] {
            assert_eq!(mistake(source), "", "{source}");
        }
    }
}
