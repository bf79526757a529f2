//! `fanfare events` and `deliveries` of a server; and following events, of a server or a store.

use http::Method;

use super::remote::{Api, Ask, Use};
use super::{Done, deliveries, events, output, show};

/// Seconds that one request waits for events.
const WAIT: u8 = 30;

fn ask(tenant: Option<&str>, rest: &[&str]) -> Ask {
    Ask::of(Method::GET, &[&["tenants", tenant.unwrap_or("me")], rest].concat())
}

/// One event, a list of them, or of what was rejected.
pub(super) async fn events(args: &events::Args) -> Done {
    let api = Api::open(&args.target, Use::Plain).await?;
    let json = args.target.json;
    let page = |ask: Ask| ask.with("limit", Some(args.limit)).with("cursor", args.cursor.as_ref());
    if args.rejected {
        let data = api.data(page(Ask::of(Method::GET, &["rejected"]))).await?;
        let columns = [
            ("AT", "at_ms"),
            ("ENTRY", "entry"),
            ("TENANT", "tenant"),
            ("CODE", "code"),
            ("REASON", "reason"),
        ];
        return show::list(json, &data, &columns);
    }
    let tenant = args.tenant.as_deref();
    if let Some(id) = &args.id {
        return show::one(json, &api.data(ask(tenant, &["events", id])).await?);
    }
    let list = ask(tenant, &["events"]).with("type", args.kind.as_ref());
    let columns = [
        ("RECEIVED", "received_ms"),
        ("EVENT", "id"),
        ("TYPE", "type"),
        ("STATE", "state"),
        ("OK", "deliveries/delivered"),
        ("WAIT", "deliveries/waiting"),
        ("SUPPR", "deliveries/suppressed"),
        ("DEAD", "deliveries/dead"),
    ];
    show::list(json, &api.data(page(list)).await?, &columns)
}

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

/// One delivery, or a list of them.
pub(super) async fn deliveries(args: &deliveries::Args) -> Done {
    let api = Api::open(&args.of.target, Use::Plain).await?;
    let (json, tenant) = (args.of.target.json, args.of.tenant.as_deref());
    if let Some(id) = &args.id {
        return show::one(json, &api.data(ask(tenant, &["deliveries", id])).await?);
    }
    let ask = ask(tenant, &["deliveries"])
        .with("status", args.state.as_ref())
        .with("destination", args.destination.as_ref())
        .with("type", args.kind.as_ref())
        .with("limit", Some(args.limit))
        .with("cursor", args.cursor.as_ref());
    let columns = [
        ("DELIVERY", "id"),
        ("TYPE", "type"),
        ("CHANNEL", "channel"),
        ("STATE", "state"),
        ("REASON", "reason"),
    ];
    show::list(json, &api.data(ask).await?, &columns)
}
