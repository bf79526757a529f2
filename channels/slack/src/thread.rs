//! Remembers the first Slack message of each group of events.
//!
//! The memory is best effort: a lost entry costs a new thread. Waits for it are bounded, so that a
//! slow store never turns a posted message into a failed attempt that is posted again.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery, Json, Memo};
use serde::{Deserialize, Serialize};

/// A thread gets replies for this time. After that a new thread starts at the end of the channel.
const TTL: Duration = Duration::from_hours(30 * 24);
/// Longest wait for the memory.
const MEMO_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum bytes of a group's value. An event with a longer value belongs to no group.
const VALUE_MAX: usize = 200;

/// The first message of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct First {
    /// The destination's `slack_channel` at that time. After a change the entry is not used.
    pub(crate) to: String,
    /// The channel's id, which `chat.update` requires.
    pub(crate) channel: String,
    /// The message's id within its channel.
    pub(crate) ts: String,
    /// `created` of the newest event that the message shows.
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
    /// The group with the value at `path`. `None` for a digest and for an event without such a
    /// value.
    pub(crate) fn of(delivery: &Delivery, path: &str, memo: &Arc<dyn Memo>) -> Option<Self> {
        let Content::Event(event) = &delivery.content else { return None };
        let value = match event.json().at(path)? {
            Json::Text(text) | Json::Number(text) => text.to_string(),
            Json::Bool(yes) => yes.to_string(),
            Json::Null | Json::List(_) | Json::Object(_) => return None,
        };
        if value.is_empty() || value.len() > VALUE_MAX {
            return None;
        }
        let destination = &delivery.destination;
        let key =
            format!("slack/{}/{}/{value}", destination.tenant, destination.lane.destination());
        Some(Self { memo: Arc::clone(memo), key, created: event.created })
    }

    /// The group's first message, if it is known and in this channel.
    pub(crate) async fn first(&self, to: &str) -> Option<First> {
        let known = tokio::time::timeout(MEMO_TIMEOUT, self.memo.get(&self.key)).await.ok()??;
        serde_json::from_str(&known).ok().filter(|first: &First| first.to == to)
    }

    /// Stores the group's first message.
    pub(crate) async fn remember(&self, first: &First) {
        // Serializing a struct of strings and a number cannot fail.
        let Ok(value) = serde_json::to_string(first) else { return };
        if tokio::time::timeout(MEMO_TIMEOUT, self.memo.put(&self.key, &value, TTL)).await.is_err()
        {
            tracing::warn!(
                "could not store a Slack thread in time; its next message starts a new one"
            );
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
    async fn a_hung_store_delays_a_message_for_a_bounded_time() {
        let group = Group { memo: Arc::new(Hung), key: "slack/acme/kyc/s1".to_owned(), created: 1 };
        let begin = tokio::time::Instant::now();
        assert_eq!(group.first("#kyc").await, None);
        let text = String::from;
        let first = First { to: text("#kyc"), channel: text("C1"), ts: text("1.2"), created: 1 };
        group.remember(&first).await;
        assert_eq!(begin.elapsed(), 2 * MEMO_TIMEOUT);
    }
}
