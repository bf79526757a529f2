//! The operators' page about the server: whether it is well, what waits, what is held back. And the
//! settings in force.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::destination_fields::channel_name;
use super::or_problem;
use super::stats::{self, Series};
use crate::dashboard::chart::Spark;
use crate::dashboard::client::Problem;
use crate::dashboard::format::{Time, bytes, count, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::story;
use crate::dashboard::visit::Visit;

#[derive(Deserialize)]
struct Server {
    version: String,
    store: String,
    checks: Vec<Check>,
    waiting: Option<u64>,
    oldest_waiting_ms: Option<i64>,
    tenants: u64,
    lanes: u64,
    in_flight: u64,
    in_line: u64,
    busiest: Vec<Load>,
    held: Vec<Held>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    ok: bool,
    message: String,
}

#[derive(Deserialize)]
struct Load {
    tenant: String,
    waiting: u64,
    stored_bytes: u64,
}

#[derive(Deserialize)]
struct Held {
    tenant: String,
    destination: String,
    to: String,
    reason: String,
    until_ms: Option<i64>,
}

impl Server {
    fn oldest(&self) -> Option<Time> {
        self.oldest_waiting_ms.map(Time::ms)
    }

    fn waiting(&self) -> String {
        self.waiting.map_or_else(|| "unknown".to_owned(), number)
    }

    fn store_name(&self) -> &str {
        match &*self.store {
            "embedded" => "the embedded store",
            "redis" => "Redis",
            other => other,
        }
    }
}

impl Load {
    fn waiting(&self) -> String {
        number(self.waiting)
    }

    fn stored(&self) -> String {
        bytes(self.stored_bytes)
    }
}

impl Held {
    fn why(&self) -> &'static str {
        story::hold(&self.reason)
    }

    fn until(&self) -> Option<Time> {
        self.until_ms.map(Time::ms)
    }
}

/// What all tenants sent in the last day.
struct Activity {
    total: Series,
    received: Spark,
    delivered: Spark,
    dead: Spark,
    channels: Vec<(String, Series)>,
}

#[derive(Template)]
#[template(path = "operations.html")]
struct Page {
    frame: Frame,
    server: Server,
    activity: Option<Activity>,
}

impl Page {
    fn summary(&self) -> String {
        let wrong = self.server.checks.iter().filter(|check| !check.ok).count();
        match wrong {
            0 => "The server is well.".to_owned(),
            n => format!("{} to look at.", count(n as u64, "thing")),
        }
    }
}

/// Shows the state of the server.
pub(in crate::dashboard) async fn show(visit: Visit) -> Response {
    let shown = async {
        let server = visit.api.get::<Server>("/server").await?;
        let activity = activity(&visit).await?;
        let frame = visit.frame("", "Server", "server");
        Ok(page(&Page { frame, server, activity }))
    };
    or_problem(&visit, "", shown.await)
}

/// What happened in the last 24 hours. `None` if the server keeps no statistics.
async fn activity(visit: &Visit) -> Result<Option<Activity>, Problem> {
    let now = visit.now_ms();
    let Some(total) = stats::read(visit, "/stats", 0, None).await? else { return Ok(None) };
    let total = total.into_iter().next().unwrap_or_default();
    let channels = stats::read(visit, "/stats", 0, Some("channel")).await?.unwrap_or_default();
    let named = |series: Series| {
        let channel = series.channel.as_deref().unwrap_or_default();
        (channel_name(channel).to_owned(), series)
    };
    Ok(Some(Activity {
        received: total.spark("Events", 0, now, |one| one.received.unwrap_or_default()),
        delivered: total.spark("Delivered", 0, now, |counts| counts.delivered),
        dead: total.spark("Dead", 0, now, |counts| counts.dead),
        total,
        channels: channels.into_iter().map(named).collect(),
    }))
}

#[derive(Deserialize)]
struct Settings {
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    key: String,
    value: Value,
    source: String,
}

impl Setting {
    fn value(&self) -> String {
        match &self.value {
            Value::String(text) if text.is_empty() => "\"\"".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn source(&self) -> &str {
        match &*self.source {
            "file" => "settings file",
            "option" => "option or environment",
            other => other,
        }
    }
}

/// The settings of one section of the file.
struct Section {
    name: String,
    settings: Vec<Setting>,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    sections: Vec<Section>,
}

/// Shows the settings in force.
pub(in crate::dashboard) async fn settings(visit: Visit) -> Response {
    let found = visit.api.get::<Settings>("/server/settings").await;
    let shown = found.map(|found| {
        let mut sections: Vec<Section> = Vec::new();
        for mut setting in found.settings {
            let (name, key) = match setting.key.split_once('.') {
                Some((section, key)) => (section.to_owned(), key.to_owned()),
                None => (String::new(), setting.key.clone()),
            };
            setting.key = key;
            match sections.iter_mut().find(|section| section.name == name) {
                Some(section) => section.settings.push(setting),
                None => sections.push(Section { name, settings: vec![setting] }),
            }
        }
        page(&SettingsPage { frame: visit.frame("", "Settings", "settings"), sections })
    });
    or_problem(&visit, "", shown)
}
