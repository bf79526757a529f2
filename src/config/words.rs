//! What the TOML parser says about a wrong value, in the words of people who write settings.

use fanfare_routing::did_you_mean;

/// A section of the settings, with the key that is meant when the section is written as a value.
const SECTIONS: [(&str, &str); 4] =
    [("log", "filter"), ("secrets", "key_file"), ("ingest", "key"), ("metrics", "enabled")];

/// The message for a key, from the parser's message and the value as it is written.
pub(super) fn explain(path: &str, message: &str, written: &str) -> String {
    let message = message.lines().next().unwrap_or_default().trim();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown(rest, "keys");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (given, known) = quoted(rest);
        let hint = did_you_mean(&given, known.iter().map(String::as_str));
        return format!("must be {}{hint}", listed(&known));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("lacks the key {}", rest.trim_end_matches('.'));
    }
    if message.contains("relative URL") || message.contains("invalid port number") {
        return "must be a URL, such as \"https://host/path\"".to_owned();
    }
    if message.contains("invalid IP address") || message.contains("invalid prefix") {
        return "must be a network, such as \"10.1.0.0/16\"".to_owned();
    }
    if message.contains("socket address") {
        return "must be an IP address and a port, such as \"127.0.0.1:8400\"".to_owned();
    }
    if let Some(expected) = message.strip_prefix("invalid type: ").and_then(expected) {
        return wrong_type(path, expected, written);
    }
    if let Some(expected) = message.strip_prefix("invalid value: ").and_then(expected) {
        return wrong_type(path, expected, written);
    }
    message.to_owned()
}

/// What follows `expected`.
fn expected(message: &str) -> Option<&str> {
    message.rsplit_once("expected ").map(|(_, expected)| expected.trim())
}

fn unknown(rest: &str, what: &str) -> String {
    let (given, known) = quoted(rest);
    match did_you_mean(&given, known.iter().map(String::as_str)) {
        hint if !hint.is_empty() => format!("is unknown{hint}"),
        _ if known.is_empty() => "is unknown; remove it".to_owned(),
        _ => format!("is unknown; the {what} here are {}", known.join(", ")),
    }
}

/// The word that was given and the words that are known: all that is between backticks.
fn quoted(text: &str) -> (String, Vec<String>) {
    let mut words = text.split('`').skip(1).step_by(2).map(str::to_owned);
    (words.next().unwrap_or_default(), words.collect())
}

fn listed(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => {
            format!("\"{}\" or \"{last}\"", first.join("\", \""))
        }
        words => format!("\"{}\"", words.concat()),
    }
}

fn wrong_type(path: &str, expected: &str, written: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or_default();
    match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" | "i64" => match bytes(written) {
            Some(bytes) => format!("must be a number of bytes: {bytes}"),
            None => "must be a whole number that is not negative".to_owned(),
        },
        "f64" => "must be a number, such as 0.5".to_owned(),
        "a boolean" => "must be true or false, without quotes".to_owned(),
        "a string" => "must be text in quotes".to_owned(),
        "a sequence" => format!("must be a list: [{}]", written.trim()),
        "a map" => format!("must be a section: write [{path}] and its keys below it"),
        other if other.starts_with("struct ") => {
            let key = SECTIONS.iter().find(|(section, _)| *section == name);
            match key {
                Some((_, key)) => {
                    format!("is a section: write [{path}], and below it {key} = {}", written.trim())
                }
                None => format!("is a section: write [{path}], and its keys below it"),
            }
        }
        other => format!("must be {other}"),
    }
}

/// A size with a unit, in bytes.
fn bytes(written: &str) -> Option<u64> {
    let text = written.trim().trim_matches(['"', '\'']);
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_messages_become_advice() {
        for (path, message, written, expected) in [
            (
                "email.hots",
                "unknown field `hots`, expected one of `host`, `port`",
                "",
                "is unknown; did you mean `host`?",
            ),
            (
                "log",
                "invalid type: string \"debug\", expected struct Log",
                "\"debug\"",
                "is a section: write [log], and below it filter = \"debug\"",
            ),
            (
                "events.max_bytes",
                "invalid type: string \"256KiB\", expected usize",
                "\"256KiB\"",
                "must be a number of bytes: 262144",
            ),
            (
                "listen",
                "invalid socket address syntax",
                "",
                "must be an IP address and a port, such as \"127.0.0.1:8400\"",
            ),
            (
                "log.format",
                "unknown variant `jsn`, expected one of `auto`, `text`, `json`",
                "",
                "must be \"auto\", \"text\" or \"json\"; did you mean `json`?",
            ),
            (
                "http.burst",
                "invalid value: integer `-1`, expected u32",
                "-1",
                "must be a whole number that is not negative",
            ),
        ] {
            assert_eq!(explain(path, message, written), expected, "{message}");
        }
    }
}
