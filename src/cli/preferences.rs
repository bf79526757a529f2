//! `fanfare preferences`: the routes as a matrix of event types and destinations.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::options::TenantTarget;
use super::{CommandResult, help, output};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare preferences get --tenant acme
  fanfare preferences set --tenant acme kyc.session.created=backoffice

A cell is `yes` if every event of the type goes to the destination, `filtered` if a route's filter \
decides, and `-` otherwise.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show which event types go to which destinations
    #[command(after_help = "Example:\n  fanfare preferences get --tenant acme")]
    Get(TenantTarget),
    /// Turn event types on or off for destinations; other cells stay
    #[command(after_help = help::example(
        "fanfare preferences set --tenant acme kyc.session.created=backoffice \\\n    \
         'kyc.job.failed=!support'",
        "The change is written to the tenant's routes: see `fanfare routes list`."
    ))]
    Set(Set),
}

#[derive(ClapArgs)]
struct Set {
    /// TYPE=DESTINATION turns a cell on, TYPE=!DESTINATION turns it off
    #[arg(required = true, value_name = "TYPE=DESTINATION", value_parser = cell)]
    cells: Vec<Cell>,
    #[command(flatten)]
    at: TenantTarget,
}

/// Whether events of a type go to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    event_type: String,
    destination: String,
    on: bool,
}

fn cell(text: &str) -> Result<Cell, &'static str> {
    let parts = text.split_once('=');
    let (event_type, to) = parts.ok_or("write TYPE=DESTINATION or TYPE=!DESTINATION")?;
    let (destination, on) = to.strip_prefix('!').map_or((to, true), |to| (to, false));
    Ok(Cell { event_type: event_type.to_owned(), destination: destination.to_owned(), on })
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::Get(at) => print(at.json(), &at.get(["preferences"]).await?),
        Command::Set(Set { cells, at }) => {
            let request = at
                .request(Method::PATCH, ["preferences"])
                .body(json!({"preferences": matrix(&cells)}));
            print(at.json(), &at.target.data(request).await?);
        }
    }
    Ok(())
}

/// The cells as the API takes them: by event type, then by destination.
fn matrix(cells: &[Cell]) -> Map<String, Value> {
    let mut rows = Map::new();
    for Cell { event_type, destination, on } in cells {
        rows.entry(event_type).or_insert_with(|| json!({}))[destination] = json!(on);
    }
    rows
}

fn print(as_json: bool, data: &Value) {
    if as_json {
        return output::json(data);
    }
    let list = |name: &str| {
        let items = data[name].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let destinations = list("destinations");
    let mut table = output::table(&[&["TYPE"], &destinations[..]].concat());
    for event_type in list("event_types") {
        let cell = |to: &&str| match &data["preferences"][event_type][*to] {
            Value::Bool(true) => "yes".to_owned(),
            Value::String(word) => word.clone(),
            _ => "-".to_owned(),
        };
        let cells = destinations.iter().map(cell);
        table.add_row(std::iter::once(event_type.to_owned()).chain(cells));
    }
    output::print_table(&table);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_turned_on_or_off() {
        let cells = ["a.b=x", "a.b=!y"].map(|text| cell(text).unwrap());
        assert_eq!(Value::from(matrix(&cells)), json!({"a.b": {"x": true, "y": false}}));
        assert!(cell("a.b").is_err());
    }
}
