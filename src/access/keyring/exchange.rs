//! A portal link works once: its key is exchanged for one that was never in an address.

use std::time::Duration;

use super::Keyring;
use crate::access::keys::{self, CreateError, Created};
use crate::access::{NewKey, Principal};

impl Keyring {
    /// Exchanges the key of a portal link for a new key with the same rights and the same end, and
    /// revokes it. Returns `None` if the link was used before. Of several requests with the same
    /// link, on any replica, exactly one succeeds.
    pub async fn exchange(&self, link: &Principal) -> Result<Option<Created>, CreateError> {
        let Some(old) = keys::get(&*self.records, &link.key_id).await? else { return Ok(None) };
        let now = self.clock.now_ms();
        let left_ms = old.expires_ms.map_or(0, |expires| expires.saturating_sub(now));
        let Some(left_ms) = u64::try_from(left_ms).ok().filter(|left| *left > 0) else {
            return Ok(None);
        };
        let new = NewKey {
            role: old.role,
            tenant: old.tenant.clone(),
            environment: old.environment,
            label: old.label.clone(),
            ttl: Some(Duration::from_millis(left_ms)),
            portal: true,
            created_by: Some(old.id.as_str().into()),
        };
        // The new key first: if this process stops between the two, the link still works.
        let made = self.create(new).await?;
        if self.revoke(&old.id).await? {
            return Ok(Some(made));
        }
        self.revoke(&made.key.id).await?;
        Ok(None)
    }
}
