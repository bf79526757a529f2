//! Forms: their fields, what was typed, and what the API says is wrong with it.
//!
//! A form is a list of fields that a template renders in order. The API checks the values. Its
//! details name fields as `settings.url`, and a field of a form has the same name, so every message
//! appears beside its field, and what was typed stays.

use serde_json::{Map, Value, json};

use super::client::{Detail, Problem, sentence};
use super::visit::Fields;

/// A field of a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// The name of the input, and of the field in the API's messages.
    pub(super) name: String,
    pub(super) label: String,
    /// What to type, in a sentence.
    pub(super) hint: &'static str,
    pub(super) example: &'static str,
    pub(super) kind: Kind,
    pub(super) value: String,
    pub(super) error: Option<String>,
    pub(super) required: bool,
    /// It cannot be changed.
    pub(super) fixed: bool,
    /// The choices of a [`Kind::Choice`]: value and label.
    pub(super) choices: Vec<(String, String)>,
    /// How its text becomes JSON.
    pub(super) json: Json,
}

/// How a field looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Line,
    /// A line that password managers leave alone and that is not shown while it is typed.
    Secret,
    /// Several lines.
    Lines,
    Choice,
}

/// How the text of a field becomes JSON. An empty field is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Json {
    #[default]
    Text,
    /// `false`, or a text.
    TextOrFalse,
    /// `true` and `false`, or a text.
    Word,
    /// A whole number. What is not one stays a text, so that the API says what is wrong.
    Number,
    /// One item per line or between commas.
    List,
    /// Lines of `name: value`.
    Pairs,
}

impl Json {
    /// The value that a text means. `None` if it is empty.
    pub(super) fn read(self, text: &str) -> Option<Value> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let number = |text: &str| text.parse::<u64>().map_or_else(|_| json!(text), |n| json!(n));
        let items = || text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
        Some(match self {
            Self::TextOrFalse if text == "false" => json!(false),
            Self::Text | Self::TextOrFalse => json!(text),
            Self::Word => match text {
                "true" => json!(true),
                "false" => json!(false),
                _ => json!(text),
            },
            Self::Number => number(text),
            Self::List => items().map(Value::from).collect(),
            Self::Pairs => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let pair = |line: &str| {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    (name.trim().to_owned(), json!(value.trim()))
                };
                Value::Object(lines.map(pair).collect())
            }
        })
    }

    /// The text that a value is shown as.
    pub(super) fn show(self, value: &Value) -> String {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match value {
            Value::Null => String::new(),
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
            Value::Object(pairs) if self == Self::Pairs => {
                let line = |(name, value): (&String, &Value)| format!("{name}: {}", plain(value));
                pairs.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            other => plain(other),
        }
    }
}

impl Field {
    pub(super) fn new(name: &str, label: &str, hint: &'static str) -> Self {
        let (name, label) = (name.to_owned(), label.to_owned());
        Self { name, label, hint, ..Self::default() }
    }

    pub(super) fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn lines(mut self, json: Json) -> Self {
        (self.kind, self.json) = (Kind::Lines, json);
        self
    }

    pub(super) fn json(mut self, json: Json) -> Self {
        self.json = json;
        self
    }

    pub(super) fn secret(mut self) -> Self {
        self.kind = Kind::Secret;
        self
    }

    pub(super) fn choices(mut self, choices: &[(&str, &str)]) -> Self {
        self.kind = Kind::Choice;
        let owned = |(value, label): &(&str, &str)| ((*value).to_owned(), (*label).to_owned());
        self.choices = choices.iter().map(owned).collect();
        self
    }

    pub(super) fn is_lines(&self) -> bool {
        self.kind == Kind::Lines
    }

    pub(super) fn is_choice(&self) -> bool {
        self.kind == Kind::Choice
    }

    pub(super) fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// What describes it for screen readers.
    pub(super) fn described(&self) -> String {
        let id = self.id();
        if self.error.is_some() { format!("{id}-hint {id}-error") } else { format!("{id}-hint") }
    }

    /// Its id in the page.
    pub(super) fn id(&self) -> String {
        format!("f-{}", self.name.replace('.', "-"))
    }

