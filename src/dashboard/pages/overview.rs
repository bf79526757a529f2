//! A tenant's first page: what needs attention, then the destinations and the newest events.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;

use super::destinations::Destination;
use super::events::Line;
use super::{Listed, frame, or_problem};
use crate::dashboard::client::{Problem, path};
use crate::dashboard::format::count;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Dead letters that are counted. More are shown as "100 and more".
const DEAD_COUNTED: u64 = 100;

#[derive(Deserialize)]
struct Tenant {
    name: String,
}

/// Something that a person should look at.
struct Attention {
    tone: &'static str,
    word: &'static str,
    subject: String,
    what: String,
    effect: String,
    link: String,
    action: &'static str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    name: String,
    attention: Vec<Attention>,
    destinations: Vec<Destination>,
    events: Vec<Line>,
}

/// Shows the overview.
pub(in crate::dashboard) async fn show(visit: Visit, Path(tenant): Path<String>) -> Response {
    let shown = read(&visit, &tenant).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str) -> Result<Response, Problem> {
    let below = |rest: &str| path(&["tenants", tenant]) + rest;
    let about: Tenant = visit.api.get(&below("")).await?;
    let destinations: Listed<Destination> =
        visit.api.get(&below("/destinations?limit=100")).await?;
    let events: Listed<Line> = visit.api.get(&below("/events?limit=10")).await?;
    let dead = below(&format!("/deliveries?state=dead&limit={DEAD_COUNTED}"));
    let dead: Listed<serde::de::IgnoredAny> = visit.api.get(&dead).await?;

    let frame = frame(visit, tenant, "Overview", "overview");
    let mut attention: Vec<_> =
        destinations.data.iter().filter_map(|one| of_destination(&frame, one)).collect();
    if !dead.data.is_empty() {
        let n = dead.data.len() as u64;
        let more = if n >= DEAD_COUNTED { " and more" } else { "" };
        attention.push(Attention {
            tone: "bad",
            word: "dead",
            subject: format!("{}{more}", count(n, "delivery").replace("deliverys", "deliveries")),
            what: "ended without reaching the receiver".to_owned(),
            effect: "Each can be sent again after the cause is repaired.".to_owned(),
            link: frame.at("dead-letters"),
            action: "Look and replay",
        });
    }
    Ok(page(&Page {
        frame,
        name: about.name,
        attention,
        destinations: destinations.data,
        events: events.data,
    }))
}

fn of_destination(frame: &Frame, one: &Destination) -> Option<Attention> {
    let waiting = match one.waiting() {
        0 => "Nothing waits for it.".to_owned(),
        1 => "1 delivery waits for it.".to_owned(),
        n => format!("{n} deliveries wait for it."),
    };
    let (tone, word, what) = match (&*one.state, &one.disabled) {
        ("disabled", disabled) => {
            let why = disabled.as_ref().map(|disabled| disabled.message.clone());
            ("bad", "disabled", why.unwrap_or_default())
        }
        ("paused", _) if one.waiting() > 0 => ("wait", "paused", "receives nothing".to_owned()),
        _ => return None,
    };
    Some(Attention {
        tone,
        word,
        subject: one.id.clone(),
        what,
        effect: format!("{waiting} Other destinations are not affected."),
        link: frame.at(&format!("destinations/{}", one.id)),
        action: "Open",
    })
}
