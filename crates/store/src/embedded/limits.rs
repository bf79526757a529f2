//! [`Limits`]: one process uses the folder, so they are its own.

use async_trait::async_trait;

use super::Embedded;
use crate::{Limits, Ms, OpenCircuit, Pacing, Places, Result};

#[async_trait]
impl Limits for Embedded {
    fn is_shared(&self) -> bool {
        false
    }

    async fn take_places(&self, key: &str, pacing: Pacing, most: u32) -> Result<Places> {
        Ok(self.paces.take(key, pacing, most))
    }

    async fn replicas(&self) -> Result<u32> {
        Ok(1)
    }

    async fn share_circuits(
        &self,
        _now: Ms,
        _opened: &[OpenCircuit],
        _closed: &[OpenCircuit],
    ) -> Result<Vec<OpenCircuit>> {
        Ok(Vec::new())
    }
}