    /// Rows of a [`Kind::Lines`].
    pub(super) fn rows(&self) -> usize {
        (self.value.lines().count() + 1).clamp(3, 12)
    }
}

/// A form.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pub(super) fields: Vec<Field>,
    /// Fields that are rarely needed. They are folded while they are empty and right.
    pub(super) more: Vec<Field>,
    /// What is wrong beyond single fields.
    pub(super) errors: Vec<String>,
    /// The version of what is edited.
    pub(super) version: String,
}

impl Form {
    fn all_mut(&mut self) -> impl Iterator<Item = &mut Field> {
        self.fields.iter_mut().chain(&mut self.more)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().chain(&self.more)
    }

    /// Takes over what was typed.
    pub(super) fn fill(mut self, typed: &Fields) -> Self {
        for field in self.all_mut().filter(|field| !field.fixed) {
            typed.get(&field.name).clone_into(&mut field.value);
        }
        typed.get("version").clone_into(&mut self.version);
        self
    }

    /// Puts messages beside their fields, and the rest at the top.
    pub(super) fn refused(mut self, problem: &Problem) -> Self {
        if problem.code == "precondition_failed" || problem.status.as_u16() == 412 {
            let message = "Somebody changed this while you edited it. Your version is below. Open \
                           the page again in another tab to compare, then save once more.";
            self.errors.push(message.to_owned());
            self.version = String::new();
            return self;
        }
        let mut placed = false;
        for Detail { field, message } in &problem.details {
            // `settings.retry[2]` and `settings.digest.schedule` belong to their own field, or to
            // the field that contains them.
            let own = self.all_mut().filter(|there| is_at(field, &there.name));
            match own.max_by_key(|there| there.name.len()) {
                Some(there) => {
                    there.error.get_or_insert_with(|| sentence(message));
                    placed = true;
                }
                None if field.is_empty() => self.errors.push(sentence(message)),
                None => self.errors.push(sentence(&format!("{field}: {message}"))),
            }
        }
        if !placed && self.errors.is_empty() {
            self.errors.push(sentence(&problem.message));
        }
        self
    }

    /// Whether the folded fields are shown.
    pub(super) fn shows_more(&self) -> bool {
        self.more.iter().any(|field| !field.value.is_empty() || field.error.is_some())
    }

    /// How many messages it shows.
    pub(super) fn wrong(&self) -> usize {
        self.errors.len() + self.all().filter(|field| field.error.is_some()).count()
    }

    /// The message beside each field, by the field's name. For checks while a person types.
    pub(super) fn messages(&self) -> Value {
        let message = |field: &Field| (field.name.clone(), json!(field.error));
        Value::Object(self.all().map(message).collect())
    }
}

