//! `fanfare routes` and `fanfare preferences`: which events go where, as rules and as a matrix.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::remote::{Api, Of, Use};
use super::{Done, Failure, input, output, show};

/// Options of `routes`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare routes create --tenant acme --events 'kyc.**' --to backoffice
  fanfare routes list --tenant acme
  fanfare routes update --tenant acme rte_5d41402abc --to backoffice,support")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists a tenant's routes, in their order
    #[command(after_help = "Example:\n  fanfare routes list --tenant acme")]
    List(Of),
    /// Shows one
    #[command(after_help = "Example:\n  fanfare routes get --tenant acme rte_5d41402abc")]
    Get(One),
    /// Makes one, behind those there are
    #[command(
        after_help = "Example:\n  fanfare routes create --tenant acme --events 'kyc.**' --to backoffice"
    )]
    Create(Create),
    /// Changes one; what is not given stays
    #[command(
        after_help = "Example:\n  fanfare routes update --tenant acme rte_5d41402abc --disabled true"
    )]
    Update(Update),
    /// Puts all routes in the order given; those that are not among them are removed
    #[command(after_help = "Example:\n  fanfare routes put --tenant acme routes.json

The file is what `fanfare routes list --json` shows.")]
    Put(Put),
    /// Removes one
    #[command(after_help = "Example:\n  fanfare routes delete --tenant acme rte_5d41402abc")]
    Delete(One),
}

#[derive(ClapArgs)]
struct One {
    /// The route's id, as `fanfare routes list` shows it
    route: String,
    #[command(flatten)]
    of: Of,
}

/// What a route says.
#[derive(ClapArgs)]
struct Rule {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Event-type patterns that take types out again; an empty one for none
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    except: Option<Vec<String>>,
    /// A filter on the whole event: an EventBridge event pattern, as JSON; null for none
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    when: Option<Value>,
    /// true: it matches nothing until that is undone
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
}

fn json_text(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

#[derive(ClapArgs)]
struct Create {
    /// Event-type patterns: * is one word, ** one or more
    #[arg(long, value_name = "PATTERN", required = true, value_delimiter = ',')]
    events: Vec<String>,
    /// Ids of destinations
    #[arg(long, value_name = "DESTINATION", required = true, value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    of: Of,
}

#[derive(ClapArgs)]
struct Update {
    #[command(flatten)]
    one: One,
    /// Event-type patterns, in the place of those there are
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    events: Vec<String>,
    /// Ids of destinations, in the place of those there are
    #[arg(long, value_name = "DESTINATION", value_delimiter = ',')]
    to: Vec<String>,
    #[command(flatten)]
    rule: Rule,
}

#[derive(ClapArgs)]
struct Put {
    /// A JSON file; - is standard input
    file: PathBuf,
    #[command(flatten)]
    of: Of,
}

impl Rule {
    fn over(&self, body: &mut Map<String, Value>, events: &[String], to: &[String]) {
        let mut set = |name: &str, value: Option<Value>| {
            value.map(|value| body.insert(name.to_owned(), value));
        };
        set("name", self.name.as_ref().map(|name| json!(name)));
        let given =
            |types: &Vec<String>| types.iter().filter(|text| !text.is_empty()).cloned().collect();
        set("except", self.except.as_ref().map(given));
        set("when", self.when.clone());
        set("enabled", self.disabled.map(|disabled| json!(!disabled)));
        set("events", (!events.is_empty()).then(|| json!(events)));
        set("to", (!to.is_empty()).then(|| json!(to)));
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("ROUTE", "id"),
    ("NAME", "name"),
    ("EVENTS", "events"),
    ("EXCEPT", "except"),
    ("WHEN", "when"),
    ("TO", "to"),
    ("ENABLED", "enabled"),
];

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(of) => {
            let api = Api::open(&of.target, Use::Plain).await?;
            let data = api.data(of.ask(Method::GET, ["routes"])).await?;
            show::list(of.target.json, &data, &COLUMNS)
        }
        What::Get(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            let data = api.data(one.of.ask(Method::GET, ["routes", &one.route])).await?;
            show::one(one.of.target.json, &data)
        }
        What::Create(new) => {
            let mut body = Map::new();
            new.rule.over(&mut body, &new.events, &new.to);
            let api = Api::open(&new.of.target, Use::Plain).await?;
            let ask = new.of.ask(Method::POST, ["routes"]);
            let data = api.data(ask.body(body.into())).await?;
            let id = data["id"].as_str().unwrap_or_default();
            show::once(new.of.target.json, id, "created", &data)
        }
        What::Update(update) => change(update).await,
        What::Put(put) => put_all(put).await,
        What::Delete(one) => {
            let api = Api::open(&one.of.target, Use::Plain).await?;
            api.call(one.of.ask(Method::DELETE, ["routes", &one.route])).await?;
            show::done(one.of.target.json, &one.route, "deleted")
        }
    }
}

