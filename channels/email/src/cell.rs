//! A cell of a CSV file, from untrusted data.
//!
//! No cell starts a formula in a spreadsheet (OWASP, "CSV injection"), and every cell has a maximum
//! length. A formula is made a text by an apostrophe before it. Numbers and telephone numbers begin
//! like formulas and are left alone, because they cannot do harm and people calculate with them.

use std::borrow::Cow;

use fanfare_contract::Json;

/// Maximum length of a cell, in characters. Excel's own limit is 32,767.
pub(crate) const LONGEST_CELL: usize = 4096;
/// Maximum number of list elements in one cell.
const MOST_ELEMENTS: usize = 50;
/// Maximum length of a number, in characters. Longer texts are no numbers that people write.
const LONGEST_NUMBER: usize = 40;

/// The value as a cell.
pub(crate) fn cell(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Text(text) => guarded(text),
        Json::List(elements) => {
            let scalars = elements.iter().filter(|element| is_scalar(element));
            let texts: Vec<_> = scalars.take(MOST_ELEMENTS).map(plain).collect();
            guarded(&texts.join("; ")).into_owned().into()
        }
        // A number is not a formula, even if it is negative.
        _ => plain(value),
    }
}

/// Whether the value is text, a number, or true or false.
pub(crate) fn is_scalar(value: &Json) -> bool {
    !matches!(value, Json::Object(_) | Json::List(_) | Json::Null)
}

fn plain(value: &Json) -> Cow<'_, str> {
    match value {
        // A number is a cell as it was written.
        Json::Text(text) | Json::Number(text) => Cow::Borrowed(text),
        _ => value.to_string().into(),
    }
}

/// The text as a cell that no spreadsheet executes, cut to its limit.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    let cut = text.char_indices().nth(LONGEST_CELL).map(|(end, _)| &text[..end]);
    let ellipsis = if cut.is_some() { "…" } else { "" };
    let text_kept = cut.unwrap_or(text);
    match (starts_formula(text), cut) {
        (true, _) => format!("'{text_kept}{ellipsis}").into(),
        (false, Some(_)) => format!("{text_kept}{ellipsis}").into(),
        (false, None) => text.into(),
    }
}

/// Whether a spreadsheet could take the text for a formula: by its first character, also after
/// blanks, quotes and separators. Separators inside the text are harmless, because the file quotes
/// every text.
fn starts_formula(text: &str) -> bool {
    if text.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let skipped = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '\'' | ',' | ';' | '|' | '\u{feff}' | '\u{200b}')
    };
    let text = text.trim_start_matches(skipped);
    text.starts_with(is_formula_start) && !is_number(text.trim_end())
}

/// The characters that start a formula, and their full-width and small forms, which some programs
/// convert.
fn is_formula_start(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@')
        || matches!(c, '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫' | '\u{2212}')
}

/// A number or a telephone number: a sign, and digits in groups. `-5.00`, `+34 600 111 222`,
/// `-1,200.50`, `+1 (555) 010-0000`, `-12%`, `-1.5e-7`. With one operator at its start, the rest
/// cannot refer to a cell, call a function or start a program.
fn is_number(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['+', '-', '\u{2212}', '＋', '－']) else { return false };
    let rest = rest.trim_start();
    let rest = rest.strip_suffix('%').unwrap_or(rest);
    let is_telephone = text.starts_with(['+', '＋']);
    let known = |c: char| match c {
        '0'..='9' | '.' | ',' | '\u{a0}' | '\u{202f}' | ' ' | '_' => true,
        '(' | ')' | '-' | '/' => is_telephone,
        _ => false,
    };
    let is_plain = rest.chars().all(known);
    rest.len() <= LONGEST_NUMBER
        && rest.starts_with(|c: char| c.is_ascii_digit() || c == '.' || (c == '(' && is_telephone))
        && rest.ends_with(|c: char| c.is_ascii_digit())
        && (is_plain || rest.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_spreadsheet_could_execute_becomes_text() {
        for text in [
            "=1+1",
            "+1+cmd|' /C calc'!A0",
            "-2+3+cmd|' /C calc'!A0",
            "@SUM(A1)",
            "＝1",
            "＋A1",
            "－A1",
            "＠SUM(A1)",
            "\u{2212}A1",
            "﹦1+1",
            "\tx",
            "\rx",
            "\n=1",
            "  =1+1",
            "\"=1+1",
            "'=1+1",
            "\u{feff}=1",
            "\u{a0}=1",
            ";=1+1",
            ",=1+1",
            "-A1",
            "+A1",
            "-5-A1",
            "+",
            "-",
            "-.",
            "--1",
            "-1-1",
            "-inf",
            "+nan",
            "+1 (2)*A1",
            &format!("-{}", "1".repeat(100)),
        ] {
            assert_eq!(guarded(text), format!("'{text}"), "{text:?}");
        }
    }

    #[test]
    fn numbers_and_plain_text_are_left_alone() {
        for text in [
            "",
            "-5.00",
            "+34 600 111 222",
            "+1 (555) 010-0000",
            "+44/20/7946-0000",
            "-1,200.50",
            "-1.200,50",
            "+.5",
            "-12%",
            "-1.5e-7",
            "- 5",
            "\u{2212}5",
            "  -5.00",
            ";-5",
            "Jane;=1",
            "list:\n- one\n- two",
            "Jane Doe",
            "a-b",
            "a=b",
            "jane@acme.example",
            "1-2",
            "a, b; c",
            "address; PEP; 3",
            "2024-12-26",
            "大久保",
        ] {
            assert_eq!(guarded(text), text);
        }
    }

    #[test]
    fn a_long_cell_is_cut() {
        let long = "x".repeat(LONGEST_CELL + 5);
        assert_eq!(guarded(&long).chars().count(), LONGEST_CELL + 1);
        assert!(guarded(&format!("={long}")).starts_with("'="));
    }
}
