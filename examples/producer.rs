//! A producer: it sends events to Fanfare over HTTP, and sends them again until they are durable.
//!
//! Set up Fanfare and start a receiver as the comment at the top of `receiver.rs` says, then run:
//!
//! ```sh
//! cargo run --example producer
//! ```
//!
//! `FANFARE_SERVER` is the server (default `http://127.0.0.1:8400`), `FANFARE_TENANT` the tenant
//! (default `acme`). `FANFARE_KEY` is a key that may send events (`fanfare keys create --role
//! publisher`); `fanfare serve --development` on a loopback address needs none.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// How often one event is sent before the program gives up.
const ATTEMPTS: u32 = 10;
/// The wait before the next attempt, unless the answer has a `Retry-After`.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // reqwest is built without a TLS provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let producer = Producer {
        client: Client::builder().timeout(Duration::from_secs(30)).build()?,
        server: setting("FANFARE_SERVER", "http://127.0.0.1:8400"),
        tenant: setting("FANFARE_TENANT", "acme"),
        key: env::var("FANFARE_KEY").ok(),
    };
    for event in session(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis()) {
        let outcome = producer.send(&event).await?;
        println!("{outcome}: {} {}", event["id"], event["type"]);
    }
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Two events of one session. The producer chooses the ids: they must be unique within the tenant,
/// and the same on every attempt. A real producer derives them from its own records.
fn session(number: u128) -> [Value; 2] {
    let session_id = format!("ses_{number}");
    [
        json!({
            "id": format!("evt_{session_id}_created"),
            "type": "kyc.session.created",
            "data": { "session_id": session_id },
        }),
        json!({
            "id": format!("evt_{session_id}_processed"),
            "type": "kyc.session.processed",
            "data": { "session_id": session_id, "risk_score": 12, "final_decision": "approved" },
        }),
    ]
}

struct Producer {
    client: Client,
    server: String,
    tenant: String,
    key: Option<String>,
}

/// What one attempt led to.
enum Sent {
    /// The event is durable: `accepted`, or `duplicate` if it was durable before.
    Durable(String),
    /// Fanfare cannot take it now.
    NotNow(Duration),
    /// Fanfare does not take it; sending it again leads to the same answer.
    Refused(String),
}

impl Producer {
    /// Sends one event until Fanfare has answered that it is durable. Sending it again is safe: the
    /// same id is the same event, and the answer is then `duplicate`.
    async fn send(&self, event: &Value) -> anyhow::Result<String> {
        for attempt in 1..=ATTEMPTS {
            let wait = match self.attempt(event).await {
                Ok(Sent::Durable(outcome)) => return Ok(outcome),
                Ok(Sent::Refused(why)) => bail!("{} was refused: {why}", event["id"]),
                Ok(Sent::NotNow(wait)) => wait,
                // Without an answer, the event may be durable or not.
                Err(error) => {
                    eprintln!("attempt {attempt} of {ATTEMPTS}: {error}");
                    PAUSE
                }
            };
            tokio::time::sleep(wait).await;
        }
        bail!("{} is not durable after {ATTEMPTS} attempts", event["id"])
    }

    async fn attempt(&self, event: &Value) -> reqwest::Result<Sent> {
        let mut request = self.client.post(format!("{}/v1/events", self.server));
        request = request.header("Fanfare-Tenant", &self.tenant).json(event);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await?;
        let status = response.status();
        let wait =
            response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let wait = wait.map_or(PAUSE, Duration::from_secs);
        let answer: Value = response.json().await?;
        Ok(match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Sent::NotNow(wait),
            status if status.is_success() => {
                Sent::Durable(answer["data"]["outcome"].as_str().unwrap_or_default().to_owned())
            }
            status => Sent::Refused(format!("{status}: {}", answer["error"]["message"])),
        })
    }
}
