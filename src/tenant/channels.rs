//! The channels of this process, each with its stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_contract::{Channel, Policy};

use crate::agenda::Replicas;
use crate::delivery::{Stack, StackOptions, compose};

/// Channels by name.
#[derive(Clone)]
pub struct Channels {
    by_name: BTreeMap<&'static str, ChannelEntry>,
    replicas: Arc<Replicas>,
}

/// A channel and the defaults for its destinations.
#[derive(Clone)]
pub struct ChannelEntry {
    /// The channel.
    pub channel: Arc<dyn Channel>,
    /// The channel's policy.
    pub policy: Arc<Policy>,
    /// The channel with its layers.
    pub stack: Arc<Stack>,
}

impl Channels {
    /// Composes the stack of each channel.
    pub fn new(channels: Vec<Arc<dyn Channel>>, options: &StackOptions) -> Self {
        let with_stack = |channel: Arc<dyn Channel>| {
            let stack = Arc::new(compose(&*channel, options));
            (channel.name(), ChannelEntry { policy: Arc::new(channel.policy()), stack, channel })
        };
        let by_name = channels.into_iter().map(with_stack).collect();
        Self { by_name, replicas: Replicas::none() }
    }

    /// With limits that hold over these replicas.
    #[must_use]
    pub fn among(self, replicas: Arc<Replicas>) -> Self {
        Self { replicas, ..self }
    }

    /// The replicas that limits hold over.
    pub fn replicas(&self) -> &Arc<Replicas> {
        &self.replicas
    }

    /// A channel by name.
    pub fn get(&self, name: &str) -> Option<&ChannelEntry> {
        self.by_name.get(name)
    }

    /// All channels, by name.
    pub fn all(&self) -> impl Iterator<Item = &ChannelEntry> {
        self.by_name.values()
    }

    /// The names of all channels, for messages.
    pub fn names(&self) -> String {
        self.by_name.keys().copied().collect::<Vec<_>>().join(", ")
    }
}
