//! `retry_on` and `give_up_on`: what a destination makes of the statuses of its receiver.

use fanfare_contract::{FieldError, REFUSED_FOR_NOW};
use serde_json::{Map, Value};

/// Maximum number of entries in each list.
const ENTRIES_MAX: usize = 32;

/// What a status means for its delivery, where the destination decides that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry,
    GiveUp,
}

/// The two lists.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    retry_on: Box<[Entry]>,
    give_up_on: Box<[Entry]>,
}

/// An entry of a list.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// `404`.
    One(u16),
    /// `4xx`, by its first digit.
    Class(u16),
}

impl Entry {
    /// Whether it is this one status.
    fn names(self, status: u16) -> bool {
        matches!(self, Self::One(one) if one == status)
    }

    /// Whether it is the class of this status. What means "later" has to be named.
    fn includes(self, status: u16) -> bool {
        matches!(self, Self::Class(class) if class == status / 100)
            && !REFUSED_FOR_NOW.contains(&status)
    }
}

impl Statuses {
    /// Reads the lists of a destination's settings.
    pub(super) fn read(settings: &Map<String, Value>, errors: &mut Vec<FieldError>) -> Self {
        let mut list = |field| entries(field, settings.get(field), errors);
        let (retry_on, give_up_on) = (list("retry_on"), list("give_up_on"));
        let twice = retry_on.iter().find_map(|entry| match entry {
            Entry::One(status) => {
                give_up_on.iter().any(|other| other.names(*status)).then(|| status.to_string())
            }
            Entry::Class(class) => {
                let is_same = |other: &Entry| matches!(other, Entry::Class(it) if it == class);
                give_up_on.iter().any(is_same).then(|| format!("{class}xx"))
            }
        });
        if let Some(twice) = twice {
            let message = format!("has {twice}, which is also in `give_up_on`; remove one of them");
            errors.push(FieldError::new("retry_on", message));
        }
        Self { retry_on: retry_on.into(), give_up_on: give_up_on.into() }
    }

    /// What the destination decides for this status. A single status precedes its class.
    pub(crate) fn decide(&self, status: u16) -> Option<Decision> {
        let lists = [(&self.retry_on, Decision::Retry), (&self.give_up_on, Decision::GiveUp)];
        let find = |matches: fn(Entry, u16) -> bool| {
            let found = lists.iter().find(|(list, _)| list.iter().any(|it| matches(*it, status)));
            found.map(|(_, decision)| *decision)
        };
        find(Entry::names).or_else(|| find(Entry::includes))
    }
}

fn entries(field: &str, given: Option<&Value>, errors: &mut Vec<FieldError>) -> Vec<Entry> {
    let given = match given {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(given)) if given.len() <= ENTRIES_MAX => given,
        Some(_) => {
            let message = format!(
                "must be a list of at most {ENTRIES_MAX} statuses or classes, such as [404, \"5xx\"]"
            );
            errors.push(FieldError::new(field, message));
            return Vec::new();
        }
    };
    let mut read = Vec::with_capacity(given.len());
    for (nth, value) in given.iter().enumerate() {
        match entry(value) {
            Some(entry) => read.push(entry),
            None => {
                let message = "must be a status from 300 to 599 or a class: \"3xx\", \"4xx\" or \
                               \"5xx\"";
                errors.push(FieldError::new(format!("{field}[{nth}]"), message));
            }
        }
    }
    read
}

fn entry(value: &Value) -> Option<Entry> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        _ => return None,
    };
    match text.strip_suffix("xx") {
        Some(digit) => digit.parse().ok().filter(|it| (3..=5).contains(it)).map(Entry::Class),
        None => text.parse().ok().filter(|it| (300..=599).contains(it)).map(Entry::One),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value) -> Result<Statuses, Vec<String>> {
        let mut errors = Vec::new();
        let statuses = Statuses::read(settings.as_object().unwrap(), &mut errors);
        let errors: Vec<String> =
            errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect();
        if errors.is_empty() { Ok(statuses) } else { Err(errors) }
    }

    #[test]
    fn a_single_status_precedes_its_class_in_both_directions() {
        let statuses = read(&json!({"retry_on": [404, "5XX"], "give_up_on": ["4xx", 501, "422"]}));
        let statuses = statuses.unwrap();
        for (status, decision) in [
            (404, Some(Decision::Retry)),
            (400, Some(Decision::GiveUp)),
            (422, Some(Decision::GiveUp)),
            (501, Some(Decision::GiveUp)),
            (503, Some(Decision::Retry)),
            (302, None),
        ] {
            assert_eq!(statuses.decide(status), decision, "{status}");
        }
    }

    #[test]
    fn a_class_of_refusals_leaves_out_those_that_mean_later() {
        let statuses = read(&json!({"give_up_on": ["4xx"]})).unwrap();
        for later in REFUSED_FOR_NOW {
            assert_eq!(statuses.decide(later), None, "{later}");
        }
        let statuses = read(&json!({"give_up_on": ["4xx", 429]})).unwrap();
        assert_eq!(statuses.decide(429), Some(Decision::GiveUp));
    }

    #[test]
    fn what_is_no_status_is_refused_with_its_place() {
        for (settings, start) in [
            (json!({"retry_on": "5xx"}), "retry_on must be a list"),
            (json!({"give_up_on": [200]}), "give_up_on[0] must be a status from 300"),
            (json!({"give_up_on": [404, "2xx"]}), "give_up_on[1] must be"),
            (json!({"give_up_on": [404.5]}), "give_up_on[0] must be"),
            (json!({"give_up_on": [404], "retry_on": [404]}), "retry_on has 404, which is also"),
            (json!({"give_up_on": ["4xx"], "retry_on": ["4xx"]}), "retry_on has 4xx, which is"),
        ] {
            let errors = read(&settings).unwrap_err();
            assert!(errors[0].starts_with(start), "{errors:?}");
        }
    }
}