/// Reads it, changes it, and writes it unless somebody else did meanwhile.
async fn change(update: Update) -> Done {
    let One { route, of } = &update.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let there = api.call(of.ask(Method::GET, ["routes", route])).await?;
    let mut body = there.data.as_object().cloned().unwrap_or_default();
    body.remove("id");
    update.rule.over(&mut body, &update.events, &update.to);
    let ask = of.ask(Method::PUT, ["routes", route]).if_match(there.tag);
    show::one(of.target.json, &api.data(ask.body(body.into())).await?)
}

async fn put_all(put: Put) -> Done {
    let routes = match input::json(&put.file)? {
        Value::Array(routes) => json!({"routes": routes}),
        whole => whole,
    };
    let api = Api::open(&put.of.target, Use::Plain).await?;
    let data = api.data(put.of.ask(Method::PUT, ["routes"]).body(routes)).await?;
    show::list(put.of.target.json, &data, &COLUMNS)
}

/// Options of `preferences`.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare preferences get --tenant acme
  fanfare preferences set --tenant acme kyc.session.created=backoffice kyc.job.failed=!support")]
pub(super) struct Preferences {
    #[command(subcommand)]
    what: Matrix,
}

#[derive(Subcommand)]
enum Matrix {
    /// Shows which event types go to which destinations
    #[command(after_help = "Example:\n  fanfare preferences get --tenant acme")]
    Get(Of),
    /// Turns event types on or off for destinations; the others stay as they are
    #[command(
        after_help = "Example:\n  fanfare preferences set --tenant acme kyc.session.created=backoffice kyc.job.failed=!support"
    )]
    Set(Set),
}

#[derive(ClapArgs)]
struct Set {
    /// TYPE=DESTINATION turns on, TYPE=!DESTINATION turns off
    #[arg(required = true, value_name = "TYPE=DESTINATION")]
    cells: Vec<String>,
    #[command(flatten)]
    of: Of,
}

pub(super) async fn run_preferences(args: Preferences) -> Done {
    match args.what {
        Matrix::Get(of) => {
            let api = Api::open(&of.target, Use::Plain).await?;
            matrix(of.target.json, &api.data(of.ask(Method::GET, ["preferences"])).await?);
        }
        Matrix::Set(set) => {
            let body = json!({"preferences": cells(&set.cells)?});
            let api = Api::open(&set.of.target, Use::Plain).await?;
            let ask = set.of.ask(Method::PUT, ["preferences"]).body(body);
            matrix(set.of.target.json, &api.data(ask).await?);
        }
    }
    Ok(())
}

fn cells(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut rows = Map::new();
    for cell in given {
        let (kind, to) = cell.split_once('=').ok_or_else(|| {
            Failure::Because(format!("`{cell}` is not TYPE=DESTINATION or TYPE=!DESTINATION"))
        })?;
        let (to, on) = to.strip_prefix('!').map_or((to, true), |to| (to, false));
        rows.entry(kind).or_insert_with(|| json!({}))[to] = json!(on);
    }
    Ok(rows)
}

fn matrix(as_json: bool, data: &Value) {
    if as_json {
        return output::json(data);
    }
    let list = |name: &str| {
        let items = data[name].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let destinations = list("destinations");
    let mut table = output::table(&[&["TYPE"], &destinations[..]].concat());
    for kind in list("event_types") {
        let cell = |to: &&str| match &data["preferences"][kind][*to] {
            Value::Bool(true) => "yes".to_owned(),
            Value::String(word) => word.clone(),
            _ => "-".to_owned(),
        };
        table.add_row(std::iter::once(kind.to_owned()).chain(destinations.iter().map(cell)));
    }
    output::print_table(&table);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_turned_on_or_off() {
        let given = ["a.b=x".to_owned(), "a.b=!y".to_owned()];
        assert_eq!(Value::from(cells(&given).unwrap()), json!({"a.b": {"x": true, "y": false}}));
        assert!(cells(&["a.b".to_owned()]).is_err());
    }
}
