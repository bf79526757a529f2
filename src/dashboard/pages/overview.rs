//! A tenant's first page: what needs attention, then what happened, the destinations and the newest
//! events.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;

use super::destination_fields::channel_name;
use super::destinations::Destination;
use super::events::Line;
use super::stats::{self, Series, WINDOWS};
use super::suppressions::Suppression;
use super::{Listed, frame, or_problem};
use crate::dashboard::chart::Spark;
use crate::dashboard::client::{Problem, path, sentence};
use crate::dashboard::format::{count, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Dead letters that are counted. More are shown as "100 and more".
const DEAD_COUNTED: u64 = 100;
/// Things that need attention and are shown one by one.
const MAX_ATTENTION: usize = 8;

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    #[serde(default)]
    window: String,
}

#[derive(Deserialize)]
struct Tenant {
    name: String,
}

/// What happened in a window of time.
struct Activity {
    total: Series,
    received: Spark,
    delivered: Spark,
    dead: Spark,
    channels: Vec<Channel>,
}

/// What happened on one channel.
struct Channel {
    name: String,
    series: Series,
    delivered: Spark,
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
    more_attention: usize,
    window: usize,
    activity: Option<Activity>,
    waiting: String,
    destinations: Vec<Destination>,
    more_destinations: bool,
    events: Vec<Line>,
}

impl Page {
    fn summary(&self) -> String {
        match self.attention.len() + self.more_attention {
            0 => "Nothing needs attention.".to_owned(),
            1 => "One thing needs attention.".to_owned(),
            n => format!("{n} things need attention."),
        }
    }
}

/// Shows the overview.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let shown = read(&visit, &tenant, stats::window(&asked.window)).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, window: usize) -> Result<Response, Problem> {
    let below = |rest: &str| path(&["tenants", tenant]) + rest;
    let about: Tenant = visit.api.get(&below("")).await?;
    let destinations: Listed<Destination> = visit.api.get(&below("/destinations?limit=50")).await?;
    let events: Listed<Line> = visit.api.get(&below("/events?limit=10")).await?;
    let suppressions: Listed<Suppression> = visit.api.get(&below("/suppressions?limit=20")).await?;
    let dead = below(&format!("/deliveries?state=dead&limit={DEAD_COUNTED}"));
    let dead: Listed<serde::de::IgnoredAny> = visit.api.get(&dead).await?;

    let frame = frame(visit, tenant, "Overview", "overview");
    let mut attention: Vec<_> =
        suppressions.data.iter().map(|one| of_suppression(&frame, one)).collect();
    attention.extend(destinations.data.iter().filter_map(|one| of_destination(&frame, one)));
    if !dead.data.is_empty() {
        attention.push(of_dead(&frame, dead.data.len() as u64));
    }
    let waiting = destinations.data.iter().map(Destination::waiting).sum::<u64>();
    let more_attention = attention.len().saturating_sub(MAX_ATTENTION);
    attention.truncate(MAX_ATTENTION);
    Ok(page(&Page {
        frame,
        name: about.name,
        attention,
        more_attention,
        window,
        activity: activity(visit, tenant, window).await?,
        waiting: number(waiting),
        more_destinations: destinations.next_cursor.is_some(),
        destinations: destinations.data,
        events: events.data,
    }))
}

/// What happened in the window. `None` if the server keeps no statistics.
async fn activity(visit: &Visit, tenant: &str, window: usize) -> Result<Option<Activity>, Problem> {
    let (resource, now) = (path(&["tenants", tenant, "stats"]), visit.now_ms());
    let Some(total) = stats::read(visit, &resource, window, None).await? else { return Ok(None) };
    let total = total.into_iter().next().unwrap_or_default();
    let channels = stats::read(visit, &resource, window, Some("channel")).await?;
    let channel = |series: Series| Channel {
        name: channel_name(series.channel.as_deref().unwrap_or_default()).to_owned(),
        delivered: series.spark("Delivered", window, now, |counts| counts.delivered),
        series,
    };
    Ok(Some(Activity {
        received: total.spark("Events", window, now, |one| one.received.unwrap_or_default()),
        delivered: total.spark("Delivered", window, now, |counts| counts.delivered),
        dead: total.spark("Dead", window, now, |counts| counts.dead),
        total,
        channels: channels.unwrap_or_default().into_iter().map(channel).collect(),
    }))
}

fn of_suppression(frame: &Frame, one: &Suppression) -> Attention {
    let kept = match one.kept {
        0 => "Nothing was suppressed so far.".to_owned(),
        n => format!("{} kept for it.", count(n, "delivery")),
    };
    let bounced = one.reason == "bounces";
    let subject = match one.to.as_ref().filter(|_| one.id != one.destination) {
        Some(to) => format!("{to} in {}", one.destination),
        None => one.destination.clone(),
    };
    Attention {
        tone: if bounced { "wait" } else { "bad" },
        word: if bounced { "bounced" } else { "disabled" },
        subject,
        what: "receives nothing.".to_owned(),
        effect: format!("{} {kept} Others are not affected.", sentence(&one.message)),
        link: frame.at("suppressions"),
        action: "Repair",
    }
}

fn of_dead(frame: &Frame, n: u64) -> Attention {
    let more = if n >= DEAD_COUNTED { " and more" } else { "" };
    Attention {
        tone: "bad",
        word: "dead",
        subject: format!("{}{more}", count(n, "delivery")),
        what: "ended without reaching the receiver.".to_owned(),
        effect: "Each can be sent again after the cause is repaired.".to_owned(),
        link: frame.at("dead-letters"),
        action: "Look and send again",
    }
}

fn of_destination(frame: &Frame, one: &Destination) -> Option<Attention> {
    let paused = one.state == "paused" && one.waiting() > 0;
    paused.then(|| Attention {
        tone: "wait",
        word: "paused",
        subject: one.id.clone(),
        what: "receives nothing.".to_owned(),
        effect: format!(
            "{} until you resume it. Others are not affected.",
            match one.waiting() {
                1 => "1 delivery waits".to_owned(),
                n => format!("{} wait", count(n, "delivery")),
            }
        ),
        link: frame.of("destinations", &one.id),
        action: "Open",
    })
}
