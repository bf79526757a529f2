//! A connection that reconnects by itself, to one server, a Sentinel's master or a Cluster.
//!
//! A [`Link`] holds one multiplexed connection. When it breaks, the command in flight is sent once
//! more over a new one: every command of this store can be repeated. If there is no new connection,
//! the caller gets [`StoreError::Away`] at once, and later calls connect again. Nothing here waits
//! for a server to return, because only the caller knows how long it can wait.
//!
//! What replicas of the server must confirm goes over a connection that a call has for itself
//! ([`Confirming`]): `WAIT` blocks its connection, and must use the one that has written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, Value};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::address::{Address, Target};
use super::fault::Fault;
use super::keys::Tag;
use super::script;
use crate::{Result, StoreError};

/// Longest wait for a new connection.
const DIAL_TIMEOUT: Duration = Duration::from_millis(1_500);
/// After a failed connection attempt, calls fail at once for this long.
const DIAL_PAUSE: Duration = Duration::from_millis(100);
/// Most batches that wait for the confirmation of replicas at the same time.
const CONFIRMING: usize = 8;

/// Commands that are sent together. They are not a transaction.
pub(super) struct Batch {
    pipe: Pipeline,
    tags: Vec<Tag>,
    /// Replicas must confirm what is written under these tags, if `wait_replicas` is set.
    confirm: Vec<Tag>,
}

/// What replicas of the server must confirm before a write counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirm {
    /// Replicas of each written node. 0 waits for none.
    pub(super) replicas: usize,
    /// How long to wait for them.
    pub(super) within: Duration,
}

impl Confirm {
    fn command(self) -> Cmd {
        let mut cmd = redis::cmd("WAIT");
        // WAIT 0 would wait without a limit.
        cmd.arg(self.replicas).arg(u64::try_from(self.within.as_millis()).unwrap_or(1).max(1));
        cmd
    }

    /// The answer of `WAIT`, if too few replicas confirmed. The write stays, so repeating the call
    /// may find enough replicas.
    fn missing(self, label: &str, answer: &Value) -> Option<StoreError> {
        let had = match answer {
            Value::Int(count) => usize::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        (had < self.replicas).then(|| StoreError::Away {
            message: format!(
                "Redis at {label}: {had} of {} replicas confirmed within {} ms \
                 (`[redis] wait_replicas`)",
                self.replicas,
                self.within.as_millis()
            ),
            source: None,
        })
    }
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        Self { pipe, tags: Vec::new(), confirm: Vec::new() }
    }

    pub(super) fn one(tag: Tag, cmd: Cmd) -> Self {
        let mut batch = Self::new();
        batch.push(tag, cmd);
        batch
    }

    pub(super) fn push(&mut self, tag: Tag, cmd: Cmd) {
        self.pipe.add_command(cmd);
        self.tags.push(tag);
    }

