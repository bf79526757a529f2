//! `fanfare events --follow`: prints events as they arrive.

use http::Method;

use super::remote::{Api, ApiRequest, StoreUse};
use super::{CommandResult, events, output};

/// Seconds that one request waits for events.
const WAIT_SECONDS: u8 = 30;

/// Prints one event per line until the process is interrupted.
pub(super) async fn run(args: &events::Args) -> CommandResult {
    let api = Api::open(&args.target, StoreUse::Existing).await?;
    let mut after = args.after.clone();
    loop {
        let request = ApiRequest::new(Method::GET, &["events"])
            .query("tenant", args.tenant.as_ref())
            .query("types", args.event_type.as_ref())
            .query("undelivered_to", args.undelivered_to.as_ref())
            .query("environment", Some(&args.environment))
            .query("limit", args.page.limit)
            .query("wait", Some(WAIT_SECONDS))
            .query("after", after.as_ref());
        let page = api.exact(request).await?.json;
        for event in page["data"].as_list().into_iter().flatten() {
            output::json_line(event);
        }
        after = page["next_cursor"].as_str().map(str::to_owned);
    }
}
