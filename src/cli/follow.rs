//! `fanfare events --follow`: events as they come, of a server or a store.

use http::Method;

use super::remote::{Api, Ask, Use};
use super::{Done, events, output};

/// Seconds that one request waits for events.
const WAIT: u8 = 30;

/// Events as they come, one a line, until somebody ends it.
pub(super) async fn follow(args: &events::Args) -> Done {
    let api = Api::open(&args.target, Use::Plain).await?;
    let mut after = args.after.clone();
    loop {
        let ask = Ask::of(Method::GET, &["events"])
            .with("tenant", args.tenant.as_ref())
            .with("types", args.kind.as_ref())
            .with("undelivered_to", args.undelivered_to.as_ref())
            .with("limit", Some(args.limit))
            .with("wait", Some(WAIT))
            .with("after", after.as_ref());
        let data = api.data(ask).await?;
        for event in data["data"].as_array().into_iter().flatten() {
            output::line(event);
        }
        after = data["next_cursor"].as_str().map(str::to_owned);
    }
}
