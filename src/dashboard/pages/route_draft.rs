//! What a person typed into the form of a route: patterns, conditions and destinations.

use serde_json::{Map, Value};

use super::routes::Route;
use crate::dashboard::client::{Problem, sentence};
use crate::dashboard::filter::{self, Condition};
use crate::dashboard::form::Json;
use crate::dashboard::visit::Fields;

/// A row of the filter builder.
#[derive(Default)]
pub(super) struct Row {
    pub(super) condition: Condition,
    pub(super) error: Option<String>,
}

impl Row {
    pub(super) fn compares(&self, name: impl AsRef<str>) -> bool {
        self.condition.comparison == name.as_ref()
    }
}

/// What was typed.
pub(super) struct Draft {
    pub(super) route: Route,
    pub(super) rows: Vec<Row>,
    pub(super) json: String,
    pub(super) by_json: bool,
}

impl Draft {
    /// A stored route.
    pub(super) fn of(route: Route) -> Self {
        let filter = route.when.clone().unwrap_or_default();
        let found = filter::conditions(&filter);
        let by_json = found.is_none();
        let row = |condition| Row { condition, error: None };
        let rows = found.into_iter().flatten().map(row).collect();
        let json = if filter.is_empty() { String::new() } else { pretty(&filter) };
        Self { route, rows, json, by_json }
    }

    /// What a person typed. An error says which part cannot be read.
    pub(super) fn read(typed: &Fields) -> (Self, Result<(), Problem>) {
        let list = |name| match Json::List.read(typed.get(name)) {
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        let by_json = typed.get("filter") == "json";
        let mut rows = typed_rows(typed);
        let json = typed.get("when").to_owned();
        let when = if by_json { read_json(&json) } else { read_rows(&mut rows) };
        let (when, problem) = match when {
            Ok(filter) => ((!filter.is_empty()).then_some(filter), Ok(())),
            Err(problem) => (None, Err(problem)),
        };
        let boxes = typed.all("to").flat_map(|ids| ids.split([',', '\n']));
        let to = boxes.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let route = Route {
            id: String::new(),
            name: typed.given("name").map(str::to_owned),
            events: list("events"),
            except: list("except"),
            when,
            to,
            enabled: typed.given("enabled").is_some(),
        };
        (Self { route, rows, json, by_json }, problem)
    }
}

fn pretty(filter: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(filter).unwrap_or_default()
}

fn typed_rows(typed: &Fields) -> Vec<Row> {
    let column = |name: &str| {
        let named = typed.0.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
    };
    let (fields, comparisons, values) = (column("field"), column("comparison"), column("value"));
    let row = |((field, comparison), value): ((String, String), String)| Row {
        condition: Condition { field, comparison, value },
        error: None,
    };
    let rows = fields.into_iter().zip(comparisons).zip(values).map(row);
    let is_empty = |row: &Row| row.condition.field.is_empty() && row.condition.value.is_empty();
    rows.filter(|row| !is_empty(row)).collect()
}

fn read_rows(rows: &mut [Row]) -> Result<Map<String, Value>, Problem> {
    let conditions: Vec<Condition> = rows.iter().map(|row| row.condition.clone()).collect();
    filter::build(&conditions).map_err(|(at, message)| {
        let place = format!("condition {}", at + 1);
        rows[at].error = Some(sentence(&message));
        Problem::field(&place, message)
    })
}

fn read_json(text: &str) -> Result<Map<String, Value>, Problem> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    match fanfare_routing::exact::parse(text) {
        Ok(Value::Object(filter)) => Ok(filter),
        Ok(_) => Err(Problem::field("when", "must be a JSON object")),
        Err(error) => Err(Problem::field("when", format!("is not valid JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Fields {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Fields(pairs.iter().map(owned).collect())
    }

    #[test]
    fn rows_become_a_filter_and_empty_rows_are_left_out() {
        let (draft, readable) = Draft::read(&typed(&[
            ("events", "kyc.session.*\nkyc.job.completed"),
            ("field", "data.risk_score"),
            ("comparison", ">="),
            ("value", "70"),
            ("field", ""),
            ("comparison", "is"),
            ("value", ""),
            ("to", "support"),
            ("to", "mlro-now"),
            ("enabled", "yes"),
        ]));
        assert!(readable.is_ok());
        let expected = json!({
            "events": ["kyc.session.*", "kyc.job.completed"], "except": [],
            "when": {"data": {"risk_score": [{"numeric": [">=", 70]}]}},
            "to": ["support", "mlro-now"], "enabled": true,
        });
        assert_eq!(json!(draft.route), expected);
    }

    #[test]
    fn a_wrong_condition_keeps_its_row_and_says_why() {
        let (draft, readable) = Draft::read(&typed(&[
            ("events", "kyc.**"),
            ("field", "data.risk_score"),
            ("comparison", ">="),
            ("value", "high"),
        ]));
        assert!(readable.is_err());
        assert!(draft.rows[0].error.as_deref().unwrap().contains("number"));
        assert_eq!(draft.rows[0].condition.value, "high");
    }

    #[test]
    fn json_that_cannot_be_read_is_kept_as_it_was_typed() {
        let (draft, readable) = Draft::read(&typed(&[("filter", "json"), ("when", "{\"a\": [")]));
        assert_eq!(readable.unwrap_err().details[0].field, "when");
        assert_eq!((draft.json.as_str(), draft.by_json), ("{\"a\": [", true));
    }
}
