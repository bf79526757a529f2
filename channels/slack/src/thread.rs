//! Remembering which Slack message a group of events began with.
//!
//! The memory is best effort: losing it costs a new thread, and waiting for it is bounded, so that
//! a store in trouble never turns a message that was posted into one that is posted twice.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery, Memo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a thread goes on; after that a new one begins where people see it.
const TTL: Duration = Duration::from_hours(30 * 24);
/// The longest that a message waits for the memory.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes of a group's value; a longer one tells no group.
const VALUE_MAX: usize = 200;

/// The first message of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct First {
    /// The destination's `slack_channel` at the time: after a change it is of no use.
    pub(crate) to: String,
    /// The channel's id, which `chat.update` needs.
    pub(crate) channel: String,
    /// The message's id within its channel.
    pub(crate) ts: String,
    /// `created` of the newest event that it shows.
    pub(crate) created: i64,
}

/// The group that a delivery belongs to.
pub(crate) struct Group {
    memo: Arc<dyn Memo>,
    key: String,
    /// `created` of the delivery's event.
    pub(crate) created: i64,
}

impl Group {
    /// By the value at `path`; `None` for a digest, and for an event without a usable value.
    pub(crate) fn of(delivery: &Delivery, path: &str, memo: &Arc<dyn Memo>) -> Option<Self> {
        let Content::Event(event) = &delivery.content else { return None };
        let value = match event.at(path)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        if value.is_empty() || value.len() > VALUE_MAX {
            return None;
        }
        let destination = &delivery.destination;
        let key = format!("slack/{}/{}/{value}", destination.tenant, destination.base_id());
        Some(Self { memo: Arc::clone(memo), key, created: event.created })
    }

    /// The message that the group began with, if it is known and in this channel.
    pub(crate) async fn first(&self, to: &str) -> Option<First> {
        let known = tokio::time::timeout(PATIENCE, self.memo.get(&self.key)).await.ok()??;
        serde_json::from_str(&known).ok().filter(|first: &First| first.to == to)
    }

    /// From now on the group goes with this message.
    pub(crate) async fn remember(&self, first: &First) {
        // A struct of texts and a number always has a JSON form.
        let Ok(value) = serde_json::to_string(first) else { return };
        if tokio::time::timeout(PATIENCE, self.memo.put(&self.key, &value, TTL)).await.is_err() {
            tracing::warn!("a Slack thread could not be remembered in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A store that never answers.
    struct Hung;

    #[async_trait]
    impl Memo for Hung {
        async fn get(&self, _: &str) -> Option<String> {
            std::future::pending().await
        }
        async fn put(&self, _: &str, _: &str, _: Duration) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_memory_holds_a_message_back_for_a_moment_only() {
        let group = Group { memo: Arc::new(Hung), key: "slack/acme/kyc/s1".to_owned(), created: 1 };
        let begin = tokio::time::Instant::now();
        assert_eq!(group.first("#kyc").await, None);
        let text = String::from;
        let first = First { to: text("#kyc"), channel: text("C1"), ts: text("1.2"), created: 1 };
        group.remember(&first).await;
        assert_eq!(begin.elapsed(), 2 * PATIENCE);
    }
}
