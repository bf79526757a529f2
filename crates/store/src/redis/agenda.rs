//! The agenda: when each lane may be served, and which replica has claimed it.
//!
//! Two levels keep tenants apart. The agenda of a shard has one line per tenant, with the time of
//! its earliest lane. The agenda of a tenant has one line per lane. A claim reads the first lines
//! of all shards and takes the earliest lanes. If another replica was faster, the claim gets fewer
//! lanes. The line of a claimed lane has the time at which the lease ends, so an abandoned lane
//! becomes due by itself.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::Event;
use redis::Value;
use tokio::time::{Instant, timeout_at};

use super::connection::Batch;
use super::keys::{SHARDS, Tag, shard_of, unescape};
use super::{Core, log, order, pack, queue, reply, rollups, script};
use crate::{
    Agenda, Claim, DeliveryUpdate, EntryId, Failing, Head, LaneKey, Look, Ms, Next, Reason, Result,
    StateKind, TenantLimit, WaitingItem,
};

/// How often to check the agendas for changes by other replicas.
const POLL: Duration = Duration::from_millis(500);
/// Most deliveries in one script.
const UPDATES_A_SCRIPT: usize = 200;

/// See the trait.
pub(super) struct RedisAgenda {
    core: Arc<Core>,
    /// The last answer of `next_time_without`: the caller sleeps until then.
    next: Mutex<(Option<Ms>, Vec<Arc<str>>)>,
}

/// A lane whose time has come, as seen.
struct Candidate {
    shard: u8,
    tenant: String,
    lane: String,
    at: Ms,
}

