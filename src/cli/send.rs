//! `fanfare send`: events from files or standard input, to a server or into the store.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args as ClapArgs;
use fanfare_contract::{Environment, Event};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use super::settings::Settings;
use super::{Done, Failure, awaited, output, remote};
use crate::app;
use crate::config::Period;
use crate::event::{Fill, Limits, Refusal, accept, event_id_for_key, new_event_id, tenant_id};
use fanfare_store::{Appended, Store};

/// Events sent at once.
const BATCH: usize = 500;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare send --tenant acme config/samples/kyc.ndjson
  echo '{\"type\":\"kyc.session.created\",\"data\":{}}' | fanfare send --tenant acme -
  fanfare send --tenant acme --server http://127.0.0.1:8400 events.ndjson
  fanfare send --tenant acme --wait=1m event.json

A file holds one event, a JSON array of events, or one event a line (NDJSON). A bad event is told
with its line and does not keep back the others; the exit code is 1 then.")]
pub(super) struct Args {
    /// Files; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The tenant whose events these are
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    #[command(flatten)]
    settings: Settings,
    /// Send over HTTP to this server instead of into the store
    #[arg(long, env = "FANFARE_SERVER", value_name = "URL", conflicts_with = "store")]
    server: Option<url::Url>,
    /// A key that may publish, for --server; best given in the environment
    #[arg(long, env = "FANFARE_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// The key in the server's settings, where there is no other
    #[arg(long, env = "FANFARE_INGEST_KEY", value_name = "KEY", hide_env_values = true)]
    ingest_key: Option<String>,
    /// The same key makes the same event: sending again adds nothing (single events only)
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// live or test: test events reach test destinations alone. Over HTTP the key decides
    #[arg(long, default_value = "live", value_parser = Environment::from_str, conflicts_with = "server")]
    environment: Environment,
    /// Waits until every event has been delivered, has died or goes nowhere, and shows it; exit
    /// code 1 unless all is delivered. For 30s, if no time is given. Over HTTP the key must be
    /// allowed to look
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30s")]
    wait: Option<Period>,
    /// Print JSON: counts, and what was refused with the reasons
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Default, Serialize)]
struct Summary {
    accepted: u64,
    duplicates: u64,
    refused: Vec<Refused>,
    /// With --wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct Refused {
    file: String,
    line: usize,
    code: String,
    message: String,
}

pub(super) async fn run(args: Args) -> Done {
    let tenant: Arc<str> =
        tenant_id(args.tenant.as_bytes()).map_err(|e| Failure::Because(e.message))?.into();
    let target = Target::open(&args, tenant.clone()).await?;
    let mut sender = Sender {
        target,
        summary: Summary::default(),
        pending: Vec::new(),
        bar: bar(&args.files),
        key: args.idempotency_key.clone(),
        key_used: false,
        environment: args.environment,
        sent: Vec::new(),
        remembers: args.wait.is_some(),
    };
    for path in &args.files {
        sender.file(path).await?;
    }
    sender.flush().await?;
    sender.bar.finish_and_clear();
    let Some(Period(wait)) = args.wait else { return report(&sender.summary, &args) };
    let target = remote::Target {
        settings: args.settings.clone(),
        server: args.server.clone(),
        key: args.key.clone(),
        development: false,
        json: args.json,
    };
    let api = remote::Api::open(&target, remote::Use::Plain).await?;
    sender.summary.events = awaited::events(&api, &args.tenant, &sender.sent, wait).await?;
    report(&sender.summary, &args)?;
    awaited::report(&sender.summary.events, args.json)
}

fn report(summary: &Summary, args: &Args) -> Done {
    if args.json {
        output::json(summary);
    } else {
        for refused in &summary.refused {
            output::error(&format!(
                "{}, line {}: {} ({})",
                refused.file, refused.line, refused.message, refused.code
            ));
        }
        let duplicates = match summary.duplicates {
            0 => String::new(),
            n => format!(", {n} were there already"),
        };
        let refused = match summary.refused.len() {
            0 => String::new(),
            n => format!(", {n} refused"),
        };
        output::line(format!("{} sent{duplicates}{refused}", summary.accepted));
    }
    if summary.refused.is_empty() { Ok(()) } else { Err(Failure::No) }
}

