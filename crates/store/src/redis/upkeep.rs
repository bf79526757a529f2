//! Health, heartbeats, retention, and warnings for operators.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use redis::Value;

use super::connection::Batch;
use super::keys::{SHARDS, Tag, TenantKeys};
use super::reader::Reader;
use super::{Core, reply, script};
use crate::{Backlog, Ms, Result, StoreError, Upkeep};

/// Most events in one step of cleaning.
const STEP: usize = 100;

/// See the trait.
pub(super) struct RedisUpkeep {
    core: Arc<Core>,
    reader: Arc<Reader>,
}

impl RedisUpkeep {
    pub(super) fn new(core: Arc<Core>, reader: Arc<Reader>) -> Self {
        Self { core, reader }
    }

    /// Tidies one tenant. Returns how many events were removed.
    async fn tidy_tenant(&self, keys: &TenantKeys, before: Ms, max: u64) -> Result<u64> {
        let names = [
            keys.log(),
            keys.events(),
            keys.outcomes(),
            keys.tenants(),
            keys.index("s"),
            keys.index("x"),
            keys.seen(),
        ];
        let (mut removed, mut passed) = (0, 0);
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
        Ok(removed)
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
        self.core.link.ask(Tag::Replicas, cmd).await.map(drop)
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
        for shard in 0..SHARDS {
            for keys in self.tenants(shard).await? {
                if removed >= max {
                    return Ok(removed);
                }
                removed += self.tidy_tenant(&keys, before, max - removed).await?;
            }
        }
        Ok(removed)
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
        match info(&self.core).await {
            Ok(info) => durability(&info, &settings(&self.core).await),
            Err(error) => vec![format!("durability is not known: {error}")],
        }
    }
}

/// Refuses a server that lacks what the store needs.
pub(super) async fn check_version(core: &Core) -> Result<()> {
    let info = info(core).await?;
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

async fn info(core: &Core) -> Result<HashMap<String, String>> {
    let text = reply::text(core.link.ask(Tag::Alone, redis::cmd("INFO")).await?)?;
    let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}

/// Managed servers often forbid CONFIG. INFO is used then.
async fn settings(core: &Core) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    for name in ["appendfsync", "save"] {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("GET").arg(name);
        let answer = core.link.run_once(&Batch::one(Tag::Alone, cmd)).await;
        let value = answer.ok().and_then(|mut values| values.pop());
        let Some(Value::Array(pair)) = value else { continue };
        if let Some(Ok(value)) = pair.into_iter().nth(1).map(reply::text) {
            settings.insert(name.to_owned(), value);
        }
    }
    settings
}

fn durability(info: &HashMap<String, String>, settings: &HashMap<String, String>) -> Vec<String> {
    let is = |name: &str, value: &str| info.get(name).is_some_and(|found| found == value);
    let mut warnings = Vec::new();
    if is("aof_enabled", "1") {
        match settings.get("appendfsync").map(String::as_str) {
            Some("everysec") => warnings.push(
                "Redis writes its file once a second: a crash of the machine can lose the last \
                 second of accepted events (appendfsync always closes that gap)"
                    .to_owned(),
            ),
            Some("no") => warnings.push(
                "Redis leaves writing its file to the system: a crash of the machine can lose the \
                 last half minute of accepted events (set appendfsync to everysec or always)"
                    .to_owned(),
            ),
            _ => {}
        }
    } else if settings.get("save").is_some_and(|save| !save.is_empty()) {
        warnings.push(
            "Redis keeps snapshots only: a restart loses what was accepted since the last one \
             (set appendonly to yes)"
                .to_owned(),
        );
    } else {
        warnings.push(
            "Redis keeps nothing across a restart: accepted events are lost with it (set \
             appendonly to yes)"
                .to_owned(),
        );
    }
    match info.get("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => warnings.push(format!(
            "Redis may evict keys when its memory is full (maxmemory-policy {policy}): that loses \
             events (set noeviction)"
        )),
        _ => {}
    }
    if is("aof_last_write_status", "err") || is("rdb_last_bgsave_status", "err") {
        warnings.push("Redis could not write to its disk lately: see its log".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn warnings_say_which_promise_does_not_hold() {
        let said = |info: &[_], settings: &[_]| durability(&map(info), &map(settings)).join("; ");
        assert!(said(&[], &[("save", "")]).contains("keeps nothing"));
        assert!(said(&[], &[]).contains("keeps nothing"));
        assert!(said(&[], &[("save", "3600 1")]).contains("snapshots only"));
        assert!(said(&[("aof_enabled", "1")], &[("appendfsync", "everysec")]).contains("second"));
        assert_eq!(said(&[("aof_enabled", "1")], &[("appendfsync", "always")]), "");
        let evicting = [("aof_enabled", "1"), ("maxmemory_policy", "allkeys-lru")];
        assert!(said(&evicting, &[]).contains("noeviction"));
    }
}
