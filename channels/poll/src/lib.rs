//! The poll channel: a mailbox that its owner reads over the API. Nothing is sent.
//!
//! The mailbox is the router's ledger. Each consumer reads it in order, from its own cursor. So an
//! attempt succeeds as soon as it runs, and a delivery is kept for as long as the ledger keeps
//! events. A mailbox can be paused and can have a rate, like any other destination.

#![forbid(unsafe_code)]

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    Channel, ChannelService, Delivery, DeliveryError, FieldError, Policy, PreparedLane, Receipt,
};
use serde_json::{Map, Value};
use tower::service_fn;

/// The channel's name.
pub const NAME: &str = "poll";

/// Delivers to mailboxes.
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
            quick_retry: false,
            concurrency: 1024,
            rate: None,
            channel_concurrency: 1 << 20,
            disable_after: None,
            bounces: None,
            endless: false,
        }
    }

    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
        let unknown = |field: &String| {
            FieldError::new(field, "is not a setting of a mailbox, which has none; remove it")
        };
        let errors: Vec<_> = settings.keys().map(unknown).collect();
        let lane = PreparedLane {
            suffix: None,
            label: "mailbox".to_owned(),
            pace: None,
            settings: Arc::new(()),
        };
        if errors.is_empty() { Ok(vec![lane]) } else { Err(errors) }
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        settings.clone()
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn service(&self) -> ChannelService {
        // The delivery is in the ledger already.
        let accept = |_: Delivery| ready(Ok::<_, DeliveryError>(Receipt::default()));
        ChannelService::new(service_fn(accept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_has_no_settings() {
        assert_eq!(PollChannel.prepare(&Map::new()).map(|lanes| lanes.len()).ok(), Some(1));
        let settings = Map::from_iter([("url".to_owned(), Value::from("https://x"))]);
        assert_eq!(PollChannel.prepare(&settings).err().map(|errors| errors.len()), Some(1));
    }
}
