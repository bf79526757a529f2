//! Health, heartbeats, retention, and warnings for operators.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connection::{Batch, Dialer, Link};
use super::facts::{durability, info, settings};
use super::keys::{Keys, SHARDS, Tag, TenantKeys};
use super::reader::Reader;
use super::reconcile::Reconciler;
use super::{ANSWER_WITHIN, Core, checkup, reply, script};
use crate::{Backlog, Check, Findings, Ms, Result, StoreError, Upkeep};

/// Most events in one step of cleaning.
const STEP: usize = 100;
/// From this number on, events of a tenant that had to stay are not searched each time.
const MANY_STAY: u64 = 1_000;
/// What each of them adds to the time until they are searched again. A search of one takes a few
/// microseconds.
const SEARCH_AGAIN_EACH: Duration = Duration::from_millis(1);

/// See the trait.
pub(super) struct RedisUpkeep {
    core: Arc<Core>,
    reader: Arc<Reader>,
    reconciler: Reconciler,
    tidied: Mutex<Tidied>,
}

/// Where tidying continues, so that every tenant has its turn and nothing is searched in vain.
#[derive(Default)]
struct Tidied {
    /// The shard that is next, and the last tenant of it that was tidied.
    shard: u8,
    tenant: Option<String>,
    /// Tenants with events that must stay: how many, and when they are searched again.
    staying: HashMap<String, (u64, Instant)>,
}

impl RedisUpkeep {
    pub(super) fn new(core: Arc<Core>, reader: Arc<Reader>) -> Self {
        let reconciler = Reconciler::new(Arc::clone(&core), Arc::clone(&reader));
        Self { core, reader, reconciler, tidied: Mutex::default() }
    }

    /// Tidies one tenant, beyond its first `passed` events. Returns how many events were removed,
    /// and how many of the first ones must stay.
    async fn tidy_tenant(
        &self,
        keys: &TenantKeys,
        before: Ms,
        max: u64,
        mut passed: u64,
    ) -> Result<(u64, u64)> {
        let names = [
            keys.log(),
            keys.events(),
            keys.outcomes(),
            keys.tenants(),
            keys.index("s"),
            keys.index("x"),
            keys.seen(),
            keys.usage(),
        ];
        let mut removed = 0;
        while removed < max {
            let step = (max - removed).min(STEP as u64);
            let mut cmd = script::call(&script::TIDY, &names.each_ref().map(String::as_str));
            cmd.arg(&keys.base).arg(&keys.name).arg(before).arg(passed).arg(step);
            let answer = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?;
            let part = |at: usize| answer.get(at).map(reply::count).transpose();
            let (gone, stay) = (part(0)?.unwrap_or(0), part(1)?.unwrap_or(0));
            removed += gone;
            passed += stay;
            if gone + stay < step {
                break;
            }
        }
        Ok((removed, passed))
    }

    /// Tidies the rest of a shard after the last tenant. Returns how many events were removed, and
    /// whether the whole rest was tidied.
    async fn tidy_shard(&self, place: &mut Tidied, before: Ms, max: u64) -> Result<(u64, bool)> {
        let mut tenants = self.tenants(place.shard).await?;
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        let is_next =
            |keys: &TenantKeys| place.tenant.as_ref().is_none_or(|last| keys.name > *last);
        tenants.retain(is_next);
        let mut removed = 0;
        for keys in tenants {
            // Events that must stay are the oldest ones. They are searched again now and then: most
            // of them wait for long.
            let stayed = place.staying.get(&keys.name).filter(|(_, until)| Instant::now() < *until);
            let passed = stayed.map_or(0, |(stayed, _)| *stayed);
            let until = stayed.map(|(_, until)| *until);
            let (gone, stay) = self.tidy_tenant(&keys, before, max - removed, passed).await?;
            removed += gone;
            if stay < MANY_STAY {
                place.staying.remove(&keys.name);
            } else {
                let pause = SEARCH_AGAIN_EACH * u32::try_from(stay).unwrap_or(u32::MAX);
                let until = until.unwrap_or_else(|| Instant::now() + pause);
                place.staying.insert(keys.name.clone(), (stay, until));
            }
            place.tenant = Some(keys.name);
            if removed >= max {
                return Ok((removed, false));
            }
        }
        Ok((removed, true))
    }