impl RedisAgenda {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, next: Mutex::default() }
    }

    async fn candidates(
        &self,
        now: Ms,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Candidate>> {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            let mut cmd = script::call(&script::PEEK, &[&self.core.keys.agenda(shard)]);
            cmd.arg(self.core.keys.base(shard)).arg(now).arg(max).arg(per_tenant);
            for (tenant, most) in limits.iter().filter(|(tenant, _)| shard_of(tenant) == shard) {
                cmd.arg(&self.core.keys.tenant(tenant).name).arg(*most);
            }
            batch.push(Tag::Shard(shard), cmd);
        }
        let mut found = Vec::new();
        for (shard, answer) in (0..SHARDS).zip(self.core.link.run(&batch).await?) {
            let mut parts = reply::array(answer)?.into_iter();
            while let (Some(tenant), Some(lane), Some(at)) =
                (parts.next(), parts.next(), parts.next())
            {
                let (tenant, lane) = (reply::text(tenant)?, reply::text(lane)?);
                found.push(Candidate { shard, tenant, lane, at: reply::int(&at)? });
            }
        }
        found.sort_by_key(|candidate| candidate.at);
        found.truncate(max);
        Ok(found)
    }

    /// Claims those candidates that are still free.
    async fn take(&self, found: Vec<Candidate>, now: Ms, until: Ms) -> Result<Vec<Claim>> {
        let claims: Vec<Claim> = found
            .iter()
            .map(|candidate| Claim {
                lane: LaneKey {
                    tenant: unescape(&candidate.tenant).into(),
                    id: candidate.lane.as_str().into(),
                },
                token: self.token(),
            })
            .collect();
        let mut shards: HashMap<u8, Vec<usize>> = HashMap::new();
        for (at, candidate) in found.iter().enumerate() {
            shards.entry(candidate.shard).or_default().push(at);
        }
        let mut batch = Batch::new();
        let mut order = Vec::with_capacity(found.len());
        for (shard, places) in shards {
            let mut cmd = script::call(&script::TAKE, &[&self.core.keys.agenda(shard)]);
            cmd.arg(self.core.keys.base(shard)).arg(now).arg(until);
            for &place in &places {
                cmd.arg(&found[place].tenant).arg(&found[place].lane).arg(&claims[place].token);
            }
            batch.push(Tag::Shard(shard), cmd);
            order.push(places);
        }
        let mut taken = vec![false; found.len()];
        // A repeated call finds its own tokens.
        let answers = self.core.link.run(&batch).await?;
        for (places, answer) in order.into_iter().zip(answers) {
            for (place, digit) in places.into_iter().zip(reply::text(answer)?.bytes()) {
                taken[place] = digit == b'1';
            }
        }
        Ok(claims
            .into_iter()
            .zip(taken)
            .filter_map(|(claim, taken)| taken.then_some(claim))
            .collect())
    }

    fn token(&self) -> String {
        format!("{}/{}", self.core.replica, self.core.tokens.fetch_add(1, Ordering::Relaxed))
    }

    /// The time of the earliest line, without those of some tenants.
    async fn earliest(&self, without: &[Arc<str>]) -> Result<Option<Ms>> {
        let mut batch = Batch::new();
        for shard in 0..SHARDS {
            let passed = without.iter().filter(|tenant| shard_of(tenant) == shard).count();
            let mut cmd = redis::cmd("ZRANGE");
            cmd.arg(self.core.keys.agenda(shard)).arg(0).arg(passed).arg("WITHSCORES");
            batch.push(Tag::Shard(shard), cmd);
        }
        let mut earliest = None;
        for answer in self.core.link.run(&batch).await? {
            let mut lines = reply::array(answer)?.into_iter();
            while let (Some(tenant), Some(at)) = (lines.next(), lines.next()) {
                let (tenant, at) = (reply::text(tenant)?, reply::int(&at)?);
                if !without.iter().any(|one| **one == *unescape(&tenant)) {
                    earliest = Some(earliest.map_or(at, |least: Ms| least.min(at)));
                }
            }
        }
        Ok(earliest)
    }

    /// Writes a part of the updates. Returns the events that the store does not know.
    async fn write(
        &self,
        lane: &LaneKey,
        updates: &[(Arc<Event>, DeliveryUpdate)],
    ) -> Result<Vec<Arc<Event>>> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let names = [
            keys.outcomes(),
            keys.events(),
            keys.queue(&lane.id),
            keys.ended(&lane.id),
            keys.agenda(),
            keys.lanes(),
            keys.index("w"),
            keys.index("s"),
            keys.index("x"),
            keys.leases(),
            keys.erased(),
            keys.usage(),
        ];
        let mut cmd = script::call(&script::LANE, &names.each_ref().map(String::as_str));
        cmd.arg(&keys.base).arg(&keys.name).arg(&*lane.id).arg(pack::lane_hash(&lane.id));
        cmd.arg(self.core.keep_rollups_s());
        for (event, update) in updates {
            let state = update.change.target();
            let (due, serve) = state.times().unwrap_or_default();
            cmd.arg(&*event.id).arg(pack::letter(state.kind())).arg(due).arg(serve);
            cmd.arg(update.at_ms);
            cmd.arg(pack::quote(&state.reason().map(Reason::as_text).unwrap_or_default()));
            cmd.arg(pack::pack_line(update)).arg(pack::pack_attempts(&update.attempts));
            cmd.arg(u8::from(update.change.is_replay()));
            rollups::add_delivery(&mut cmd, event, update);
        }
        let mut missing = Vec::new();
        let mut batch = Batch::one(keys.tag(), cmd);
        self.core.link.have_confirmed(&mut batch, keys.tag(), &keys.base);
        let answer = self.core.link.run(&batch).await?.into_iter().next();
        for id in reply::array(answer.unwrap_or(Value::Nil))? {
            let id = reply::text(id)?;
            let found = updates.iter().find(|(event, _)| *event.id == *id);
            missing.extend(found.map(|(event, _)| Arc::clone(event)));
        }
        Ok(missing)
    }
}

