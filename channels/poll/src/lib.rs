//! Poll: nothing is sent. What is delivered is in the mailbox, which its owner looks into when it
//! likes: the router's ledger, read in order from where each consumer has come to.
//!
//! So a delivery ends well as soon as its turn comes (a mailbox can be paused, and has a pace, as any
//! other destination), and is kept for as long as the ledger keeps events.

#![forbid(unsafe_code)]

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    Channel, ChannelService, Delivery, DeliveryError, FieldError, Lane, Policy, Receipt,
};
use serde_json::{Map, Value};
use tower::service_fn;
use tower::util::BoxCloneSyncService;

/// The channel's name.
pub const NAME: &str = "poll";

/// Mailboxes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PollChannel;

impl Channel for PollChannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn policy(&self) -> Policy {
        Policy {
            schedule: Vec::new(),
            jitter: 0.0,
            retry_after_cap: Duration::ZERO,
            attempt_timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(1),
            quick_retries: 0,
            concurrency: 1024,
            rate: None,
            channel_concurrency: 1 << 20,
            disable_after: None,
            bounces: None,
            endless: false,
        }
    }

    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<Lane>, Vec<FieldError>> {
        let unknown = |field: &String| {
            FieldError::new(field, "is not a setting of a mailbox: it has none of its own")
        };
        let errors: Vec<_> = settings.keys().map(unknown).collect();
        let lane = Lane { suffix: None, label: "mailbox".to_owned(), settings: Arc::new(()) };
        if errors.is_empty() { Ok(vec![lane]) } else { Err(errors) }
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        settings.clone()
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn service(&self) -> ChannelService {
        let kept = |_: Delivery| ready(Ok::<_, DeliveryError>(Receipt::default()));
        BoxCloneSyncService::new(service_fn(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_has_no_settings_of_its_own() {
        assert_eq!(PollChannel.prepare(&Map::new()).map(|lanes| lanes.len()).ok(), Some(1));
        let settings = Map::from_iter([("url".to_owned(), Value::from("https://x"))]);
        assert_eq!(PollChannel.prepare(&settings).err().map(|errors| errors.len()), Some(1));
    }
}
