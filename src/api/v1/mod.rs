//! The resources of version 1 of the HTTP API, one file each.
//!
//! A tenant's resources are under `/v1/tenants/{tenant}/…`, where `me` is the tenant of the
//! caller's key. Events are sent to and followed at `/v1/events`.

mod deliveries;
mod destinations;
mod digests;
mod document;
mod events;
mod feed;
mod follow;
mod ingest;
mod keys;
mod mailbox;
mod notification;
mod params;
mod paths;
mod preferences;
mod privacy;
mod quotas;
mod replay;
mod routes;
mod server;
mod stats;
mod suppressions;
mod templates;
mod tenants;
mod trail;
mod types;
mod words;

pub(super) use paths::{alias_paths, ingest_paths, resource_paths};