#[async_trait]
impl Agenda for RedisAgenda {
    async fn claim_limited(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Claim>> {
        if max == 0 || per_tenant == 0 {
            return Ok(Vec::new());
        }
        let found = self.candidates(now, max, per_tenant, limits).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.take(found, now, after(now, lease)).await
    }

    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        look: Look,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>> {
        let Look { max, bytes } = look;
        let most = Look { max: max.saturating_add(taken.len()), bytes };
        let (tag, mut cmd) = queue::due(&self.core, claim, now, most);
        for id in taken {
            cmd.arg(&**id);
        }
        let answer = self.core.link.ask(tag, cmd).await?;
        let mut found = queue::read(&self.core, &claim.lane, answer).await?;
        found.truncate(max);
        Ok(found.into_iter().map(|(_, item)| item).collect())
    }

    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head> {
        order::head(&self.core, claim, now).await
    }

    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()> {
        for part in updates.chunks(UPDATES_A_SCRIPT) {
            let missing = self.write(lane, part).await?;
            if missing.is_empty() {
                continue;
            }
            // The server lost its data while these were in flight. Outcomes are facts, so the
            // events are recorded again, as if they had arrived when they were received.
            let back: Vec<_> = missing
                .into_iter()
                .map(|event| {
                    let major = u64::try_from(event.received_ms).unwrap_or_default();
                    (EntryId { major, minor: 0 }, event)
                })
                .collect();
            log::admit(&self.core, &back).await?;
            if !self.write(lane, part).await?.is_empty() {
                return Err(super::events_disappear());
            }
        }
        let waits =
            |(_, update): &(_, DeliveryUpdate)| update.change.target_kind() == StateKind::Waiting;
        if updates.iter().any(waits) {
            self.core.changed.notify_one();
        }
        Ok(())
    }

    async fn release(&self, claim: &Claim, next: Next) -> Result<()> {
        let keys = self.core.keys.tenant(&claim.lane.tenant);
        let (agenda, lanes, leases) = (keys.agenda(), keys.lanes(), keys.leases());
        let queue = keys.queue(&claim.lane.id);
        let mut cmd = script::call(&script::RELEASE, &[&agenda, &lanes, &leases, &queue]);
        cmd.arg(&keys.name).arg(&*claim.lane.id).arg(&claim.token);
        match next {
            Next::WhenDue => cmd.arg(""),
            Next::NotBefore(at) => cmd.arg(at),
        };
        self.core.link.ask(keys.tag(), cmd).await?;
        self.core.changed.notify_one();
        Ok(())
    }

    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>> {
        let mut batch = Batch::new();
        for claim in claims {
            let keys = self.core.keys.tenant(&claim.lane.tenant);
            let (agenda, lanes, leases) = (keys.agenda(), keys.lanes(), keys.leases());
            let mut cmd = script::call(&script::RENEW, &[&agenda, &lanes, &leases]);
            cmd.arg(&keys.name).arg(&*claim.lane.id);
            cmd.arg(&claim.token).arg(after(now, lease));
            batch.push(keys.tag(), cmd);
        }
        let answers = self.core.pulse.run(&batch).await?;
        Ok(answers.iter().map(|answer| matches!(answer, Value::Int(1))).collect())
    }

    async fn next_time_without(&self, tenants: &[Arc<str>]) -> Result<Option<Ms>> {
        let next = self.earliest(tenants).await?;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = (next, tenants.to_vec());
        Ok(next)
    }

    async fn changed(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let (mut last, without) = self.next.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loop {
            let poll = until.min(Instant::now() + POLL);
            if timeout_at(poll, self.core.changed.notified()).await.is_ok() || poll == until {
                return;
            }
            // During an outage nothing can change.
            let Ok(next) = self.earliest(&without).await else { continue };
            match (next, last) {
                (Some(_), None) => return,
                (Some(next), Some(last)) if next < last => return,
                _ => last = next,
            }
        }
    }

    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let (agenda, lanes, leases) = (keys.agenda(), keys.lanes(), keys.leases());
        let queue = keys.queue(&lane.id);
        let mut cmd = script::call(&script::RESCHEDULE, &[&agenda, &lanes, &leases, &queue]);
        cmd.arg(&keys.name).arg(&*lane.id).arg(at);
        self.core.link.ask(keys.tag(), cmd).await?;
        self.core.changed.notify_one();
        Ok(())
    }

    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let mut cmd = script::call(&script::FAILING, &[&keys.failing(), &keys.log()]);
        let gap = Ms::try_from(gap.as_millis()).unwrap_or(Ms::MAX / 2);
        cmd.arg(&*lane.id).arg(at).arg(gap);
        let mut parts = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        Ok(Failing { since_ms: reply::int(&next())?, told: reply::count(&next())? })
    }

    async fn well(&self, lane: &LaneKey) -> Result<()> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let mut cmd = redis::cmd("HDEL");
        cmd.arg(keys.failing()).arg(&*lane.id);
        self.core.link.ask(keys.tag(), cmd).await.map(drop)
    }

    async fn waiting(&self, lane: &LaneKey) -> Result<u64> {
        let keys = self.core.keys.tenant(&lane.tenant);
        let mut cmd = redis::cmd("ZCARD");
        cmd.arg(keys.queue(&lane.id));
        reply::count(&self.core.link.ask(keys.tag(), cmd).await?)
    }
}

fn after(now: Ms, lease: Duration) -> Ms {
    now.saturating_add(Ms::try_from(lease.as_millis()).unwrap_or(Ms::MAX))
}
