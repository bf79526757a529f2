//! Cuts text without breaking what belongs together.
//!
//! Text is cut between *atoms*. An atom is a character as people see it (a grapheme, with its
//! accents and joiners), an escaped entity (`&amp;`), or in mrkdwn a link or mention
//! (`<url|label>`). A code fence that a cut leaves open is closed and opened again in the next
//! part.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;

/// The markup of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Slack's mrkdwn: `<…>` is a link or a mention.
    Mrkdwn,
    /// Plain text or standard Markdown: `<` has no special meaning.
    Plain,
}

/// Marks the end of a shortened text.
const ELLIPSIS: &str = "…";
const FENCE: &str = "```";
/// Maximum length of an entity. `&quot;` has 6 bytes, numeric entities have a few more.
const ENTITY_MAX: usize = 10;
/// Maximum code units of one grapheme. A longer pile of accents is broken up.
const GRAPHEME_MAX: usize = 24;

/// The length as counted for Slack's limits: UTF-16 code units.
pub fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Shortens the text to `max` (at least 30). A shortened text ends in `…`.
pub fn shorten(text: &str, max: usize, markup: Markup) -> Cow<'_, str> {
    if length(text) <= max {
        return Cow::Borrowed(text);
    }
    let fence_room = if text.contains(FENCE) { FENCE.len() + 1 } else { 0 };
    let room = max - length(ELLIPSIS) - fence_room;
    let atoms = atoms(text, markup, room);
    let end = fill(&atoms, room);
    let mut kept = atoms[..word_end(&atoms, end)].concat();
    kept.truncate(kept.trim_end().len());
    kept.push_str(ELLIPSIS);
    if fence_room > 0 && fence_is_open(&kept) {
        kept.push('\n');
        kept.push_str(FENCE);
    }
    Cow::Owned(kept)
}

/// Splits the text into parts of `max` at most (at least 30). The cuts are at line ends if that
/// keeps at least half of a part, otherwise between words. Parts of whitespace are left out.
pub fn split(text: &str, max: usize, markup: Markup) -> Vec<String> {
    if length(text) <= max {
        return vec![text.to_owned()];
    }
    let fenced = text.contains(FENCE);
    // A part in the middle of a code block gets a fence at both ends.
    let room = if fenced { max - 2 * (FENCE.len() + 1) } else { max };
    let atoms = atoms(text, markup, room);
    let mut parts = Vec::new();
    let mut rest = &atoms[..];
    let mut open = false;
    while !rest.is_empty() {
        let end = line_end(rest, fill(rest, room));
        let (now, later) = rest.split_at(end);
        rest = later;
        let body = now.concat();
        let body = body.trim_end().trim_start_matches('\n');
        if body.trim().is_empty() {
            continue;
        }
        let mut part = if open { format!("{FENCE}\n{body}") } else { body.to_owned() };
        open = fenced && fence_is_open(&part);
        if open {
            part.push('\n');
            part.push_str(FENCE);
        }
        parts.push(part);
    }
    parts
}

fn fence_is_open(text: &str) -> bool {
    text.matches(FENCE).count() % 2 == 1
}

/// How many atoms fit into `room`. At least one, so that loops over them end.
fn fill(atoms: &[&str], room: usize) -> usize {
    let mut used = 0;
    let fitting = atoms.iter().take_while(|atom| {
        used += length(atom);
        used <= room
    });
    fitting.count().max(1)
}

/// The last line end before `end`, if that keeps half of the atoms. Otherwise the last word end.
fn line_end(atoms: &[&str], end: usize) -> usize {
    if end == atoms.len() {
        return end;
    }
    let line = atoms[..end].iter().rposition(|atom| atom.contains('\n'));
    line.filter(|at| at * 2 >= end).map_or_else(|| word_end(atoms, end), |at| at + 1)
}

/// The last word end before `end`, if that keeps three quarters of the atoms.
fn word_end(atoms: &[&str], end: usize) -> usize {
    if end == atoms.len() {
        return end;
    }
    let space = atoms[..end].iter().rposition(|atom| atom.trim().is_empty());
    space.filter(|at| at * 4 >= end * 3).map_or(end, |at| at + 1)
}

/// The text's atoms, none longer than `room`.
fn atoms(text: &str, markup: Markup, room: usize) -> Vec<&str> {
    let mut atoms = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let special = match rest.as_bytes()[0] {
            b'<' if markup == Markup::Mrkdwn => link(rest),
            b'&' => entity(rest),
            b'`' if rest.starts_with(FENCE) => Some(FENCE.len()),
            _ => None,
        };
        if let Some(end) = special {
            let (atom, after) = rest.split_at(end);
            rest = after;
            if length(atom) <= room {
                atoms.push(atom);
            } else {
                // A URL that is too long for its place is replaced with its label.
                atoms.extend(self::atoms(label(atom), Markup::Plain, room));
            }
            continue;
        }
        // The graphemes up to the next character that can start a special atom.
        let mut next = rest.char_indices().skip(1).filter(|(_, c)| matches!(c, '<' | '&' | '`'));
        let (run, after) = rest.split_at(next.next().map_or(rest.len(), |(at, _)| at));
        rest = after;
        for grapheme in run.graphemes(true) {
            if length(grapheme) <= GRAPHEME_MAX.min(room) {
                atoms.push(grapheme);
            } else {
                atoms.extend(grapheme.split_inclusive(|_: char| true));
            }
        }
    }
    atoms
}

