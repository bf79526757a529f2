//! Splits a JSON array into its items without reading them, so that one broken event does not take
//! the others with it.

use std::ops::Range;

/// The items of an array, in bytes of `text`, or of an object whose only field `events` is one.
/// Strings and brackets decide where an item ends, and what is between them may be anything. `None`
/// if the text does not have that form. Stops after `max` + 1 items.
pub fn array_items(text: &[u8], max: usize) -> Option<Vec<Range<usize>>> {
    let mut at = skip_space(text, 0);
    let is_wrapped = text.get(at) == Some(&b'{');
    if is_wrapped {
        at = skip_space(text, at + 1);
        at = skip_space(text, skip(text, at, b"\"events\"")?);
        at = skip_space(text, skip(text, at, b":")?);
    }
    at = skip(text, at, b"[")?;
    let mut items = Vec::new();
    let (mut begin, mut depth, mut in_string) = (at, 0_usize, false);
    loop {
        match (*text.get(at)?, in_string) {
            (b'\\', true) => at += 1,
            (b'"', _) => in_string = !in_string,
            (_, true) => {}
            (b'[' | b'{', _) => depth += 1,
            (b']', _) if depth == 0 => {
                items.push(begin..at);
                break;
            }
            (b']' | b'}', _) => depth = depth.checked_sub(1)?,
            (b',', _) if depth == 0 => {
                items.push(begin..at);
                begin = at + 1;
                if items.len() > max {
                    return Some(items);
                }
            }
            _ => {}
        }
        at += 1;
    }
    at = skip_space(text, at + 1);
    if is_wrapped {
        at = skip_space(text, skip(text, at, b"}")?);
    }
    if at < text.len() {
        return None;
    }
    if let [one] = &items[..]
        && text[one.clone()].trim_ascii().is_empty()
    {
        items.clear();
    }
    Some(items.into_iter().map(|item| trim(text, item)).collect())
}

fn skip(text: &[u8], at: usize, token: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(token).then_some(at + token.len())
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_ascii_start().len()
}

fn trim(text: &[u8], item: Range<usize>) -> Range<usize> {
    let begin = skip_space(text, item.start).min(item.end);
    begin..begin + text[begin..item.end].trim_ascii_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &[u8]) -> Option<Vec<&[u8]>> {
        let found = array_items(text, 3)?;
        Some(found.into_iter().map(|item| &text[item]).collect())
    }

    #[test]
    fn an_item_ends_at_its_comma_whatever_is_in_it() {
        for (text, expected) in [
            (
                &b" [ {\"a\":\"],}\\\"\"} , [1,[2]],NaN ] "[..],
                vec![&b"{\"a\":\"],}\\\"\"}"[..], b"[1,[2]]", b"NaN"],
            ),
            (b"[{\"a\":\"\0\"},{\"b\":\"\xff\"}]", vec![b"{\"a\":\"\0\"}", b"{\"b\":\"\xff\"}"]),
            (b"{ \"events\" : [1,2] }", vec![b"1", b"2"]),
            (b"[1,,2]", vec![b"1", b"", b"2"]),
            (b"[ ]", vec![]),
        ] {
            assert_eq!(items(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_array_has_no_items_and_their_number_is_bounded() {
        for text in [
            &b"[1,2"[..],
            b"[1]]",
            b"[1] 2",
            b"[\"a]",
            b"[}]",
            b"{\"events\":[1],\"more\":2}",
            b"{\"events\":[1]",
            b"{\"other\":[1]}",
            b"",
            b"1",
        ] {
            assert_eq!(items(text), None, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(items(b"[1,2,3,4,5 and the rest").unwrap().len(), 4);
    }
}
