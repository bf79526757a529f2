//! [`Limits`] in memory: all processes of a [`World`](super::World) share them.

use async_trait::async_trait;

use super::Memory;
use crate::{Limits, Ms, OpenCircuit, Pacing, Places, Result};

#[async_trait]
impl Limits for Memory {
    fn is_shared(&self) -> bool {
        self.world.lock().shares_limits
    }

    async fn take_places(&self, key: &str, pacing: Pacing, most: u32) -> Result<Places> {
        self.world.faults.meet("limits.take_places").await?;
        Ok(self.world.paces.take(key, pacing, most))
    }

    async fn replicas(&self) -> Result<u32> {
        let alive = self.world.lock().alive.len();
        Ok(u32::try_from(alive).unwrap_or(u32::MAX).max(1))
    }

    async fn share_circuits(
        &self,
        now: Ms,
        opened: &[OpenCircuit],
        closed: &[OpenCircuit],
    ) -> Result<Vec<OpenCircuit>> {
        let mut state = self.world.lock();
        let is = |one: &OpenCircuit, other: &OpenCircuit| {
            (&one.lane, one.revision) == (&other.lane, other.revision)
        };
        let circuits = &mut state.circuits;
        circuits.retain(|open| {
            let changes = || opened.iter().chain(closed);
            open.until > now && !changes().any(|change| is(open, change))
        });
        circuits.extend(opened.iter().filter(|open| open.until > now).cloned());
        Ok(circuits.clone())
    }
}
