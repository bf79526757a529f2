//! Colors and weights of text on a terminal.
//!
//! A styled text has marks instead of escape sequences, so that the sequences of untrusted text can
//! all be escaped when it is printed, and only those of this module remain.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::escape;

/// Opens every mark. Unicode reserves it for internal use. Untrusted text can hold it nevertheless,
/// so a mark also has a letter that is chosen at random for each process.
const MARK: char = '\u{fdd0}';
static SEAL: LazyLock<char> = LazyLock::new(|| {
    let nth = rand::random_range(0..0x1900);
    // The private use area.
    char::from_u32(0xe000 + nth).unwrap_or('\u{e000}')
});
const END: char = '0';

/// The sequences of ECMA-48, by the last letter of the mark.
fn sequence(letter: char) -> Option<&'static str> {
    Some(match letter {
        'b' => "\x1b[1m",
        'd' => "\x1b[2m",
        'r' => "\x1b[31m",
        'g' => "\x1b[32m",
        'y' => "\x1b[33m",
        END => "\x1b[0m",
        _ => return None,
    })
}

fn styled(text: &str, letter: char) -> String {
    let seal = *SEAL;
    format!("{MARK}{seal}{letter}{text}{MARK}{seal}{END}")
}

/// A state in its color.
pub(in crate::cli) fn state(word: &str) -> String {
    let letter = match word {
        "delivered" | "accepted" | "matched" => 'g',
        "waiting" | "pending" | "retry" => 'y',
        "dead" | "refused" => 'r',
        _ => 'd',
    };
    styled(word, letter)
}

/// Less important text.
pub(in crate::cli) fn dim(text: &str) -> String {
    styled(text, 'd')
}

/// More important text.
pub(in crate::cli) fn bold(text: &str) -> String {
    styled(text, 'b')
}

/// What an error begins with.
pub(super) fn error_label() -> String {
    shown(&styled("error:", 'r'))
}

/// What a warning begins with.
pub(super) fn warning_label() -> String {
    shown(&styled("warning:", 'y'))
}

/// The text as it is printed: its marks become sequences, and everything else is escaped. The
/// printing stream removes the sequences unless it is a terminal that shows colors.
pub(super) fn shown(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut shown = escape::text(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let mut letters = part.chars();
        let sequence = match (letters.next(), letters.next()) {
            (Some(seal), Some(letter)) if seal == *SEAL => sequence(letter),
            _ => None,
        };
        match sequence {
            Some(sequence) => {
                shown.push_str(sequence);
                shown.push_str(&escape::text(letters.as_str()));
            }
            None => {
                // Not one of this module's marks.
                let _ = write!(shown, "\\u{{{:x}}}{}", u32::from(MARK), escape::text(part));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_sequences_remain() {
        let evil = "\u{1b}[31mx\u{fdd0}r\u{fdd0}";
        let printed = shown(&format!("{} {}", bold(evil), dim("y")));
        let expected = "\x1b[1m\\u{1b}[31mx\\u{fdd0}r\\u{fdd0}\x1b[0m \x1b[2my\x1b[0m";
        assert_eq!(printed, expected);
    }

    #[test]
    fn states_have_their_colors() {
        assert_eq!(shown(&state("dead")), "\x1b[31mdead\x1b[0m");
        assert_eq!(shown(&state("delivered")), "\x1b[32mdelivered\x1b[0m");
        assert_eq!(shown("plain"), "plain");
    }
}
