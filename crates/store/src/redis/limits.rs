//! Limits that all replicas keep together: paces by the server's clock, who is alive, and whose
//! circuits are open.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;

use super::connection::Batch;
use super::keys::Tag;
use super::{Core, consumers, reply, script};
use crate::{LaneKey, Limits, Ms, OpenCircuit, Pacing, Places, Result};

/// Most open circuits that are read at once. More of them only cost attempts.
const CIRCUITS: usize = 1_000;

/// See the trait.
pub(super) struct RedisLimits {
    core: Arc<Core>,
}

impl RedisLimits {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl Limits for RedisLimits {
    fn is_shared(&self) -> bool {
        true
    }

    async fn take_places(&self, key: &str, pacing: Pacing, most: u32) -> Result<Places> {
        let interval = u64::try_from(pacing.interval.as_micros()).unwrap_or(u64::MAX >> 12);
        let mut cmd = script::call(&script::PACE, &[&self.core.keys.pace(key)]);
        cmd.arg(interval.max(1)).arg(pacing.burst.max(1)).arg(most);
        let answer = reply::array(self.core.link.ask(Tag::Alone, cmd).await?)?;
        let number = |at: usize| answer.get(at).map_or(Ok(0), reply::count);
        let taken = u32::try_from(number(0)?).unwrap_or(u32::MAX);
        Ok(Places { taken, wait: Duration::from_micros(number(1)?) })
    }

    async fn replicas(&self) -> Result<u32> {
        let alive = consumers::alive(&self.core).await?;
        Ok(u32::try_from(alive.len()).unwrap_or(u32::MAX).max(1))
    }

    async fn share_circuits(
        &self,
        now: Ms,
        opened: &[OpenCircuit],
        closed: &[OpenCircuit],
    ) -> Result<Vec<OpenCircuit>> {
        let key = self.core.keys.circuits();
        let mut batch = Batch::new();
        for circuit in closed {
            let mut cmd = redis::cmd("ZREM");
            cmd.arg(&key).arg(member(circuit));
            batch.push(Tag::Replicas, cmd);
        }
        for circuit in opened {
            let mut cmd = redis::cmd("ZADD");
            cmd.arg(&key).arg(circuit.until).arg(member(circuit));
            batch.push(Tag::Replicas, cmd);
        }
        let mut old = redis::cmd("ZREMRANGEBYSCORE");
        old.arg(&key).arg("-inf").arg(now);
        batch.push(Tag::Replicas, old);
        let mut open = redis::cmd("ZRANGE");
        open.arg(&key).arg(0).arg(CIRCUITS - 1).arg("WITHSCORES");
        batch.push(Tag::Replicas, open);
        let answer = self.core.link.run(&batch).await?.pop().unwrap_or(Value::Nil);
        let mut parts = reply::array(answer)?.into_iter();
        let mut circuits = Vec::new();
        while let (Some(text), Some(until)) = (parts.next(), parts.next()) {
            // A later version may write something else.
            circuits.extend(read(&reply::text(text)?, reply::int(&until)?));
        }
        Ok(circuits)
    }
}

fn member(circuit: &OpenCircuit) -> String {
    let OpenCircuit { lane, revision, .. } = circuit;
    format!("{}\t{}\t{revision}", lane.tenant, lane.id)
}

fn read(text: &str, until: Ms) -> Option<OpenCircuit> {
    let mut parts = text.split('\t');
    let (tenant, lane) = (parts.next()?, parts.next()?);
    let lane = LaneKey { tenant: tenant.into(), id: lane.into() };
    Some(OpenCircuit { lane, revision: parts.next()?.parse().ok()?, until })
}
