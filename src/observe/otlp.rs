//! Sends spans to a collector by OTLP over HTTP, with the client and the TLS that all else uses.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use tokio::runtime::Handle;
use url::Url;

use super::Spans;
use crate::config::Tracing;

/// How long one export may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a collector's answer is read.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Where spans go, if anywhere: as OpenTelemetry's environment variables say, else the settings.
pub fn endpoint(settings: &Tracing) -> anyhow::Result<Option<Url>> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let parse = |name: &str, text: String| {
        Url::parse(&text).with_context(|| format!("{name} is no URL; write http://127.0.0.1:4318"))
    };
    if let Some(whole) = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return parse("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole).map(Some);
    }
    let base = match set("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Some(base) => Some(parse("OTEL_EXPORTER_OTLP_ENDPOINT", base)?),
        None => settings.otlp_endpoint.clone(),
    };
    Ok(base.map(|mut url| {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }))
}

impl Spans {
    /// Exports to `endpoint` in batches, from a thread of its own.
    pub(super) fn export(endpoint: Url, sample: f64) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let client = Client { http, runtime: Handle::current(), away: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .context("settings, [tracing]: spans cannot be exported")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource());
        Ok(Self::new(processor, sample))
    }
}

/// Who sends. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more, or otherwise.
fn resource() -> Resource {
    let instance = format!("{:016x}", rand::random::<u64>());
    let builder = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ]);
    if std::env::var_os("OTEL_SERVICE_NAME").is_some() {
        return builder.build();
    }
    builder.with_service_name("fanfare").build()
}

/// Our client for the exporter, whose thread has no runtime of its own.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// The last export failed: the next that fails is not told again.
    away: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.http.clone(), request)).await;
        let answer = sent.map_err(HttpError::from).and_then(|answer| answer);
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match trouble {
            Some(trouble) if !self.away.swap(true, Ordering::Relaxed) => {
                tracing::warn!(trouble, "the trace collector takes no spans; they are dropped");
            }
            None if self.away.swap(false, Ordering::Relaxed) => {
                tracing::info!("the trace collector takes spans again");
            }
            _ => {}
        }
        answer
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request)?;
    // The URL may hold a credential.
    let mut response = http.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut answer = Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        headers.clone_from(response.headers());
    }
    let mut body = BytesMut::new();
    while body.len() < ANSWER_LIMIT
        && let Some(part) = response.chunk().await.map_err(reqwest::Error::without_url)?
    {
        body.extend_from_slice(&part);
    }
    Ok(answer.body(body.freeze())?)
}
