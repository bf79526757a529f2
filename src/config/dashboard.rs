//! `[dashboard]`

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::Period;

/// `[dashboard]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Whether `/ui` exists.
    pub enabled: bool,
    /// Longest time that a session lasts. A session ends earlier if its key does.
    pub session: Period,
    /// What a proxy removes from the beginning of paths. Empty, or such as `/fanfare`.
    #[serde(deserialize_with = "prefix")]
    pub path_prefix: String,
    /// The origins of sites that may show the dashboard in a frame.
    #[serde(deserialize_with = "origins")]
    pub frame_ancestors: Vec<String>,
    /// Where a person whose portal link has ended gets a new one.
    #[serde(deserialize_with = "web_page")]
    pub refresh_url: Option<String>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            enabled: true,
            session: Period::seconds(12 * 60 * 60),
            path_prefix: String::new(),
            frame_ancestors: Vec::new(),
            refresh_url: None,
        }
    }
}

fn prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let part = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        !part.is_empty() && part != "." && part != ".." && part.chars().all(known)
    };
    let right = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    if text.is_empty() || right {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "`{text}` is not a path prefix; write it with a slash at the beginning and none at the end, \
         such as \"/fanfare\""
    )))
}

fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    for text in &texts {
        let url = Url::parse(text).ok();
        let origin = url.filter(|url| matches!(url.scheme(), "https" | "http"));
        let origin = origin.map(|url| url.origin().ascii_serialization());
        if origin.as_deref() != Some(text) {
            return Err(D::Error::custom(format!(
                "`{text}` is not the origin of a site; write scheme, host and port without a path, \
                 such as \"https://app.acme.example\""
            )));
        }
    }
    Ok(texts)
}

fn web_page<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let right = url.ok_or_else(|| {
        let message = "is not the address of a page; write it in full, such as \
                       \"https://app.acme.example/notifications\"";
        D::Error::custom(format!("`{text}` {message}"))
    })?;
    Ok(Some(right.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Dashboard, String> {
        toml::from_str(toml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_prefix_an_origin_and_a_page_are_checked() {
        let right = r#"
            path_prefix = "/ops/fanfare"
            frame_ancestors = ["https://app.acme.example", "http://localhost:3000"]
            refresh_url = "https://app.acme.example/notifications?x=1"
        "#;
        assert!(read(right).is_ok(), "{:?}", read(right));
        for wrong in [
            r#"path_prefix = "fanfare""#,
            r#"path_prefix = "/fanfare/""#,
            r#"path_prefix = "/a/../b""#,
            r#"frame_ancestors = ["app.acme.example"]"#,
            r#"frame_ancestors = ["https://app.acme.example/x"]"#,
            r#"frame_ancestors = ["*"]"#,
            r#"refresh_url = "/notifications""#,
            r#"refresh_url = "javascript:alert(1)""#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
