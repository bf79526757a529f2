//! Sends spans to a collector by OTLP over HTTP, with the same HTTP client and TLS as everything
//! else.

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

/// Longest duration of one export.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes read of a collector's answer.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The collector's URL, if any: from OpenTelemetry's environment variables, or else from the
/// settings.
pub fn endpoint(settings: &Tracing) -> anyhow::Result<Option<Url>> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let parse = |name: &str, text: String| {
        Url::parse(&text)
            .with_context(|| format!("{name} is not a URL; use for example http://127.0.0.1:4318"))
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
    /// Exports spans to `endpoint` in batches, from a separate thread.
    pub(super) fn export(endpoint: Url, sample: f64) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let client = Client { http, runtime: Handle::current(), failing: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .context("settings, [tracing]: traces cannot be exported")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource());
        Ok(Self::new(processor, sample))
    }
}

/// The resource that identifies this process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
/// add to it or override it.
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

/// The HTTP client of the exporter, whose thread has no runtime.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// Whether the last export failed. A series of failures is logged once.
    failing: AtomicBool,
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
        let problem = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match problem {
            Some(problem) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(problem, "traces cannot be exported and are dropped");
            }
            None if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("traces can be exported again");
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
    // The URL may contain a credential.
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
