//! How deeply a template is nested, found without recursion, before handlebars or mrml parse it.

use std::ops::Range;

use htmlparser::{ElementEnd, Token, Tokenizer};

use super::expand::{is_comment, read};
use super::limits::{CAROUSEL_IMAGES, DEPTH, ELEMENTS, SHARED_ATTRIBUTES};

/// What is nested too deeply, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch {
    pub(super) at: usize,
    pub(super) message: String,
}

fn too_much(at: usize, message: String) -> TooMuch {
    TooMuch { at, message }
}

/// The most levels of blocks and of subexpressions among `expressions` of `text`.
///
/// Handlebars keeps an `else if` as a block inside of the block before it, so each is a level.
pub(super) fn blocks(text: &str, expressions: &[Range<usize>]) -> Result<usize, TooMuch> {
    // For each open block, its own level and one for each `else if`.
    let mut open: Vec<usize> = Vec::new();
    let (mut level, mut deepest) = (0, 0);
    for range in expressions {
        let raw = &text[range.clone()];
        if is_comment(raw) {
            continue;
        }
        let inner = raw.trim_start_matches('{').trim_start_matches('~').trim_start();
        let nested = read(raw).map_or(0, |tag| tag.depth);
        if nested > DEPTH {
            let message = format!(
                "an expression has more than {DEPTH} levels of parentheses; use fewer, or compute \
                 the value in the event's producer"
            );
            return Err(too_much(range.start, message));
        }
        if inner.starts_with('#') {
            open.push(1);
            level += 1;
        } else if inner.starts_with('/') {
            level -= open.pop().unwrap_or_default();
        } else if is_else_chain(inner)
            && let Some(last) = open.last_mut()
        {
            *last += 1;
            level += 1;
        }
        if level > DEPTH {
            let message = format!(
                "blocks are nested more than {DEPTH} deep, and each `else if` counts as a level; \
                 use fewer levels, or two blocks one after the other"
            );
            return Err(too_much(range.start, message));
        }
        deepest = deepest.max(level).max(nested);
    }
    Ok(deepest)
}

/// Whether it is `{{else if …}}` or `{{^if …}}`. The plain `{{else}}` adds no level.
fn is_else_chain(inner: &str) -> bool {
    let rest = inner.strip_prefix("else").or_else(|| inner.strip_prefix('^'));
    rest.is_some_and(|rest| !rest.trim_matches(['}', '~', ' ', '\t', '\n', '\r']).is_empty())
}

/// The elements that mrml reads without a closing tag.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
];

/// Checks the nesting and the number of elements in MJML. Uses mrml's own tokenizer, so both see
/// the same elements. Text that cannot be read is left to mrml, which stops at the same place.
pub(super) fn elements(mjml: &str) -> Result<(), TooMuch> {
    let mut open: Vec<&str> = Vec::new();
    let (mut current, mut count, mut images, mut shared) = ("", 0_usize, 0, 0);
    for token in Tokenizer::from(mjml) {
        let Ok(token) = token else { break };
        match token {
            Token::ElementStart { local, span, .. } => {
                current = local.as_str();
                count += 1;
                images = match current {
                    "mj-carousel" => 0,
                    "mj-carousel-image" => images + 1,
                    _ => images,
                };
                if count > ELEMENTS {
                    let message = format!("there are more than {ELEMENTS} elements; use fewer");
                    return Err(too_much(span.start(), message));
                }
                if images > CAROUSEL_IMAGES {
                    let message = format!(
                        "an <mj-carousel> has more than {CAROUSEL_IMAGES} images; use fewer"
                    );
                    return Err(too_much(span.start(), message));
                }
            }
            Token::Attribute { span, .. } if open.contains(&"mj-attributes") => {
                shared += span.as_str().len();
            }
            Token::ElementEnd { end: ElementEnd::Open, span } if !VOID.contains(&current) => {
                open.push(current);
                if open.len() > DEPTH {
                    let message = format!(
                        "elements are nested more than {DEPTH} deep; close them, or use fewer"
                    );
                    return Err(too_much(span.start(), message));
                }
            }
            Token::ElementEnd { end: ElementEnd::Close(..), .. } => _ = open.pop(),
            _ => {}
        }
    }
    if shared.saturating_mul(count) > SHARED_ATTRIBUTES {
        let message = format!(
            "<mj-attributes> has {shared} bytes, and each of {count} elements gets them; use \
             shorter attributes"
        );
        return Err(too_much(0, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::expand::expressions;
    use super::*;

    fn levels(source: &str) -> Result<usize, String> {
        let ranges = expressions(source).map_err(|(_, message)| message)?;
        blocks(source, &ranges).map_err(|found| found.message)
    }

    #[test]
    fn blocks_else_ifs_and_parentheses_are_levels() {
        assert_eq!(
            levels("{{a}} {{#if a}}{{#each b}}{{c}}{{/each}}{{else}}x{{/if}}{{#if a}}{{/if}}"),
            Ok(2)
        );
        assert_eq!(levels("{{#if a}}x{{else if b}}y{{~else if c~}}z{{else}}{{/if}}"), Ok(3));
        assert_eq!(levels("{{#if a}}x{{^}}y{{/if}}{{! {{#if}} }}"), Ok(1));
        assert_eq!(levels("{{a (b (c (d 1)))}}"), Ok(3));
        assert_eq!(levels("{{/if}}{{else if x}}{{#if a}}"), Ok(1));
    }

    #[test]
    fn the_limit_is_sixty_four_levels_of_each_kind() {
        let blocks = |n: usize| "{{#if a}}".repeat(n) + &"{{/if}}".repeat(n);
        let chain = |n: usize| format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if a}}".repeat(n - 1));
        let parens = |n: usize| format!("{{{{f {}1{}}}}}", "(f ".repeat(n), ")".repeat(n));
        let lists = |n: usize| format!("{{{{f {}{}}}}}", "[".repeat(n), "]".repeat(n));
        for source in [blocks, chain, parens, lists] {
            assert_eq!(levels(&source(64)), Ok(64));
            assert!(levels(&source(65)).unwrap_err().contains("more than 64"));
            assert!(levels(&source(20_000)).unwrap_err().contains("more than 64"));
        }
    }

    #[test]
    fn elements_have_a_limit_in_depth_and_number() {
        let nested = |n: usize| "<mj-raw>".repeat(n) + &"</mj-raw>".repeat(n);
        assert!(elements(&nested(64)).is_ok());
        assert!(elements(&nested(65)).unwrap_err().message.contains("64 deep"));
        assert!(elements(&format!("<a>{}", "<br>".repeat(1_000))).is_ok(), "needs no closing tag");
        assert!(elements(&"<a title='>'>".repeat(65)).is_err());
        assert!(elements(&"<a><!-- </a> --><b title='</a></b>'/>".repeat(65)).is_err());
        assert!(elements(&format!("<a>{}", "<b/>".repeat(10_000))).is_err());
        let images = |n| format!("<mj-carousel>{}", "<mj-carousel-image/>".repeat(n));
        assert!(elements(&images(32)).is_ok());
        assert!(elements(&images(33)).is_err());
        let shared =
            format!("<mjml><mj-attributes><mj-all a='{}'/></mj-attributes>", "x".repeat(20_000));
        assert!(elements(&format!("{shared}{}", "<mj-text/>".repeat(1_000))).is_err());
    }
}