    /// Requires that replicas confirm what is written under `tag`.
    pub(super) fn confirm(&mut self, tag: Tag) {
        if !self.confirm.contains(&tag) {
            self.confirm.push(tag);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The same commands with the scripts themselves, for a server that does not know them.
    fn with_scripts(&self) -> Self {
        let mut batch = Self::new();
        for (tag, cmd) in self.tags.iter().zip(self.pipe.cmd_iter()) {
            batch.push(*tag, script::whole(cmd));
        }
        batch.confirm.clone_from(&self.confirm);
        batch
    }
}

/// Makes connections.
pub(super) struct Dialer {
    /// Host and port, for messages.
    label: String,
    kind: Kind,
    confirm: Confirm,
    away: AtomicBool,
    /// How often the connection to the server was lost.
    outages: AtomicU64,
}

enum Kind {
    Single(Box<Client>),
    Cluster(Vec<redis::ConnectionInfo>),
    Sentinel(Box<Mutex<SentinelClient>>),
}

impl Dialer {
    pub(super) fn new(address: Address, confirm: Confirm) -> Result<Self> {
        let Address { label, target } = address;
        let failed = |error| Fault::read(&label, error).error;
        let kind = match target {
            Target::Single(info) => Kind::Single(Box::new(Client::open(*info).map_err(failed)?)),
            Target::Cluster(nodes) => Kind::Cluster(nodes),
            Target::Sentinel { sentinels, master, node } => {
                let kind = SentinelServerType::Master;
                let client = SentinelClient::build(sentinels, master, Some(node), kind);
                Kind::Sentinel(Box::new(Mutex::new(client.map_err(failed)?)))
            }
        };
        let (away, outages) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Self { label, kind, confirm, away, outages })
    }

    /// The same server, as a node of a Cluster.
    pub(super) fn of_cluster(self) -> Result<Self> {
        let Kind::Single(client) = self.kind else { return Ok(self) };
        let info = client.get_connection_info().clone();
        if info.redis_settings().db() != 0 {
            return Err(StoreError::Address(format!(
                "Redis at {} is a node of a Cluster, which has only database 0; remove the \
                 database from the URL",
                self.label
            )));
        }
        Ok(Self { kind: Kind::Cluster(vec![info]), ..self })
    }

    async fn dial(&self, answer_within: Duration) -> Result<Wire, Fault> {
        let dialed = tokio::time::timeout(DIAL_TIMEOUT, self.connect(answer_within)).await;
        let timeout = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        dialed.unwrap_or_else(|_| Err(timeout())).map_err(|error| Fault::read(&self.label, error))
    }

    async fn connect(&self, answer_within: Duration) -> Result<Wire, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(DIAL_TIMEOUT))
            .set_response_timeout(Some(answer_within))
            .set_write_backpressure_boundary(256 * 1024);
        Ok(match &self.kind {
            Kind::Single(client) => {
                Wire::Plain(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Kind::Sentinel(client) => {
                let mut client = client.lock().await;
                Wire::Plain(client.get_async_connection_with_config(&config).await?)
            }
            Kind::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.clone())
                    .connection_timeout(DIAL_TIMEOUT)
                    .response_timeout(answer_within)
                    .build()?;
                Wire::Cluster(client.get_async_connection().await?)
            }
        })
    }

    /// For debugging: `store::condition` logs outages for people.
    fn note(&self, outcome: Option<&StoreError>) {
        match outcome {
            Some(error @ StoreError::Away { .. }) if !self.away.swap(true, Ordering::Relaxed) => {
                self.outages.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(server = %self.label, "{error}");
            }
            None if self.away.load(Ordering::Relaxed) => {
                self.away.store(false, Ordering::Relaxed);
                tracing::debug!(server = %self.label, "Redis is back");
            }
            _ => {}
        }
    }
}

