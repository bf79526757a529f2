//! What commands read beside their options: JSON files, and `KEY=VALUE`.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::Failure;

/// A file, or standard input for `-`.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    let read = std::fs::read_to_string(path);
    Ok(read.with_context(|| format!("{} cannot be read", path.display()))?)
}

/// A file of JSON, or standard input for `-`.
pub(super) fn json(path: &Path) -> Result<Value, Failure> {
    let text = text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Because(format!("{} is not JSON: {error}", path.display())))
}

/// `key=value`; a value that is JSON is that, any other is text.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((key.to_owned(), value))
}

/// A file's object, with single settings over it.
pub(super) fn settings(
    file: Option<&Path>,
    over: &[(String, Value)],
) -> Result<Map<String, Value>, Failure> {
    let mut map = match file.map(json).transpose()? {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(Failure::Because("the file is no JSON object".to_owned())),
    };
    map.extend(over.iter().cloned());
    Ok(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_json_where_it_can_be_and_text_elsewhere() {
        assert_eq!(
            setting("url=https://a.example/?b=c").unwrap().1,
            json!("https://a.example/?b=c")
        );
        assert_eq!(setting("fifo=true").unwrap().1, json!(true));
        assert_eq!(setting(r#"to=["a@b.example"]"#).unwrap().1, json!(["a@b.example"]));
        assert_eq!(setting("timeout=null").unwrap().1, json!(null));
        assert!(setting("url").is_err());
    }
}
