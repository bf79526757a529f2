//! Changes of a destination's settings: create, put, update, and a new secret.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use http::Method;
use serde_json::{Map, Value, json};

use super::super::{CommandResult, input, show};
use super::One;
use crate::config::Period;

/// How settings are written on the command line.
pub(super) const NOTE: &str = "\
Settings are those of tenant files. A value that is valid JSON is read as JSON, otherwise as text.";

#[derive(ClapArgs)]
pub(super) struct Whole {
    /// Channel: webhook, email, slack, or poll
    #[arg(long, value_name = "CHANNEL")]
    channel: String,
    #[command(flatten)]
    update: Update,
}

#[derive(ClapArgs)]
pub(super) struct Update {
    #[command(flatten)]
    one: One,
    /// Settings, as in tenant files
    #[arg(value_name = "KEY=VALUE", value_parser = input::setting)]
    settings: Vec<(String, Value)>,
    /// File with settings as a JSON object; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(super) struct Rotate {
    #[command(flatten)]
    one: One,
    /// How long the old secret signs too [default: 24h]
    #[arg(long, value_name = "DURATION")]
    overlap: Option<Period>,
    /// File with the new secret; - reads standard input [default: generate a secret]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

pub(super) async fn create(args: Whole) -> CommandResult {
    let Whole { channel, update: Update { one: One { destination, at }, settings, file } } = args;
    let settings = input::settings(file.as_deref(), &settings)?;
    let request = at
        .request(Method::POST, ["destinations"])
        .body(json!({"id": destination, "channel": channel, "settings": settings}));
    let data = at.checking_api().await?.data(request).await?;
    show::changed(at.json(), &destination, "created", &data)
}

pub(super) async fn put(args: Whole) -> CommandResult {
    let Whole { channel, update: Update { one: One { destination, at }, settings, file } } = args;
    let settings = input::settings(file.as_deref(), &settings)?;
    let request = at
        .request(Method::PUT, ["destinations", &destination])
        .body(json!({"channel": channel, "settings": settings}));
    let data = at.checking_api().await?.data(request).await?;
    show::changed(at.json(), &destination, "saved", &data)
}

pub(super) async fn update(args: Update) -> CommandResult {
    let Update { one: One { destination, at }, settings, file } = args;
    let settings = input::settings(file.as_deref(), &settings)?;
    let request = at
        .request(Method::PATCH, ["destinations", &destination])
        .body(json!({"settings": settings}));
    let data = at.checking_api().await?.data(request).await?;
    show::changed(at.json(), &destination, "changed", &data)
}

pub(super) async fn rotate(args: Rotate) -> CommandResult {
    let mut body = Map::new();
    if let Some(Period(overlap)) = args.overlap {
        body.insert("overlap_seconds".to_owned(), json!(overlap.as_secs()));
    }
    if let Some(path) = &args.secret_file {
        body.insert("secret".to_owned(), json!(input::text(path)?.trim()));
    }
    let One { destination, at } = &args.one;
    let data = at.target.data(args.one.action("rotate-secret").body(body)).await?;
    show::changed(at.json(), destination, "secret replaced", &data)
}
