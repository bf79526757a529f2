//! The Redis store: streams, consumer groups, one hash tag a shard.