/// The current connection.
#[derive(Clone)]
enum Wire {
    Plain(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Wire {
    /// Sends a batch. Returns its answers, and those of `WAIT` if replicas must confirm. `WAIT`
    /// uses the same connection, because it counts the writes of its own connection.
    async fn send(
        &mut self,
        batch: &Batch,
        confirm: Confirm,
    ) -> Result<(Vec<Value>, Vec<Value>), RedisError> {
        let asked = confirm.replicas > 0 && !batch.confirm.is_empty();
        match self {
            Self::Plain(connection) => {
                let answers = batch.pipe.query_async(connection).await?;
                let mut confirmed = Vec::new();
                if asked {
                    confirmed.push(confirm.command().query_async(connection).await?);
                }
                Ok((answers, confirmed))
            }
            Self::Cluster(connection) => {
                send_by_tag(connection, batch, asked.then(|| confirm.command())).await
            }
        }
    }
}

/// Runs one pipeline per tag at the same time, because a pipeline in a Cluster has one slot. `wait`
/// follows what must be confirmed. A command without a key goes where its pipeline goes.
async fn send_by_tag(
    connection: &ClusterConnection,
    batch: &Batch,
    wait: Option<Cmd>,
) -> Result<(Vec<Value>, Vec<Value>), RedisError> {
    let mut groups: Vec<(Tag, Pipeline, Vec<usize>)> = Vec::new();
    for (at, (tag, cmd)) in batch.tags.iter().zip(batch.pipe.cmd_iter()).enumerate() {
        let found = groups.iter().position(|group| group.0 == *tag && *tag != Tag::Alone);
        let group = found.unwrap_or_else(|| {
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            groups.push((*tag, pipe, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.add_command(cmd.clone());
        groups[group].2.push(at);
    }
    if let Some(wait) = wait {
        for (_, pipe, _) in groups.iter_mut().filter(|group| batch.confirm.contains(&group.0)) {
            pipe.add_command(wait.clone());
        }
    }
    let answers = futures::future::try_join_all(groups.iter().map(|(_, pipe, _)| {
        let mut connection = connection.clone();
        async move { pipe.query_async::<Vec<Value>>(&mut connection).await }
    }))
    .await?;
    let mut all = vec![Value::Nil; batch.tags.len()];
    let mut confirmed = Vec::new();
    for ((_, _, places), mut values) in groups.into_iter().zip(answers) {
        confirmed.extend(values.drain(places.len().min(values.len())..));
        for (place, value) in places.into_iter().zip(values) {
            all[place] = value;
        }
    }
    Ok((all, confirmed))
}

/// One connection, opened when first needed and again after it broke.
pub(super) struct Link {
    dialer: Arc<Dialer>,
    answer_within: Duration,
    held: Mutex<Held>,
    /// Where batches go that replicas must confirm.
    confirming: Option<Arc<Confirming>>,
}

/// Connections for batches that replicas must confirm. Each batch has one for itself.
pub(super) struct Confirming {
    dialer: Arc<Dialer>,
    answer_within: Duration,
    free: Semaphore,
    idle: StdMutex<Vec<Link>>,
}

/// How often a call is sent while each of its connections breaks.
const TRIES: usize = 3;

impl Confirming {
    pub(super) fn new(dialer: &Arc<Dialer>, answer_within: Duration) -> Arc<Self> {
        let answer_within = answer_within + dialer.confirm.within;
        let (free, idle) = (Semaphore::new(CONFIRMING), StdMutex::default());
        Arc::new(Self { dialer: Arc::clone(dialer), answer_within, free, idle })
    }

    async fn run_once(&self, batch: &Batch) -> Result<Vec<Value>, Fault> {
        let closed = |_| StoreError::Other {
            message: "the connections to Redis are closed".to_owned(),
            source: None,
        };
        let _free = self.free.acquire().await.map_err(closed)?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // A call that is dropped half-way closes its connection with it.
        let taken = idle().pop();
        let link = taken.unwrap_or_else(|| Link::new(Arc::clone(&self.dialer), self.answer_within));
        let answer = link.once(batch).await;
        idle().push(link);
        answer
    }
}

#[derive(Default)]
struct Held {
    wire: Option<Wire>,
    /// Counts connections, so a late failure of an old one does not close a new one.
    generation: u64,
    failed: Option<(Instant, String)>,
}

impl Link {
    pub(super) fn new(dialer: Arc<Dialer>, answer_within: Duration) -> Self {
        Self { dialer, answer_within, held: Mutex::default(), confirming: None }
    }

    /// Sends what replicas must confirm over connections of its own.
    pub(super) fn with(mut self, confirming: &Arc<Confirming>) -> Self {
        self.confirming = Some(Arc::clone(confirming));
        self
    }

    /// Sends commands and returns their answers, none of which is an error. Sends them again if the
    /// connection breaks, because a server that closes connections may close the next one too, or
    /// if the server does not know a script.
    pub(super) async fn run(&self, batch: &Batch) -> Result<Vec<Value>> {
        for _ in 1..TRIES {
            match self.run_once(batch).await {
                Err(fault) if fault.dropped => {}
                answer => return Ok(answer?),
            }
        }
        Ok(self.run_once(batch).await?)
    }

    /// Sends one command and returns its answer.
    pub(super) async fn ask(&self, tag: Tag, cmd: Cmd) -> Result<Value> {
        Ok(self.run(&Batch::one(tag, cmd)).await?.pop().unwrap_or(Value::Nil))
    }

    /// Like `run`, without a second try after a broken connection.
    pub(super) async fn run_once(&self, batch: &Batch) -> Result<Vec<Value>, Fault> {
        match &self.confirming {
            Some(apart) if self.dialer.confirm.replicas > 0 && !batch.confirm.is_empty() => {
                // Boxed, because the layout of futures may nest only so deep.
                Box::pin(apart.run_once(batch)).await
            }
            _ => self.once(batch).await,
        }
    }

    async fn once(&self, batch: &Batch) -> Result<Vec<Value>, Fault> {
        match self.exchange(batch).await {
            Err(fault) if fault.no_script => self.exchange(&batch.with_scripts()).await,
            answer => answer,
        }
    }

    /// Whether the commands of a batch run in their order. In a Cluster, several nodes run them.
    pub(super) fn keeps_order(&self) -> bool {
        !matches!(self.dialer.kind, Kind::Cluster(_))
    }

    /// How many replicas must confirm a write.
    pub(super) fn wanted_replicas(&self) -> usize {
        self.dialer.confirm.replicas
    }

    /// How often the connection was lost. Observations before and after a loss cannot be compared.
    pub(super) fn outages(&self) -> u64 {
        self.dialer.outages.load(Ordering::Relaxed)
    }

    /// Requires that replicas confirm what a batch writes under `tag`, whose keys start with
    /// `base`. It also writes one more key: a repeated write may change nothing, and then `WAIT`
    /// would have nothing to wait for.
    pub(super) fn have_confirmed(&self, batch: &mut Batch, tag: Tag, base: &str) {
        if self.dialer.confirm.replicas > 0 && !batch.confirm.contains(&tag) {
            let mut cmd = redis::cmd("SET");
            cmd.arg([base, "kept"].concat()).arg(1);
            batch.push(tag, cmd);
            batch.confirm(tag);
        }
    }

    /// Closes the connection. The next call opens a new one.
    pub(super) async fn hang_up(&self) {
        self.held.lock().await.wire = None;
    }

    async fn exchange(&self, batch: &Batch) -> Result<Vec<Value>, Fault> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (generation, mut wire) = self.wire().await?;
        let label = &self.dialer.label;
        let answer = wire.send(batch, self.dialer.confirm).await;
        let answer = answer.map_err(|error| Fault::read(label, error));
        let answer = answer.and_then(|(values, waits)| Ok((first_error(label, values)?, waits)));
        // An unknown script is no outage: it would make the observation of other replicas start again.
        let unknown_script = answer.as_ref().is_err_and(|fault| fault.no_script);
        if !unknown_script {
            self.dialer.note(answer.as_ref().err().map(|fault| &fault.error));
        }
        if answer.as_ref().is_err_and(|fault| fault.hang_up) {
            let mut held = self.held.lock().await;
            if held.generation == generation {
                held.wire = None;
            }
        }
        let (values, confirmed) = answer?;
        let confirmed = first_error(label, confirmed)?;
        let missing = confirmed.iter().find_map(|had| self.dialer.confirm.missing(label, had));
        missing.map_or(Ok(values), |error| Err(error.into()))
    }

    async fn wire(&self) -> Result<(u64, Wire), Fault> {
        let mut held = self.held.lock().await;
        if let Some(wire) = &held.wire {
            return Ok((held.generation, wire.clone()));
        }
        if let Some((when, message)) = &held.failed
            && when.elapsed() < DIAL_PAUSE
        {
            return Err(StoreError::Away { message: message.clone(), source: None }.into());
        }
        match self.dialer.dial(self.answer_within).await {
            Ok(wire) => {
                held.failed = None;
                held.generation += 1;
                held.wire = Some(wire.clone());
                Ok((held.generation, wire))
            }
            Err(fault) => {
                self.dialer.note(Some(&fault.error));
                if let StoreError::Away { message, .. } = &fault.error {
                    held.failed = Some((Instant::now(), message.clone()));
                }
                // Each call tries to connect once.
                Err(Fault { dropped: false, ..fault })
            }
        }
    }
}

fn first_error(label: &str, values: Vec<Value>) -> Result<Vec<Value>, Fault> {
    let mut errors = values.iter().filter_map(|value| match value {
        Value::ServerError(error) => Some(error),
        _ => None,
    });
    let Some(first) = errors.next() else { return Ok(values) };
    // An unknown script is sent whole. Any other failure shows again in the second try.
    let missing = std::iter::once(first).chain(errors).find(|error| error.code() == "NOSCRIPT");
    let error = RedisError::from(missing.unwrap_or(first).clone());
    debug_assert!(error.kind() != ErrorKind::Client, "server errors come from the server");
    Err(Fault::read(label, error))
}
