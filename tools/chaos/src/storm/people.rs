//! What people do while things go wrong: edit a destination, pause and resume another, cancel and
//! replay deliveries. Each through the API of whichever router answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::model::{Model, SITES, STORM};
use super::{SETTLED_WITHIN, SPAN, Storm, dice};
use crate::producer::client;

/// The places of the destinations that people deal with.
const FLAKY: usize = 1;
const MOVED: usize = 3;
const PAUSED: usize = 4;

/// Does a few things at times of the seed, and in the end what has to be undone.
pub(crate) async fn live(
    storm: Storm,
    model: Arc<Model>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
) -> Result<()> {
    let people = People { client: client()?, model, addresses };
    let began = Instant::now();
    let count = 3 + dice(storm.seed, "people", 0, 0, 3);
    for number in 0..count {
        let share = u32::try_from(number + 1).unwrap_or(1);
        let due = SPAN * share / u32::try_from(count + 1).unwrap_or(1);
        tokio::time::sleep_until((began + due).into()).await;
        match dice(storm.seed, "what people do", number, 0, 5) {
            0 => people.pause(PAUSED).await?,
            1 => people.resume(PAUSED).await?,
            2 => people.moves(MOVED, number).await?,
            3 => people.cancels(FLAKY).await?,
            _ => people.replays(MOVED).await?,
        }
    }
    people.resume(PAUSED).await
}

struct People {
    client: reqwest::Client,
    model: Arc<Model>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl People {
    async fn pause(&self, place: usize) -> Result<()> {
        self.ask(Method::POST, &destination(place, "/pause"), json!({})).await
    }

    async fn resume(&self, place: usize) -> Result<()> {
        self.ask(Method::POST, &destination(place, "/resume"), json!({})).await
    }

    async fn moves(&self, place: usize, number: u64) -> Result<()> {
        let url = self.model.url(place, &format!("/moved-{number}"));
        let body = json!({"settings": {"url": url}});
        self.ask(Method::PATCH, &destination(place, ""), body).await
    }

    async fn cancels(&self, place: usize) -> Result<()> {
        // Told before: a request whose answer is lost may have been carried out.
        self.model.cancelled(place);
        let body = json!({"destination": SITES[place].id});
        self.ask(Method::POST, &format!("/v1/tenants/{STORM}/deliveries/cancel"), body).await
    }

    async fn replays(&self, place: usize) -> Result<()> {
        self.model.replayed(place);
        let body = json!({"destination": SITES[place].id, "state": ["delivered"], "limit": 20});
        self.ask(Method::POST, &format!("/v1/tenants/{STORM}/deliveries/replay"), body).await
    }

    /// Asks until a router carries it out. What it does not like is a defect of this tool.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<()> {
        let until = Instant::now() + SETTLED_WITHIN;
        for turn in 0_usize.. {
            let address = {
                let all = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                all.get(turn % all.len().max(1)).copied()
            };
            if let Some(address) = address {
                let request =
                    self.client.request(method.clone(), format!("http://{address}{path}"));
                let request = request.timeout(Duration::from_secs(5));
                let sent = request
                    .header("content-type", "application/json")
                    .body(body.to_string())
                    .send()
                    .await;
                if let Ok(answer) = sent {
                    let status = answer.status().as_u16();
                    if status < 300 {
                        return Ok(());
                    }
                    // A tenant that a restarted Redis does not have yet, or a change that was
                    // faster.
                    let again = matches!(status, 404 | 409 | 412 | 429 | 500..);
                    let text = answer.text().await.unwrap_or_default();
                    ensure!(again, "{method} {path}: {status} {text}");
                }
            }
            ensure!(Instant::now() < until, "no router carries out {method} {path}");
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        Ok(())
    }
}

fn destination(place: usize, action: &str) -> String {
    format!("/v1/tenants/{STORM}/destinations/{}{action}", SITES[place].id)
}
