//! The settings in force, with the source of each value, for operators. Secrets are left out.

use toml::{Table, Value};

use super::Config;

/// A setting in force.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// Its key, such as `http.burst`.
    pub key: String,
    /// Its value. A secret is replaced by `(set)`.
    pub value: Value,
    /// `default`, `file`, or `option`.
    pub source: &'static str,
}

/// Settings whose values are secrets.
const SECRETS: [&str; 3] = ["ingest.key", "metrics.key", "email.password"];

/// Every setting of `config`. `file` is the settings file as it is written, if there is one.
pub fn in_force(config: &Config, file: Option<&str>) -> Vec<InForce> {
    let table = |config: &Config| Table::try_from(config).unwrap_or_default();
    let (now, defaults) = (table(config), table(&Config::default()));
    let file: Table = file.and_then(|text| text.parse().ok()).unwrap_or_default();
    let from_file = file.clone().try_into::<Config>().map(|config| table(&config));
    let from_file = from_file.unwrap_or_default();
    let mut found = Vec::new();
    walk("", &now, &mut |key, value| {
        let source = if at(&file, key).is_some() && at(&from_file, key) == Some(value) {
            "file"
        } else if at(&defaults, key) == Some(value) {
            "default"
        } else {
            "option"
        };
        found.push(InForce { key: key.to_owned(), value: shown(key, value), source });
    });
    found
}

fn walk(prefix: &str, table: &Table, found: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => walk(&key, inner, found),
            value => found(&key, value),
        }
    }
}

fn at<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let (first, rest) =
        key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (table.get(first)?, rest) {
        (Value::Table(inner), Some(rest)) => at(inner, rest),
        (value, None) => Some(value),
        _ => None,
    }
}

fn shown(key: &str, value: &Value) -> Value {
    if SECRETS.contains(&key) {
        return Value::from("(set)");
    }
    let Value::String(text) = value else { return value.clone() };
    let Ok(mut url) = url::Url::parse(text) else { return value.clone() };
    // The address of a store or of a collector can have a password, and secrets in its query.
    let hides = url.password().is_some() || !url.username().is_empty();
    if hides {
        let _ = url.set_password(None);
        let _ = url.set_username("");
        return Value::from(format!("{url} (with credentials)"));
    }
    value.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_source_and_no_secret_is_shown() {
        let file =
            "store = \"redis://u:S3cret@h/\"\n[http]\nburst = 7\n[email]\npassword = \"S3cret\"";
        let mut config: Config = toml::from_str(file).unwrap();
        config.development = true;
        config.http.burst = 9;
        let all = in_force(&config, Some(file));
        let find = |key: &str| all.iter().find(|one| one.key == key).unwrap();
        assert_eq!(find("development").source, "option");
        assert_eq!(find("http.burst").source, "option", "an option beats the file");
        assert_eq!(find("http.requests_per_second").source, "default");
        assert_eq!(find("store").source, "file");
        assert!(!format!("{all:?}").contains("S3cret"), "{all:?}");
        assert_eq!(find("email.password").value, Value::from("(set)"));
    }

    #[test]
    fn a_key_of_the_file_with_its_default_value_comes_from_the_file() {
        let config = Config::default();
        let file = "[http]\nburst = 5000";
        let all = in_force(&config, Some(file));
        assert_eq!(all.iter().find(|one| one.key == "http.burst").unwrap().source, "file");
    }
}
