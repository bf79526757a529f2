//! The limits, and what people write themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use bytes::Bytes;
use http::HeaderMap;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::message::{Signer, body, id};
use super::{Line, STREAM, connect};

/// Connections of a sender: what Fanfare opens to one destination.
const CONNECTIONS: usize = 64;

/// Waits for all, and answers the first fault.
pub(crate) async fn all(tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    tasks.join_all().await.into_iter().collect()
}

/// Signed POSTs with hyper's http1 client.
pub(crate) async fn hyper(to: SocketAddr, count: usize) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let signer = Signer::keyed();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, signer) = (next.clone(), signer.clone());
        tasks.spawn(async move {
            let mut line = Line::open(to).await?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok(());
                }
                deliver(&mut line, &signer, &id(0, n)).await?;
            }
        });
    }
    all(tasks).await?;
    Ok(count)
}

/// One event as a signed POST to the receiver.
pub(crate) async fn deliver(line: &mut Line, signer: &Signer, id: &str) -> anyhow::Result<()> {
    let body = Bytes::from(body(id));
    line.post("/hooks/0", signer.headers(id, &body), body).await
}

fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().http1_only();
    // Nothing here speaks TLS: the machine's roots need not be read.
    Ok(builder.tls_certs_only([]).pool_max_idle_per_host(CONNECTIONS).build()?)
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<()> {
    let response = client.post(url).headers(headers).body(body).send().await?;
    response.error_for_status()?.bytes().await?;
    Ok(())
}

/// Signed POSTs with reqwest.
pub(crate) async fn reqwest(to: SocketAddr, count: usize) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let (client, signer) = (client()?, Signer::keyed());
    let url = format!("http://{to}/hooks/0");
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, client, signer, url) =
            (next.clone(), client.clone(), signer.clone(), url.clone());
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok(());
                }
                let id = id(0, n);
                let body = Bytes::from(body(&id));
                post(&client, &url, signer.headers(&id, &body), body).await?;
            }
        });
    }
    all(tasks).await?;
    Ok(count)
}

/// What people write in an afternoon, without its usual mistake (reads have their own connection):
/// no retries, no ledger, no filter, and whatever fails is lost.
pub(crate) async fn naive(to: SocketAddr, count: usize, redis: &str) -> anyhow::Result<usize> {
    let (mut reads, acks) = (connect(redis).await?, connect(redis).await?);
    let _: () = reads.xgroup_create_mkstream(STREAM, "naive", "0").await?;
    let (client, signer) = (client()?, Signer::keyed());
    let url: Arc<str> = format!("http://{to}/hooks/0").into();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let options = StreamReadOptions::default().group("naive", "one").count(500).block(1_000);
    let mut tasks = JoinSet::new();
    let mut read = 0;
    while read < count {
        let reply: Option<StreamReadReply> =
            reads.xread_options(&[STREAM], &[">"], &options).await?;
        for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            read += 1;
            let place = places.clone().acquire_owned().await?;
            let (client, signer, url, acks) =
                (client.clone(), signer.clone(), url.clone(), acks.clone());
            tasks.spawn(async move {
                consume(&client, &signer, &url, acks, &entry).await?;
                drop(place);
                Ok(())
            });
        }
    }
    all(tasks).await?;
    Ok(count)
}

async fn consume(
    client: &reqwest::Client,
    signer: &Signer,
    url: &str,
    mut acks: MultiplexedConnection,
    entry: &redis::streams::StreamId,
) -> anyhow::Result<()> {
    let body: String = entry.get("event").context("an entry without an event")?;
    let event: serde_json::Value = serde_json::from_str(&body)?;
    let id = event["id"].as_str().context("an event without an id")?;
    post(client, url, signer.headers(id, body.as_bytes()), Bytes::from(body.clone())).await?;
    let _: usize = acks.xack(STREAM, "naive", &[&entry.id]).await?;
    Ok(())
}
