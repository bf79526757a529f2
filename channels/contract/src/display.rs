//! Which characters change how the text around them is displayed.

/// Whether a character is a control character or a bidirectional control. In a terminal, a browser
/// or a mail program, such a character can hide, reorder or forge the text around it.
///
/// These are the Unicode category Cc (`ESC`, and the C1 controls that terminals accept in place of
/// it), the embeddings, overrides and isolates of the bidirectional algorithm, and the separators
/// of lines and paragraphs. Tab and line feed are among them. The marks U+061C, U+200E and U+200F
/// are not: they only order the characters beside them, and names in Arabic and Hebrew need them.
pub fn is_display_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The error about a one-line text for people that has a character of [`is_display_control`].
pub fn check_display_text(text: &str) -> Result<(), String> {
    match text.chars().find(|c| is_display_control(*c)) {
        None => Ok(()),
        Some(c) => Err(format!(
            "has the invisible character U+{:04X}, which changes how text is displayed; remove it",
            u32::from(c)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_changes_the_display_is_refused_and_names_in_any_script_are_not() {
        for text in
            ["a\u{1b}]0;x\u{7}", "\u{9b}31m", "\u{202e}txt.exe", "a\u{2066}b", "a\nb", "\u{7f}"]
        {
            let error = check_display_text(text).unwrap_err();
            assert!(error.contains("U+"), "{error}");
        }
        for text in ["Acme Bank", "大久保", "שלום\u{200f}", "ß – “x”", "👩\u{200d}🚀", ""]
        {
            assert_eq!(check_display_text(text), Ok(()), "{text}");
        }
        assert!(check_display_text("\u{202e}").unwrap_err().contains("U+202E"));
    }
}
