//! A webhook receiver: it checks both signatures of each request and prints the event.
//!
//! Start Fanfare for development, and give a tenant a destination and a route:
//!
//! ```sh
//! fanfare serve --development &
//! export FANFARE_SERVER=http://127.0.0.1:8400 FANFARE_TENANT=acme
//! export WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)"
//! fanfare tenants create acme
//! fanfare destinations create backoffice --channel webhook \
//!   url=http://127.0.0.1:9100/hooks secret="$WEBHOOK_SECRET"
//! fanfare routes create --events 'kyc.**' --to backoffice
//! ```
//!
//! Then start this program and send events to Fanfare, for instance with the `producer` example:
//!
//! ```sh
//! cargo run --example receiver &
//! cargo run --example producer
//! ```
//!
//! `WEBHOOK_SECRET` is the destination's secret. `RECEIVER_LISTEN` is the address to listen on
//! (default `127.0.0.1:9100`; port 0 takes a free port).

use std::collections::HashSet;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::net::TcpListener;

/// How far the time of a signature may be from this machine's time. An older request may be a
/// replay.
const TOLERANCE_S: u64 = 300;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let secret = env::var("WEBHOOK_SECRET").context("WEBHOOK_SECRET is not set")?;
    let listen = env::var("RECEIVER_LISTEN").unwrap_or_else(|_| "127.0.0.1:9100".to_owned());
    let receiver = Receiver { keys: Keys::new(&secret)?, seen: Mutex::default() };
    let app = Router::new().route("/hooks", post(hook)).with_state(Arc::new(receiver));
    let listener =
        TcpListener::bind(&listen).await.with_context(|| format!("cannot use {listen}"))?;
    println!("listening on http://{}/hooks", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

struct Receiver {
    keys: Keys,
    /// The ids of events that were processed. A real receiver keeps them in its database, in the
    /// transaction that processes the event, and removes old ones.
    seen: Mutex<HashSet<String>>,
}

/// Answers one request. Fanfare sends the event again unless the answer is 2xx within 10 seconds, so
/// a real receiver stores the event here and does the slow work afterwards.
async fn hook(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    // The signatures cover the bytes as they arrived, so verify before parsing.
    if let Err(error) = receiver.keys.verify(&headers, &body) {
        eprintln!("refused: {error:#}");
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let (id, kind) = (event["id"].as_str().unwrap_or("?"), event["type"].as_str().unwrap_or("?"));
    // Delivery is at least once: after a crash or a lost answer, the same event arrives again.
    let mut seen = receiver.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let news = if seen.insert(id.to_owned()) { "verified" } else { "verified again" };
    println!("{news}: {id} {kind} {}", event["data"]);
    StatusCode::NO_CONTENT
}

/// One secret as the keys of the two signature schemes.
struct Keys {
    /// Standard Webhooks: the bytes that the text after `whsec_` encodes.
    standard: Hmac<Sha256>,
    /// `X-Webhook-Signature`: the text of the whole secret.
    body: Hmac<Sha256>,
}

impl Keys {
    fn new(secret: &str) -> anyhow::Result<Self> {
        let encoded = secret.strip_prefix("whsec_").context("the secret must start with whsec_")?;
        let bytes = BASE64.decode(encoded).context("the secret is not base64 after whsec_")?;
        Ok(Self {
            standard: Hmac::new_from_slice(&bytes)?,
            body: Hmac::new_from_slice(secret.as_bytes())?,
        })
    }

    /// Checks both sets of headers. Fanfare always sends both, and one of them is enough; prefer
    /// Standard Webhooks, because its signature covers the time of the attempt.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<()> {
        self.verify_standard(headers, body).context("webhook-signature")?;
        self.verify_body(headers, body).context("x-webhook-signature")
    }

    /// `webhook-signature: v1,<base64>`, over `id.timestamp.body`. While a secret is rotated there is
    /// one signature for each secret, separated by spaces.
    fn verify_standard(&self, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<()> {
        let id = text(headers, "webhook-id")?;
        let timestamp = text(headers, "webhook-timestamp")?;
        let mut expected = self.standard.clone();
        expected.update(format!("{id}.{timestamp}.").as_bytes());
        expected.update(body);
        let given = text(headers, "webhook-signature")?.split(' ');
        let given = given.filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok());
        ensure!(any_matches(&expected, given), "no signature matches");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let age_s = now.abs_diff(timestamp.parse()?);
        ensure!(age_s <= TOLERANCE_S, "signed {age_s} s ago or ahead, {TOLERANCE_S} s are allowed");
        Ok(())
    }

    /// `X-Webhook-Signature: sha256=<hex>`, over the body. While a secret is rotated there is one
    /// signature for each secret, separated by commas.
    fn verify_body(&self, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<()> {
        let mut expected = self.body.clone();
        expected.update(body);
        let given = text(headers, "x-webhook-signature")?.split(',');
        let given = given.filter_map(|one| hex::decode(one.trim().strip_prefix("sha256=")?).ok());
        ensure!(any_matches(&expected, given), "no signature matches");
        Ok(())
    }
}

/// Whether one of the signatures is the expected one. `verify_slice` compares in constant time.
fn any_matches(expected: &Hmac<Sha256>, mut given: impl Iterator<Item = Vec<u8>>) -> bool {
    given.any(|signature| expected.clone().verify_slice(&signature).is_ok())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> anyhow::Result<&'h str> {
    headers
        .get(name)
        .with_context(|| format!("the header {name} is missing"))?
        .to_str()
        .context("not text")
}