/// The end of the link or mention at the start of `text`.
fn link(text: &str) -> Option<usize> {
    let end = text[1..].find(['<', '>'])? + 1;
    (end > 1 && text.as_bytes()[end] == b'>').then_some(end + 1)
}

/// The end of the entity at the start of `text`.
fn entity(text: &str) -> Option<usize> {
    let end = text.bytes().take(ENTITY_MAX).position(|byte| byte == b';')?;
    let name = &text.as_bytes()[1..end];
    let whole =
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#');
    whole.then_some(end + 1)
}

/// The `label` of `<url|label>`. Empty for `<url>`.
fn label(link: &str) -> &str {
    link.split_once('|').map_or("", |(_, label)| label.trim_end_matches('>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_within_the_limit_is_not_changed() {
        let text = "a".repeat(150);
        assert_eq!(shorten(&text, 150, Markup::Plain), text);
        assert_eq!(split(&text, 150, Markup::Plain), [text.as_str()]);
    }

    #[test]
    fn a_longer_text_ends_in_an_ellipsis_at_the_limit() {
        let short = shorten(&"a".repeat(151), 150, Markup::Plain).into_owned();
        assert_eq!(short, format!("{}…", "a".repeat(149)));
        assert_eq!(length(&short), 150);
    }

    #[test]
    fn words_stay_whole_if_that_costs_little() {
        let text = format!("{} incomprehensibilities", "word ".repeat(8));
        assert_eq!(shorten(&text, 45, Markup::Plain), format!("{}…", "word ".repeat(8).trim_end()));
    }

    #[test]
    fn an_entity_is_kept_whole_or_left_out_whole() {
        for max in 30..60 {
            let short = shorten(&"&amp;&lt;&gt;".repeat(10), max, Markup::Mrkdwn).into_owned();
            assert!(length(&short) <= max);
            let bare = short.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            assert_eq!(bare, "…", "{short}");
        }
    }

    #[test]
    fn a_link_is_kept_whole_or_left_out_whole() {
        let link = "<https://example.com/case?id=7&amp;tab=2|case 7>";
        for lead in 0..60 {
            let text = format!("{}{link} and more and more", "x".repeat(lead));
            let short = shorten(&text, 60, Markup::Mrkdwn).into_owned();
            assert!(length(&short) <= 60);
            assert!(short.contains(link) || !short.contains(['<', '>', '|']), "{short}");
        }
    }

    #[test]
    fn a_link_that_is_too_long_becomes_its_label() {
        let text = format!("see <https://example.com/{}|the case>", "y".repeat(4_000));
        assert_eq!(shorten(&text, 3_000, Markup::Mrkdwn), "see the case…");
    }

    #[test]
    fn a_family_an_accent_and_a_flag_are_one_character_each() {
        for grapheme in ["👩‍👩‍👧‍👦", "e\u{301}\u{323}", "🇪🇸", "👍🏽"] {
            let text = grapheme.repeat(100);
            for max in 30..60 {
                let short = shorten(&text, max, Markup::Mrkdwn).into_owned();
                assert_eq!(short.replace(grapheme, ""), "…");
                assert!(length(&short) <= max);
            }
        }
    }

    #[test]
    fn the_parts_together_are_the_whole_text() {
        let text = (0..900).map(|n| format!("line {n} &amp; <https://e.example/{n}|link {n}>\n"));
        let text: String = text.collect();
        let parts = split(&text, 3_000, Markup::Mrkdwn);
        assert!(parts.iter().all(|part| length(part) <= 3_000));
        assert_eq!(parts.join("\n"), text.trim_end());
    }

    #[test]
    fn a_code_fence_that_is_cut_is_closed_and_opened_again() {
        let text = format!("before\n```\n{}```\nafter", "let x = 1;\n".repeat(50));
        let parts = split(&text, 200, Markup::Mrkdwn);
        assert!(parts.len() > 2);
        for part in &parts {
            assert_eq!(part.matches("```").count() % 2, 0, "{part}");
            assert!(length(part) <= 200);
        }
        let short = shorten(&text, 100, Markup::Mrkdwn).into_owned();
        assert!(short.ends_with("…\n```") && length(&short) <= 100, "{short}");
    }
}
