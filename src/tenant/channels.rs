//! The channels that this process has, each with its stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_contract::{Channel, Policy};

use crate::delivery::{Stack, StackOptions, compose};

/// Channels by name.
#[derive(Clone)]
pub struct Channels {
    by_name: BTreeMap<&'static str, Chosen>,
}

/// A channel, and what all its destinations share unless they say otherwise.
#[derive(Clone)]
pub struct Chosen {
    /// The channel.
    pub channel: Arc<dyn Channel>,
    /// Its policy.
    pub policy: Arc<Policy>,
    /// It with its layers.
    pub stack: Arc<Stack>,
}

impl Channels {
    /// Composes the stack of each.
    pub fn new(channels: Vec<Arc<dyn Channel>>, options: &StackOptions) -> Self {
        let with_stack = |channel: Arc<dyn Channel>| {
            let stack = Arc::new(compose(&*channel, options));
            (channel.name(), Chosen { policy: Arc::new(channel.policy()), stack, channel })
        };
        Self { by_name: channels.into_iter().map(with_stack).collect() }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Chosen> {
        self.by_name.get(name)
    }

    /// Their names, for messages.
    pub fn names(&self) -> String {
        self.by_name.keys().copied().collect::<Vec<_>>().join(", ")
    }
}
