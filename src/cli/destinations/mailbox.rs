//! `fanfare destinations messages` and `commit`: reads a mailbox, as a consumer does over the API.

use clap::Args as ClapArgs;
use http::Method;
use serde_json::json;

use super::super::{CommandResult, output, show};
use super::One;

/// Options of `messages`.
#[derive(ClapArgs)]
pub(super) struct Messages {
    #[command(flatten)]
    one: One,
    /// Name of the consumer; each has its own position [default: default]
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Read after this cursor instead of after the last commit
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Wait this many seconds, up to 60, if there is no message [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u8).range(0..=60))]
    wait: Option<u8>,
    /// Maximum number of messages, 1 to 1000 [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
}

/// Options of `commit`.
#[derive(ClapArgs)]
pub(super) struct Commit {
    #[command(flatten)]
    one: One,
    /// Cursor of a message, or `next_cursor` of `fanfare destinations messages`
    cursor: String,
    /// Name of the consumer [default: default]
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Also move the position back, so that messages are returned again
    #[arg(long)]
    back: bool,
}

pub(super) async fn messages(args: Messages) -> CommandResult {
    let One { destination, at } = &args.one;
    let request = at
        .request(Method::GET, ["destinations", destination, "messages"])
        .query("consumer", args.consumer.as_ref())
        .query("after", args.after.as_ref())
        .query("wait", args.wait)
        .query("limit", args.limit);
    let messages = at.target.exact(request).await?.json;
    if at.json() {
        output::json(&messages);
        return Ok(());
    }
    show::one(false, &messages.shown())
}

pub(super) async fn commit(args: Commit) -> CommandResult {
    let at = &args.one.at;
    let consumer = args.consumer.as_deref().unwrap_or("default");
    let body = json!({"consumer": consumer, "cursor": args.cursor, "back": args.back});
    show::one(at.json(), &at.target.data(args.one.action("commit").body(body)).await?)
}
