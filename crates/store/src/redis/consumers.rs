//! The replicas: the consumer group, heartbeats, and takeover from replicas that are gone.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::connection::Batch;
use super::keys::Tag;
use super::reader::Reader;
use super::{Core, reply, script};
use crate::{Entry, Result};

/// Stored instead of a heartbeat: this replica has stopped on purpose.
const LEFT: &str = "left";
/// Most entries that one script takes over.
const TAKE_PAGE: usize = 100;

impl Core {
    /// Creates the consumer group from the start of the stream. Settled entries are not in the
    /// stream.
    pub(super) async fn make_group(&self) -> Result<()> {
        let mut cmd = redis::cmd("XGROUP");
        cmd.arg("CREATE").arg(&*self.keys.stream).arg(&self.group).arg("0").arg("MKSTREAM");
        match self.link.ask(Tag::Stream, cmd).await {
            Ok(_) => {
                tracing::info!(
                    stream = %self.keys.stream, group = %self.group,
                    "the consumer group was not there; made it from the start of the stream"
                );
                // Nothing was read before, so everything that is not there was removed unread.
                let mut begin = redis::cmd("HSETNX");
                begin.arg(self.keys.account()).arg("gone").arg(0);
                self.link.ask(Tag::Stream, begin).await?;
            }
            // Another replica was first.
            Err(error) if error.to_string().contains("BUSYGROUP") => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the heartbeat of this replica.
    pub(super) async fn beat(&self) -> Result<()> {
        let count = self.beats.fetch_add(1, Ordering::Relaxed);
        let written = self.beat_with_key(&count.to_string()).await;
        self.heart.note(written.is_ok());
        written
    }

    async fn unshow(&self, replica: &str) -> Result<()> {
        let mut cmd = redis::cmd("HDEL");
        cmd.arg(self.keys.replicas()).arg(replica);
        self.link.ask(Tag::Replicas, cmd).await.map(drop)
    }

    /// Records that this replica stops. Its consumer is removed if it has nothing pending.
    pub(super) async fn depart(&self) -> Result<()> {
        let mut cmd = script::call(&script::RETIRE, &[&self.keys.stream]);
        cmd.arg(&self.group).arg(&self.replica);
        match self.link.run_once(&Batch::one(Tag::Stream, cmd)).await {
            Ok(values) if matches!(values.first(), Some(Value::Int(1))) => {
                self.unshow(&self.replica).await
            }
            Ok(_) => self.beat_with_key(LEFT).await,
            Err(fault) if fault.no_group => self.unshow(&self.replica).await,
            Err(fault) => Err(fault.into()),
        }
    }
}

/// Whether this replica's own heartbeats arrive. While they do not, the heartbeats of the others
/// may fail for the same reason, so no other replica is judged.
#[derive(Default)]
pub(super) struct Heart {
    missed: AtomicBool,
    /// How often heartbeats began to fail.
    failures: AtomicU64,
}

impl Heart {
    fn note(&self, arrived: bool) {
        if arrived {
            self.missed.store(false, Ordering::Release);
        } else if !self.missed.swap(true, Ordering::AcqRel) {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn misses(&self) -> bool {
        self.missed.load(Ordering::Acquire)
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }
}

/// Watches the heartbeats of the others.
#[derive(Default)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The last heartbeat of each replica, and since when it is unchanged.
    signs: HashMap<String, (String, Instant)>,
    /// Lost connections and failed heartbeats of this replica. No replica may have been able to
    /// write a heartbeat then, so the observation starts again.
    outages: (u64, u64),
}

impl Watch {
    /// See [`crate::Log::take_over`].
    pub(super) async fn take_over(
        &self,
        core: &Core,
        reader: &Reader,
        max: usize,
    ) -> Result<Vec<Entry>> {
        let mut taken = Vec::new();
        let took = self.take_all(core, reader, max, &mut taken).await;
        if taken.is_empty() {
            return took.map(|()| taken);
        }
        // They are in hand now, so they must reach the caller. An error shows again in the next
        // call.
        tracing::info!(entries = taken.len(), "took over from a replica that is gone");
        Ok(taken)
    }

    async fn take_all(
        &self,
        core: &Core,
        reader: &Reader,
        max: usize,
        taken: &mut Vec<Entry>,
    ) -> Result<()> {
        let seal = core.seal().await?;
        for replica in self.gone(core).await? {
            while taken.len() < max {
                let want = reader.bounded((max - taken.len()).min(TAKE_PAGE));
                let (entries, nothing_left) = inherit(core, reader, &replica, want).await?;
                let stuck = entries.is_empty();
                taken.extend(reader.took(&seal, entries)?);
                if nothing_left {
                    core.unshow(&replica).await?;
                }
                if nothing_left || stuck {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Replicas that stopped, or whose heartbeat has been unchanged for too long on this clock.
    async fn gone(&self, core: &Core) -> Result<Vec<String>> {
        let beats = heartbeats(core).await?;
        let mut signs: HashMap<String, String> =
            consumers(core).await?.into_iter().map(|name| (name, String::new())).collect();
        signs.extend(beats);
        signs.remove(&core.replica);
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let outages = (core.link.outages(), core.heart.failures());
        if seen.outages != outages {
            *seen = Seen { signs: HashMap::new(), outages };
        }
        let seen = &mut seen.signs;
        seen.retain(|name, _| signs.contains_key(name));
        let mut gone = Vec::new();
        for (name, sign) in signs {
            let left = sign == LEFT;
            let may_judge = !core.heart.misses();
            let since = match seen.get(&name) {
                Some((last, since)) if *last == sign => *since,
                _ => {
                    seen.insert(name.clone(), (sign, now));
                    now
                }
            };
            if left || (may_judge && now.duration_since(since) >= core.dead_after) {
                gone.push(name);
            }
        }
        gone.sort_unstable();
        Ok(gone)
    }
}

/// Replicas that have a heartbeat and have not said that they stop.
pub(super) async fn alive(core: &Core) -> Result<HashSet<String>> {
    let beats = heartbeats(core).await?.into_iter();
    Ok(beats.filter(|(_, sign)| sign != LEFT).map(|(name, _)| name).collect())
}

async fn heartbeats(core: &Core) -> Result<Vec<(String, String)>> {
    let mut cmd = redis::cmd("HGETALL");
    cmd.arg(core.keys.replicas());
    let mut values = reply::array(core.link.ask(Tag::Replicas, cmd).await?)?.into_iter();
    let mut beats = Vec::new();
    while let (Some(name), Some(sign)) = (values.next(), values.next()) {
        beats.push((reply::text(name)?, reply::text(sign)?));
    }
    Ok(beats)
}

async fn consumers(core: &Core) -> Result<Vec<String>> {
    let mut cmd = redis::cmd("XINFO");
    cmd.arg("CONSUMERS").arg(&*core.keys.stream).arg(&core.group);
    let mut values = match core.link.run_once(&Batch::one(Tag::Stream, cmd)).await {
        Ok(values) => values,
        Err(fault) if fault.no_group || fault.error.to_string().contains("no such key") => {
            return Ok(Vec::new());
        }
        Err(fault) => return Err(fault.into()),
    };
    let lines = reply::array(values.pop().unwrap_or(Value::Nil))?;
    lines
        .into_iter()
        .map(|line| {
            // name, its value, pending, its value, …
            let value = reply::array(line)?.into_iter().nth(1).unwrap_or(Value::Nil);
            Ok(String::from_utf8_lossy(&reply::bytes(value)?.unwrap_or_default()).into_owned())
        })
        .collect()
}

/// Takes entries of `replica`. Returns them, and whether it has none left.
async fn inherit(
    core: &Core,
    reader: &Reader,
    replica: &str,
    max: usize,
) -> Result<(Vec<Value>, bool)> {
    reader.register().await?;
    let mut cmd: Cmd = script::call(&script::INHERIT, &[&core.keys.stream]);
    cmd.arg(&core.group).arg(replica).arg(&core.replica).arg(max);
    match core.link.run_once(&Batch::one(Tag::Stream, cmd)).await {
        Ok(mut values) => {
            let mut parts = reply::array(values.pop().unwrap_or(Value::Nil))?;
            let entries = reply::array(parts.pop().unwrap_or(Value::Nil))?;
            Ok((entries, matches!(parts.pop(), Some(Value::Int(1)))))
        }
        Err(fault) if fault.no_group => Ok((Vec::new(), true)),
        Err(fault) => {
            reader.doubt();
            Err(fault.into())
        }
    }
}
