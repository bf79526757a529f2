//! [`Agenda`] in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::{DeliveryId, Event};

use super::Memory;
use super::state::{Line, State};
use crate::{
    Agenda, Claim, DeliveryUpdate, Failing, Head, LaneKey, Look, Ms, Next, Result, TenantLimit,
    WaitingItem,
};

#[async_trait]
impl Agenda for Memory {
    async fn claim_limited(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Claim>> {
        self.world.faults.meet("agenda.claim").await?;
        let mut state = self.world.lock();
        let due = state.agenda.iter().filter(|(_, line)| line.at <= now);
        let mut due: Vec<(Ms, LaneKey)> = due.map(|(lane, line)| (line.at, lane.clone())).collect();
        due.sort_unstable();
        let mut share: HashMap<Arc<str>, usize> = HashMap::new();
        due.retain(|(_, lane)| {
            let taken = share.entry(lane.tenant.clone()).or_default();
            let limit = limits.iter().find(|(tenant, _)| *tenant == lane.tenant);
            *taken += 1;
            *taken <= limit.map_or(per_tenant, |(_, most)| per_tenant.min(*most))
        });
        due.truncate(max);
        let claim = |(_, lane): (Ms, LaneKey)| {
            state.tokens += 1;
            let token = state.tokens.to_string();
            let line = Line { at: end_of(now, lease), token: Some(token.clone()), held: false };
            state.agenda.insert(lane.clone(), line);
            Claim { lane, token }
        };
        Ok(due.into_iter().map(claim).collect())
    }

    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        look: Look,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>> {
        self.world.faults.meet("agenda.due").await?;
        let state = self.world.lock();
        let Some(queue) = state.queues.get(&claim.lane).filter(|_| holds(&state, claim)) else {
            return Ok(Vec::new());
        };
        let item = |&(due_ms, seq): &(Ms, u64)| {
            let event = state.events[&seq].event.clone();
            let lane = claim.lane.id.clone();
            let id = DeliveryId::derive(&event.id, &lane);
            let attempts = state.deliveries[&(seq, lane)].tries;
            WaitingItem { id, event, attempts, due_ms }
        };
        let due = queue.iter().take_while(|(due, _)| *due <= now).map(item);
        let mut bytes = 0;
        let fits = |item: &WaitingItem| {
            let fits = bytes < look.bytes || bytes == 0;
            bytes += item.event.body.len();
            fits
        };
        let due = due.filter(|item| !taken.contains(&item.event.id)).take(look.max);
        Ok(due.take_while(fits).collect())
    }

    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head> {
        let unsettled = self.world.lock().reading.keys().next().copied().unwrap_or(u64::MAX);
        let Some(item) = self.due(claim, now, 1).await?.pop() else { return Ok(Head::None) };
        let id = (item.event.tenant.clone(), item.event.id.clone());
        let seq = self.world.lock().ids.get(&id).copied();
        let early = seq.is_some_and(|seq| seq > unsettled);
        Ok(if early { Head::Early { due_ms: item.due_ms } } else { Head::Ready(item) })
    }

    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()> {
        self.world.faults.meet("agenda.settle").await?;
        let tried = updates.iter().filter(|(_, update)| !update.attempts.is_empty());
        self.world.faults.look_at("agenda.settle", tried.map(|(event, _)| &*event.id))?;
        let mut state = self.world.lock();
        let mut woke = false;
        for (event, update) in updates {
            let id = (event.tenant.clone(), event.id.clone());
            // Not there: it was removed after its time.
            if let Some(seq) = state.ids.get(&id).copied() {
                woke |= state.change(seq, lane, &update);
            }
        }
        drop(state);
        self.world.told(woke);
        Ok(())
    }

    async fn release(&self, claim: &Claim, next: Next) -> Result<()> {
        self.world.faults.meet("agenda.release").await?;
        let mut state = self.world.lock();
        if !holds(&state, claim) {
            return Ok(());
        }
        match (state.first_due(&claim.lane), next) {
            (None, _) => {
                state.agenda.remove(&claim.lane);
                state.queues.remove(&claim.lane);
            }
            (Some(at), Next::WhenDue) => put(&mut state, &claim.lane, at, false),
            (Some(_), Next::NotBefore(at)) => put(&mut state, &claim.lane, at, true),
        }
        drop(state);
        self.world.told(true);
        Ok(())
    }

    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>> {
        self.world.faults.meet("agenda.renew").await?;
        let mut state = self.world.lock();
        let renew = |claim: &Claim| {
            let held = holds(&state, claim);
            if let Some(line) = state.agenda.get_mut(&claim.lane).filter(|_| held) {
                line.at = end_of(now, lease);
            }
            held
        };
        Ok(claims.iter().map(renew).collect())
    }

    async fn next_time_without(&self, tenants: &[Arc<str>]) -> Result<Option<Ms>> {
        self.world.faults.meet("agenda.next_time").await?;
        let state = self.world.lock();
        let others = state.agenda.iter().filter(|(lane, _)| !tenants.contains(&lane.tenant));
        Ok(others.map(|(_, line)| line.at).min())
    }

    async fn changed(&self, at_most: Duration) {
        // When the time is over, so is the wait.
        let _ = tokio::time::timeout(at_most, self.world.agenda.notified()).await;
    }

    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()> {
        self.world.faults.meet("agenda.reschedule").await?;
        let mut state = self.world.lock();
        let free = state.agenda.get(lane).is_some_and(|line| line.token.is_none());
        if free && state.first_due(lane).is_some() {
            put(&mut state, lane, at, false);
        }
        drop(state);
        self.world.told(free);
        Ok(())
    }

    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing> {
        self.world.faults.meet("agenda.failing").await?;
        let gap = Ms::try_from(gap.as_millis()).unwrap_or(Ms::MAX / 2);
        let mut state = self.world.lock();
        let kept = state.failing.entry(lane.clone());
        let (failing, last) = kept.or_insert((Failing { since_ms: at, told: 0 }, at));
        if at - *last > gap {
            *failing = Failing { since_ms: at, told: 0 };
        }
        *last = at.max(*last);
        failing.since_ms = failing.since_ms.min(at);
        failing.told += 1;
        Ok(*failing)
    }

    async fn well(&self, lane: &LaneKey) -> Result<()> {
        self.world.faults.meet("agenda.well").await?;
        self.world.lock().failing.remove(lane);
        Ok(())
    }

    async fn waiting(&self, lane: &LaneKey) -> Result<u64> {
        Ok(self.world.lock().queues.get(lane).map_or(0, |queue| queue.len() as u64))
    }
}

fn put(state: &mut State, lane: &LaneKey, at: Ms, held: bool) {
    state.agenda.insert(lane.clone(), Line { at, token: None, held });
}

fn holds(state: &State, claim: &Claim) -> bool {
    let line = state.agenda.get(&claim.lane);
    line.is_some_and(|line| line.token.as_ref() == Some(&claim.token))
}

fn end_of(now: Ms, lease: Duration) -> Ms {
    now + Ms::try_from(lease.as_millis()).unwrap_or(Ms::MAX / 2)
}