/// Whether the API's `field` is `name`, or within it.
fn is_at(field: &str, name: &str) -> bool {
    field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

/// The settings of a destination after a form: `before`, with the fields named `settings.…` as
/// typed. An empty field is absent.
pub(super) fn settings(form: &Form, before: &Map<String, Value>) -> Map<String, Value> {
    let mut settings = before.clone();
    for field in form.all().filter(|field| !field.fixed) {
        let Some(path) = field.name.strip_prefix("settings.") else { continue };
        let value = field.json.read(&field.value);
        let (outer, inner) = path.split_once('.').unwrap_or((path, ""));
        let value = if inner.is_empty() {
            value
        } else {
            let mut map = settings.get(outer).and_then(Value::as_object).cloned();
            let map = map.get_or_insert_default();
            match value {
                Some(value) => _ = map.insert(inner.to_owned(), value),
                None => _ = map.shift_remove(inner),
            }
            (!map.is_empty()).then(|| Value::Object(map.clone()))
        };
        match value {
            Some(value) => _ = settings.insert(outer.to_owned(), value),
            None => _ = settings.shift_remove(outer),
        }
    }
    settings
}

/// The merge patch (RFC 7396) that turns `before` into `after`.
pub(super) fn patch(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let mut patch: Map<_, _> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, new) in after {
        let inner = match (before.get(key), new) {
            (Some(old), new) if old == new => continue,
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(self::patch(old, new)),
            _ => new.clone(),
        };
        patch.insert(key.clone(), inner);
    }
    patch
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn form() -> Form {
        Form {
            fields: vec![
                Field::new("settings.url", "URL", ""),
                Field::new("settings.to", "To", "").lines(Json::List),
                Field::new("settings.headers", "Headers", "").lines(Json::Pairs),
            ],
            more: vec![
                Field::new("settings.concurrency", "", "").json(Json::Number),
                Field::new("settings.digest.schedule", "", ""),
                Field::new("settings.digest.timezone", "", ""),
            ],
            ..Form::default()
        }
    }

    fn typed(pairs: &[(&str, &str)]) -> Form {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        form().fill(&Fields(pairs.iter().map(owned).collect()))
    }

    #[test]
    fn what_was_typed_becomes_settings() {
        let form = typed(&[
            ("settings.url", " https://a/ "),
            ("settings.to", "a@x.example, b@x.example\n\nc@x.example"),
            ("settings.headers", "x-team: risk\nx-url: https://b:1/"),
            ("settings.concurrency", "many"),
            ("settings.digest.schedule", "0 8 * * *"),
        ]);
        let expected = json!({
            "url": "https://a/",
            "to": ["a@x.example", "b@x.example", "c@x.example"],
            "headers": {"x-team": "risk", "x-url": "https://b:1/"},
            "concurrency": "many",
            "digest": {"schedule": "0 8 * * *"},
        });
        assert_eq!(Value::Object(settings(&form, &Map::new())), expected);
    }

    #[test]
    fn a_change_removes_what_was_emptied_and_leaves_the_rest_alone() {
        let before = json!({
            "url": "https://a/", "digest": {"schedule": "x", "timezone": "UTC"}, "name": "kept",
            "headers": {"a": "****", "b": "2"},
        });
        let before = before.as_object().unwrap();
        let form = typed(&[
            ("settings.digest.schedule", "y"),
            ("settings.headers", "a: ****"),
            ("settings.to", "x"),
        ]);
        let after = settings(&form, before);
        let expected = json!({
            "digest": {"schedule": "y"}, "name": "kept", "headers": {"a": "****"}, "to": ["x"],
        });
        assert_eq!(Value::Object(after.clone()), expected);
        let expected = json!({
            "url": null, "digest": {"schedule": "y", "timezone": null}, "headers": {"b": null},
            "to": ["x"],
        });
        assert_eq!(Value::Object(patch(before, &after)), expected);
    }

    #[test]
    fn a_message_appears_beside_its_field_and_others_at_the_top() {
        let detail = |field: &str, message: &str| Detail {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        let problem = Problem {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: String::new(),
            message: "invalid".to_owned(),
            details: vec![
                detail("settings.to[1]", "is no address"),
                detail("settings.digest.schedule", "is no schedule"),
                detail("quota", "is exceeded"),
            ],
        };
        let form = typed(&[("settings.to", "x")]).refused(&problem);
        assert_eq!(form.fields[1].error.as_deref(), Some("Is no address."));
        assert_eq!(form.more[1].error.as_deref(), Some("Is no schedule."));
        assert_eq!(form.errors, ["quota: is exceeded."]);
        assert_eq!((form.wrong(), form.shows_more()), (3, true));
        assert_eq!(form.fields[1].value, "x", "what was typed stays");
    }

    #[test]
    fn every_value_is_shown_as_it_is_typed() {
        let pairs = json!({"a": "1", "b": "x: y"});
        for (json, text, value) in [
            (Json::List, "a\nb", json!(["a", "b"])),
            (Json::Pairs, "a: 1\nb: x: y", pairs),
            (Json::Word, "strict", json!("strict")),
            (Json::Word, "true", json!(true)),
            (Json::TextOrFalse, "false", json!(false)),
            (Json::Number, "7", json!(7)),
        ] {
            assert_eq!(json.read(text), Some(value.clone()), "{text}");
            assert_eq!(json.show(&value), text);
        }
    }
}
