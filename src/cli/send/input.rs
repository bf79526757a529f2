//! Reads events from files and standard input, and hands them to the sink in batches.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use fanfare_contract::Environment;
use indicatif::ProgressBar;
use serde::de::IgnoredAny;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::sink::{Pending, Sink};
use super::{Args, Failure, Summary};
use crate::agenda::Clock;
use crate::event::{Fill, Refusal, accept, array_items, event_id_for_key, new_event_id};

/// Events sent at once.
const BATCH: usize = 500;
/// Maximum size of a file that is read whole: one event over several lines, or an array.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// Reads events and sends them.
pub(super) struct Sender {
    sink: Sink,
    tenant: Arc<str>,
    environment: Environment,
    idempotency_key: Option<String>,
    /// Whether an event has its id from the idempotency key.
    key_used: bool,
    pending: Vec<Pending>,
    summary: Summary,
    /// Ids of the events sent, if the command waits for them.
    sent: Option<Vec<String>>,
    bar: ProgressBar,
}

impl Sender {
    pub(super) fn new(args: &Args, tenant: Arc<str>, sink: Sink, bar: ProgressBar) -> Self {
        Self {
            sink,
            tenant,
            environment: args.environment,
            idempotency_key: args.idempotency_key.clone(),
            key_used: false,
            pending: Vec::new(),
            summary: Summary::default(),
            sent: args.wait.map(|_| Vec::new()),
            bar,
        }
    }

    /// Sends what is left. Returns what happened, and the ids of the events if they are waited for.
    pub(super) async fn finish(mut self) -> Result<(Summary, Vec<String>), Failure> {
        self.flush().await?;
        self.bar.finish_and_clear();
        Ok((self.summary, self.sent.unwrap_or_default()))
    }

    /// Reads one file, or standard input for `-`.
    pub(super) async fn file(&mut self, path: &Path) -> Result<(), Failure> {
        if path.as_os_str() == "-" {
            return self.read("standard input", BufReader::new(tokio::io::stdin())).await;
        }
        let name = path.display().to_string();
        let file = tokio::fs::File::open(path).await;
        let file = file.with_context(|| format!("cannot read {name}"))?;
        self.read(&name, BufReader::with_capacity(1 << 16, file)).await
    }

    /// Reads NDJSON line by line, unless the first line shows that the input is one document.
    async fn read(
        &mut self,
        name: &str,
        mut input: impl AsyncBufRead + Unpin,
    ) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut number = 0;
        // A longer line is cut, and refused as too large.
        let max_line = self.sink.limits().max_bytes as u64 * 4;
        loop {
            line.clear();
            let read = (&mut input).take(max_line).read_until(b'\n', &mut line).await;
            let read = read.with_context(|| format!("cannot read {name}"))?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if number == 1 && begins_document(text) {
                return self.document(name, line, input).await;
            }
            // Only the line's end does not belong to the event.
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            self.add(name, number, Bytes::copy_from_slice(text)).await?;
            self.bar.inc(read as u64);
        }
    }

    /// Reads one event over several lines, or an array of events.
    async fn document(
        &mut self,
        name: &str,
        mut text: Vec<u8>,
        mut input: impl AsyncBufRead + Unpin,
    ) -> Result<(), Failure> {
        let rest = (&mut input).take(MAX_DOCUMENT_BYTES).read_to_end(&mut text).await;
        rest.with_context(|| format!("cannot read {name}"))?;
        let text = Bytes::from(text);
        if text.trim_ascii_start().first() != Some(&b'[') {
            return self.add(name, 1, text.slice_ref(text.trim_ascii())).await;
        }
        // One broken event is refused alone, so the array is split without reading its items.
        let Some(items) = array_items(&text, usize::MAX - 1) else {
            let error = serde_json::from_slice::<IgnoredAny>(&text).err();
            let (line, why) = error.map_or((1, "it does not end".to_owned()), |error| {
                (error.line(), error.to_string())
            });
            let message = format!("not a JSON array: {why}");
            self.summary.refuse(name, line, &Refusal::new("not_json", message));
            return Ok(());
        };
        for item in items {
            let line = 1 + memchr::memchr_iter(b'\n', &text[..item.start]).count();
            self.add(name, line, text.slice(item)).await?;
        }
        Ok(())
    }

    async fn add(&mut self, file: &str, line: usize, raw: Bytes) -> Result<(), Failure> {
        let now = Clock::System.now_ms();
        let by_key = Cell::new(false);
        let id = || match &self.idempotency_key {
            Some(key) => {
                by_key.set(true);
                event_id_for_key(&self.tenant, key)
            }
            None => new_event_id(now, rand::random()),
        };
        let fill = Fill { id: &id, received_ms: now };
        let decoded = accept(&self.tenant, raw, self.sink.limits(), &fill);
        // A second event with the key would get the same id, count as a duplicate, and be lost.
        if by_key.get() && std::mem::replace(&mut self.key_used, true) {
            let message = "--idempotency-key is for one event; give each of the others an `id`";
            self.summary.refuse(file, line, &Refusal::new("key_used", message));
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
            Err(refusal) => self.summary.refuse(file, line, &refusal),
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        if let Some(sent) = &mut self.sent {
            sent.extend(pending.iter().map(|pending| pending.event.id.to_string()));
        }
        self.sink.send(pending, &mut self.summary).await?;
        self.bar.set_message(format!("{} sent", self.summary.accepted));
        Ok(())
    }
}

/// Whether a first line is the beginning of one document, rather than an event by itself.
fn begins_document(line: &[u8]) -> bool {
    line == b"{"
        || line.starts_with(b"[")
        || serde_json::from_slice::<IgnoredAny>(line).is_err_and(|error| error.is_eof())
}
