//! `fanfare destinations messages` and `commit`: reading a mailbox by hand.

use clap::Args as ClapArgs;
use http::Method;
use serde_json::json;

use super::destinations::One;
use super::remote::{Api, Use};
use super::{Done, show};

/// Options of `messages`.
#[derive(ClapArgs)]
pub(super) struct Messages {
    #[command(flatten)]
    one: One,
    /// Who reads; each consumer has a place of its own [default: default]
    #[arg(long)]
    consumer: Option<String>,
    /// Read on from here, rather than from what was committed
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Seconds to wait for a message when there is none
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u8).range(0..=60))]
    wait: Option<u8>,
    /// At most so many
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
}

/// Options of `commit`.
#[derive(ClapArgs)]
pub(super) struct Commit {
    #[command(flatten)]
    one: One,
    /// A message's cursor, or that after the last
    cursor: String,
    /// Who has read [default: default]
    #[arg(long)]
    consumer: Option<String>,
    /// Also when it is before what was committed: messages are given again
    #[arg(long)]
    back: bool,
}

pub(super) async fn messages(args: Messages) -> Done {
    let One { destination, of } = &args.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let ask = of
        .ask(Method::GET, ["destinations", destination, "messages"])
        .with("consumer", args.consumer.as_ref())
        .with("after", args.after.as_ref())
        .with("wait", args.wait)
        .with("limit", args.limit);
    show::one(of.target.json, &api.data(ask).await?)
}

pub(super) async fn commit(args: Commit) -> Done {
    let One { destination, of } = &args.one;
    let api = Api::open(&of.target, Use::Plain).await?;
    let consumer = args.consumer.as_deref().unwrap_or("default");
    let body = json!({"consumer": consumer, "cursor": args.cursor, "back": args.back});
    let ask = of.ask(Method::POST, ["destinations", destination, "commit"]).body(body);
    show::one(of.target.json, &api.data(ask).await?)
}