    async fn tenants(&self, shard: u8) -> Result<Vec<TenantKeys>> {
        let mut cmd = redis::cmd("SMEMBERS");
        cmd.arg(self.core.keys.tenants(shard));
        reply::array(self.core.link.ask(Tag::Shard(shard), cmd).await?)?
            .into_iter()
            .map(|name| Ok(self.core.keys.escaped(shard, reply::text(name)?)))
            .collect()
    }

    async fn forget_rejected(&self, before: Ms) -> Result<()> {
        let keys = &self.core.keys;
        let index = keys.rejected_index();
        let mut cmd = script::call(&script::FORGET, &[&index, &keys.rejected_data()]);
        cmd.arg(before).arg(1_000);
        self.core.link.ask(Tag::Rejected, cmd).await.map(drop)
    }
}

#[async_trait]
impl Upkeep for RedisUpkeep {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn ping(&self) -> Result<()> {
        let mut cmd = redis::cmd("SET");
        cmd.arg(self.core.keys.probe()).arg("1").arg("EX").arg(60);
        self.core.link.ask(Tag::Replicas, cmd).await?;
        let mut cmd = redis::cmd("XINFO");
        cmd.arg("STREAM").arg(&*self.core.keys.stream);
        let answer = match self.core.link.run_once(&Batch::one(Tag::Stream, cmd)).await {
            Ok(mut values) => values.pop().unwrap_or(Value::Nil),
            // It is made when it is needed.
            Err(fault) if fault.error.to_string().contains("no such key") => return Ok(()),
            Err(fault) => return Err(fault.into()),
        };
        let mut facts = reply::array(answer)?.into_iter();
        while let (Some(name), Some(fact)) = (facts.next(), facts.next()) {
            if reply::text(name)? == "last-generated-id" && reply::entry_id(fact)?.major == u64::MAX
            {
                return Err(exhausted(&self.core.keys.stream));
            }
        }
        Ok(())
    }

    async fn checkup(&self, now: Ms) -> Vec<Check> {
        let mut checks = checkup::run(&self.core, self.core.keys.prefix()).await;
        checks.push(match self.inspect(now).await {
            Ok(found) if found.is_empty() => Check::good("contents", "everything agrees"),
            Ok(found) => Check::problem(
                "contents",
                format!("{}; running servers repair what they can", found.problems().join("; ")),
            ),
            Err(error) => Check::problem("contents", error.to_string()),
        });
        checks
    }

    async fn repair(&self, now: Ms) -> Result<Vec<String>> {
        let count = self.reconciler.schedule_all(now).await?;
        Ok((count > 0)
            .then(|| format!("put {count} deliveries or lanes back into queues and the agenda"))
            .into_iter()
            .collect())
    }

    async fn appendable(&self) -> Result<()> {
        // Adds nothing, because there is no such stream. It shows whether the server lets this user
        // add entries now.
        let mut cmd = redis::cmd("XADD");
        cmd.arg(format!("{}:probe", self.core.keys.stream)).arg("NOMKSTREAM");
        cmd.arg("*").arg("probe").arg("1");
        self.core.link.ask(Tag::Alone, cmd).await.map(drop)
    }

    async fn beat(&self, _now: Ms) -> Result<()> {
        self.core.beat().await
    }

    async fn leave(&self) -> Result<()> {
        self.reader.stop().await;
        self.core.depart().await
    }

    async fn tidy(&self, before: Ms, max: usize) -> Result<u64> {
        self.forget_rejected(before).await?;
        let max = max as u64;
        let mut removed = 0;
        let mut place = self.tidied.lock().await;
        // The shard where it began comes twice: first its rest, then its beginning.
        for _ in 0..=SHARDS {
            let (gone, is_done) = self.tidy_shard(&mut place, before, max - removed).await?;
            removed += gone;
            if !is_done {
                break;
            }
            (place.shard, place.tenant) = ((place.shard + 1) % SHARDS, None);
        }
        Ok(removed)
    }

    async fn reconcile(&self, now: Ms) -> Result<Findings> {
        self.reconciler.round(now).await
    }

    async fn inspect(&self, now: Ms) -> Result<Findings> {
        let mut found = self.reconciler.inspect(now).await?;
        let info = info(&self.core.link).await?;
        found.evicted = info.get("evicted_keys").and_then(|keys| keys.parse().ok()).unwrap_or(0);
        Ok(found)
    }

