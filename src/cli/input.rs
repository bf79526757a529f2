//! What commands read besides their options: files, standard input, and `KEY=VALUE`.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use fanfare_contract::Json;
use serde_json::{Map, Value};

use super::Failure;

/// The bytes of a file, or of standard input for `-`.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    Ok(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
}

/// The text of a file, or of standard input for `-`.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(bytes(path)?);
    text.map_err(|_| Failure::refused(format!("{} is not UTF-8 text", name(path))))
}

/// The JSON of a file, or of standard input for `-`.
pub(super) fn json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&text(path)?)
        .map_err(|error| Failure::refused(format!("{} is not valid JSON: {error}", name(path))))
}

/// The same, with numbers as they are written.
pub(super) fn exact(path: &Path) -> Result<Json, Failure> {
    serde_json::from_str(&text(path)?)
        .map_err(|error| Failure::refused(format!("{} is not valid JSON: {error}", name(path))))
}

/// How messages name the input.
pub(super) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// Parses `KEY=VALUE`. A value that is valid JSON is read as JSON, otherwise as text.
pub(super) fn setting(text: &str) -> Result<(String, Value), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((key.to_owned(), value))
}

/// The JSON object of a file, with single settings on top.
pub(super) fn settings(
    file: Option<&Path>,
    overrides: &[(String, Value)],
) -> Result<Map<String, Value>, Failure> {
    let mut map = match file {
        None => Map::new(),
        Some(path) => match json(path)? {
            Value::Object(map) => map,
            _ => return Err(Failure::refused(format!("{} is not a JSON object", name(path)))),
        },
    };
    map.extend(overrides.iter().cloned());
    Ok(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_if_it_is_valid_json_and_text_otherwise() {
        let value = |text: &str| setting(text).unwrap().1;
        assert_eq!(value("url=https://a.example/?b=c"), json!("https://a.example/?b=c"));
        assert_eq!(value("fifo=true"), json!(true));
        assert_eq!(value(r#"to=["a@b.example"]"#), json!(["a@b.example"]));
        assert_eq!(value("timeout=null"), json!(null));
        assert!(setting("url").is_err());
    }
}