/// A progress bar for long input, on a terminal only.
fn bar(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().map(|path| std::fs::metadata(path).map(|meta| meta.len()));
    let total: Option<u64> = sizes.collect::<Result<Vec<_>, _>>().ok().map(|s| s.iter().sum());
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match total {
        Some(total) => ProgressBar::new(total).with_style(
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        None => ProgressBar::new_spinner(),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Where events go.
enum Target {
    Store { store: Store, tenant: Arc<str>, limits: Limits },
    Server { client: reqwest::Client, url: url::Url, tenant: Arc<str>, key: Option<String> },
}

impl Target {
    async fn open(args: &Args, tenant: Arc<str>) -> Result<Self, Failure> {
        if let Some(server) = &args.server {
            let url = server.join("/v1/events").context("--server is no base URL")?;
            let client = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_mins(1))
                .build()
                .context("the HTTP client")?;
            let key = args.key.as_ref().or(args.ingest_key.as_ref()).cloned();
            return Ok(Self::Server { client, url, tenant, key });
        }
        let (config, store) = args.settings.open_existing().await?;
        let (_, tenants) = store.directory.all().await?;
        if !tenants.iter().any(|known| *known.id == *tenant) {
            return Err(Failure::Because(format!(
                "there is no tenant `{tenant}` in {}; add it with `fanfare apply`",
                if app::is_redis(&config.store) { "Redis" } else { &config.store }
            )));
        }
        Ok(Self::Store { store, tenant, limits: app::limits(&config) })
    }

    fn limits(&self) -> Limits {
        match self {
            Self::Store { limits, .. } => *limits,
            // The server has its own; here only what would burst memory.
            Self::Server { .. } => Limits { max_bytes: 8 * 1024 * 1024, max_depth: 100 },
        }
    }

    fn tenant(&self) -> &Arc<str> {
        match self {
            Self::Store { tenant, .. } | Self::Server { tenant, .. } => tenant,
        }
    }
}

/// An event with its place in the input.
struct Pending {
    file: String,
    line: usize,
    event: Arc<Event>,
}

struct Sender {
    target: Target,
    summary: Summary,
    pending: Vec<Pending>,
    bar: ProgressBar,
    key: Option<String>,
    /// An event has got its id from the key.
    key_used: bool,
    environment: Environment,
    /// The ids of what was sent, if they are to be waited for.
    sent: Vec<String>,
    remembers: bool,
}

impl Sender {
    async fn file(&mut self, path: &PathBuf) -> Result<(), Failure> {
        let name = if path.as_os_str() == "-" { "standard input" } else { "" };
        if !name.is_empty() {
            return self.read(name, BufReader::new(tokio::io::stdin())).await;
        }
        let name = path.display().to_string();
        let file =
            tokio::fs::File::open(path).await.with_context(|| format!("{name} cannot be read"))?;
        self.read(&name, BufReader::with_capacity(1 << 16, file)).await
    }

    /// Looks at the first lines: one line that is an event by itself means NDJSON.
    async fn read(
        &mut self,
        name: &str,
        mut input: impl AsyncBufRead + Unpin,
    ) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            let cap = self.target.limits().max_bytes as u64 * 4;
            let read = (&mut input).take(cap).read_until(b'\n', &mut line).await;
            let read = read.with_context(|| format!("{name} cannot be read"))?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let whole = number == 1
                && (text == b"{"
                    || text.starts_with(b"[")
                    || serde_json::from_slice::<serde::de::IgnoredAny>(text)
                        .is_err_and(|e| e.is_eof()));
            if whole {
                return self.document(name, line, input).await;
            }
            self.add(name, number, Bytes::copy_from_slice(text)).await?;
            self.bar.inc(read as u64);
        }
    }

    /// One event over several lines, or an array of events.
    async fn document(
        &mut self,
        name: &str,
        mut text: Vec<u8>,
        mut input: impl AsyncBufRead + Unpin,
    ) -> Result<(), Failure> {
        const MOST: u64 = 1 << 30;
        (&mut input)
            .take(MOST)
            .read_to_end(&mut text)
            .await
            .with_context(|| format!("{name} cannot be read"))?;
        let text = Bytes::from(text);
        if text.trim_ascii_start().first() != Some(&b'[') {
            return self.add(name, 1, text.slice_ref(text.trim_ascii())).await;
        }
        let parts: Vec<&serde_json::value::RawValue> = match serde_json::from_slice(&text) {
            Ok(parts) => parts,
            Err(error) => {
                let message = format!("not a JSON array: {error}");
                self.refuse(name, error.line(), &Refusal::new("not_json", message));
                return Ok(());
            }
        };
        for part in parts {
            let raw = text.slice_ref(part.get().as_bytes());
            let before = raw.as_ptr() as usize - text.as_ptr() as usize;
            let line = 1 + memchr::memchr_iter(b'\n', &text[..before]).count();
            self.add(name, line, raw).await?;
        }
        Ok(())
    }

    async fn add(&mut self, file: &str, line: usize, raw: Bytes) -> Result<(), Failure> {
        let now = crate::agenda::Clock::System.now_ms();
        let tenant = self.target.tenant().clone();
        let by_key = std::cell::Cell::new(false);
        let id = || match &self.key {
            Some(key) => {
                by_key.set(true);
                event_id_for_key(&tenant, key)
            }
            None => new_event_id(now, rand::random()),
        };
        let fill = Fill { id: &id, received_ms: now };
        let decoded = accept(&tenant, raw, self.target.limits(), &fill);
        // A second event under the key would count as the first one, and be lost.
        if by_key.get() && std::mem::replace(&mut self.key_used, true) {
            let message = "--idempotency-key is for one event; give the others an `id` each";
            self.refuse(file, line, &Refusal::new("key_used", message));
            return Ok(());
        }
        match decoded {
            Ok(event) => {
                let event = Arc::new(event.with_environment(self.environment));
                self.pending.push(Pending { file: file.to_owned(), line, event });
                if self.pending.len() >= BATCH {
                    self.flush().await?;
                }
            }
            Err(refusal) => self.refuse(file, line, &refusal),
        }
        Ok(())
    }

    fn refuse(&mut self, file: &str, line: usize, refusal: &Refusal) {
        self.summary.refused.push(Refused {
            file: file.to_owned(),
            line,
            code: refusal.code.to_owned(),
            message: refusal.message.clone(),
        });
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        if self.remembers {
            self.sent.extend(pending.iter().map(|pending| pending.event.id.to_string()));
        }
        match &self.target {
            Target::Store { store, .. } => {
                let events = pending.into_iter().map(|pending| pending.event).collect();
                for appended in store.log.append(events).await? {
                    match appended {
                        Appended::Accepted => self.summary.accepted += 1,
                        Appended::Duplicate => self.summary.duplicates += 1,
                    }
                }
            }
            Target::Server { client, url, tenant, key } => {
                let answer = post(client, url, tenant, key.as_deref(), &pending).await?;
                self.count(&answer, &pending);
            }
        }
        self.bar.set_message(format!("{} sent", self.summary.accepted));
        Ok(())
    }

    fn count(&mut self, answer: &serde_json::Value, pending: &[Pending]) {
        let outcomes = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (outcome, pending) in outcomes.iter().zip(pending) {
            match outcome["outcome"].as_str() {
                Some("accepted") => self.summary.accepted += 1,
                Some("duplicate") => self.summary.duplicates += 1,
                _ => self.summary.refused.push(Refused {
                    file: pending.file.clone(),
                    line: pending.line,
                    code: outcome["error"]["code"].as_str().unwrap_or("refused").to_owned(),
                    message: outcome["error"]["message"].as_str().unwrap_or_default().to_owned(),
                }),
            }
        }
    }
}

/// Sends a batch; answers its `data`, also when all of it was refused.
async fn post(
    client: &reqwest::Client,
    url: &url::Url,
    tenant: &str,
    key: Option<&str>,
    pending: &[Pending],
) -> Result<serde_json::Value, Failure> {
    let bodies: Vec<&str> = pending
        .iter()
        .map(|pending| std::str::from_utf8(&pending.event.body).unwrap_or_default())
        .collect();
    let mut request = client
        .post(url.clone())
        .header("content-type", "application/json")
        .header("fanfare-tenant", tenant)
        .body(format!("[{}]", bodies.join(",")));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let host = url.authority();
    let response = request
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("the server at {host} cannot be reached; is it running?"))?;
    let status = response.status();
    let answer: serde_json::Value = response
        .json()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("{host} did not answer as Fanfare does"))?;
    if status.is_success() {
        return Ok(answer["data"].clone());
    }
    if answer["error"]["code"] == json!("all_refused") {
        return Ok(answer["error"]["details"].clone());
    }
    let message = answer["error"]["message"].as_str().unwrap_or("it gave no reason");
    Err(Failure::Because(format!("the server refused ({status}): {message}")))
}
