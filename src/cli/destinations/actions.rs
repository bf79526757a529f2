//! Actions on a destination: test, pause, resume, enable, recover.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::{Map, json};

use super::super::options::Window;
use super::super::{CommandResult, Failure, input, output, show};
use super::One;

#[derive(ClapArgs)]
pub(super) struct Test {
    #[command(flatten)]
    one: One,
    /// Type of the test event [default: fanfare.test]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// JSON file with the data of the test event; - reads standard input
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(super) struct Recover {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    window: Window,
}

pub(super) async fn test(args: Test) -> CommandResult {
    let mut body = Map::new();
    if let Some(event_type) = &args.event_type {
        body.insert("type".to_owned(), json!(event_type));
    }
    if let Some(path) = &args.data {
        body.insert("data".to_owned(), input::json(path)?);
    }
    let at = &args.one.at;
    let data = at.checking_api().await?.data(args.one.action("test").body(body)).await?;
    if at.json() {
        output::json(&data);
    } else {
        for tested in data["attempts"].as_array().into_iter().flatten() {
            let to = output::bold(&show::word(&tested["to"]));
            output::line(format!("{to}: {}", show::attempt(&tested["attempt"], 2)));
        }
    }
    if data["ok"] == json!(true) { Ok(()) } else { Err(Failure::Reported) }
}

/// Pauses, resumes, or enables a destination, and says whether that changed anything.
pub(super) async fn switch(one: One, action: &str, participle: &str) -> CommandResult {
    let One { destination, at } = &one;
    let api = at.api().await?;
    let before = api.call(at.request(Method::GET, ["destinations", destination])).await?;
    let after = api.call(one.action(action)).await?;
    // The entity tag covers the whole destination.
    let changed = before.etag != after.etag;
    if at.json() {
        output::json(&json!({"destination": destination, "changed": changed}));
    } else {
        let already = if changed { "" } else { "already " };
        output::line(format!("{destination}: {already}{participle}"));
    }
    Ok(())
}

pub(super) async fn recover(args: Recover) -> CommandResult {
    let mut body = Map::new();
    args.window.add_to(&mut body);
    let One { destination, at } = &args.one;
    let data = at.target.data(args.one.action("recover").body(body)).await?;
    if at.json() {
        output::json(&data);
        return Ok(());
    }
    output::line(format!("{destination}: enabled"));
    show::replayed(&data);
    Ok(())
}