    async fn time(&self) -> Result<Option<Ms>> {
        let answer = self
            .core
            .pulse
            .ask(Tag::Replicas, script::call(&script::TIME, &[&self.core.keys.probe()]))
            .await?;
        let mut parts = reply::array(answer)?.into_iter();
        let mut next = || reply::int(&parts.next().unwrap_or(Value::Nil));
        let (seconds, micros) = (next()?, next()?);
        Ok(Some(seconds * 1_000 + micros / 1_000))
    }

    async fn backlog(&self) -> Result<Backlog> {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            let mut cmd = script::call(&script::BACKLOG, &[&self.core.keys.agenda(shard)]);
            cmd.arg(self.core.keys.base(shard));
            batch.push(Tag::Shard(shard), cmd);
        }
        let mut all = Backlog::default();
        for answer in self.core.link.run(&batch).await? {
            let answer = reply::array(answer)?;
            all.waiting += answer.first().map(reply::count).transpose()?.unwrap_or(0);
            let oldest = answer.get(1).map(reply::int).transpose()?;
            all.oldest_ms = all.oldest_ms.into_iter().chain(oldest).min();
        }
        Ok(all)
    }

    async fn warnings(&self) -> Vec<String> {
        match info(&self.core.link).await {
            Ok(info) => durability(&info, &settings(&self.core).await),
            Err(error) => vec![format!("durability is not known: {error}")],
        }
    }
}

/// Looks at the server: refuses one that lacks what the store needs, and speaks with a node of a
/// Cluster as with a Cluster. With one node, single commands would work there, and others not.
pub(super) async fn suited(dialer: Dialer) -> Result<Dialer> {
    let dialer = Arc::new(dialer);
    let link = Link::new(Arc::clone(&dialer), ANSWER_WITHIN);
    let info = info(&link).await?;
    drop(link);
    check_version(&info)?;
    let dialer = Arc::into_inner(dialer).ok_or_else(|| StoreError::Other {
        message: "the connection to Redis is still in use".to_owned(),
        source: None,
    })?;
    if info.get("cluster_enabled").is_some_and(|enabled| enabled == "1") {
        return dialer.of_cluster();
    }
    Ok(dialer)
}

/// Refuses a stream and a group that another Fanfare reads, under another prefix: each would take
/// events of the other's tenants, which it does not know. A Fanfare without replicas is gone, and
/// its stream is taken over.
pub(super) async fn own_stream(core: &Core, prefix: &str) -> Result<()> {
    let key = core.keys.prefix_of_stream(&core.group);
    let mut cmd = redis::cmd("SET");
    cmd.arg(&key).arg(prefix).arg("NX").arg("GET");
    let owner = match core.link.ask(Tag::Alone, cmd).await? {
        Value::Nil => return Ok(()),
        owner => reply::text(owner)?,
    };
    if owner == prefix {
        return Ok(());
    }
    let mut replicas = redis::cmd("HLEN");
    replicas.arg(Keys::replicas_of(&owner));
    if reply::count(&core.link.ask(Tag::Alone, replicas).await?)? == 0 {
        let mut cmd = redis::cmd("SET");
        cmd.arg(&key).arg(prefix);
        return core.link.ask(Tag::Alone, cmd).await.map(drop);
    }
    Err(StoreError::Held(format!(
        "the stream {} with the group {} is read by a Fanfare with the prefix {owner}, and this one \
         has the prefix {prefix}; set another stream and another group under [redis]",
        core.keys.stream, core.group
    )))
}

fn check_version(info: &HashMap<String, String>) -> Result<()> {
    let version = info.get("redis_version").map_or("unknown", String::as_str);
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(major) if major < 7 => Err(StoreError::Other {
            message: format!("the server is Redis {version}; Fanfare needs 7.0 or newer"),
            source: None,
        }),
        _ => Ok(()),
    }
}

/// A producer has added an entry with the largest possible id, so no entry can follow it.
fn exhausted(stream: &str) -> StoreError {
    let message = format!(
        "the stream {stream} has reached its last possible id and takes no more entries; it is \
         made again by itself once all of its entries are settled"
    );
    StoreError::Away { message, source: None }
}
