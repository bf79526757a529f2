//! Fanfare is a multi-channel notification router. Producers send events. Each tenant's routing
//! table decides which destinations receive each event, and Fanfare delivers signed webhooks,
//! templated email and Slack messages. It retries failed deliveries for days and records every
//! attempt.
//!
//! This crate is the router itself: the `fanfare` binary calls [`cli::main`]. The parts that know
//! nothing of the router are crates of their own:
//!
//! | crate | content |
//! | --- | --- |
//! | [`fanfare_contract`] | what the router and the channels share: events, deliveries, verdicts |
//! | [`fanfare_webhook`], [`fanfare_email`], [`fanfare_slack`], [`fanfare_poll`] | one channel each |
//! | [`fanfare_routing`] | event-type patterns and filters, compiled into one table a tenant |
//! | [`fanfare_render`] | the templates of email and Slack messages |
//! | [`fanfare_store`] | everything durable, in one folder or in Redis |
//!
//! # The path of an event
//!
//! | stage | what happens | where |
//! | --- | --- | --- |
//! | ingest | an event is decoded and made durable, then the producer gets its answer | [`event`], [`api`] |
//! | read | the router reads entries from the log in batches | [`pipeline::read`] |
//! | admit | the ledger learns of each event, and duplicates are recognized | [`pipeline::admit`] |
//! | route | the tenant's table selects the destinations | [`pipeline::route`], [`tenant`] |
//! | dispatch | each delivery goes at once, or waits in its lane's durable queue | [`pipeline::dispatch`], [`agenda`] |
//! | attempt | the channel renders and sends, and its answer is judged | [`pipeline::attempt`], [`delivery`] |
//! | settle | the outcomes are written, and the entry is acknowledged last | [`pipeline::settle`] |
//!
//! A delivery that waits (for a retry, a rate, an open circuit, its turn or a digest) is served by
//! [`agenda::Server`]. Everything is put together in [`app`].
//!
//! # Where to start reading
//!
//! [`pipeline`] lists the stages in the order in which they happen, one file per stage.
//! `ARCHITECTURE.md` has the map of all modules, the invariants, and what happens after a crash at
//! each point. Words such as *lane*, *agenda* and *gate* are explained there too.
//!
//! # Example
//!
//! The first half of the path: an event is ingested, and a table selects its destinations.
//!
//! ```
//! use fanfare::event::{Fill, Limits, accept};
//! use fanfare_routing::{RouteSpec, Table};
//!
//! // Routes as a tenant writes them. The filter is an EventBridge pattern.
//! let routes: Vec<RouteSpec> = serde_json::from_value(serde_json::json!([
//!     { "events": ["order.*"], "to": ["audit"] },
//!     {
//!         "events": ["order.refused"],
//!         "when": { "data": { "amount": [{ "numeric": [">=", 1000] }] } },
//!         "to": ["support"],
//!     },
//! ]))?;
//! let destinations = ["audit", "support"];
//! let table = Table::compile(&routes, &destinations).expect("the routes are correct");
//!
//! // What the producer left out is filled in: here the id and the time.
//! let body = r#"{"type": "order.refused", "data": {"amount": 2500}}"#;
//! let fill = Fill { id: &|| "evt_1".to_owned(), received_ms: 1_735_228_800_000 };
//! let event = accept(&"acme".into(), body.into(), Limits::default(), &fill)?;
//! assert_eq!(event.created, 1_735_228_800);
//!
//! let mut matching = Vec::new();
//! let _ = table.matching(&event, &mut matching);
//! let names: Vec<_> = matching.into_iter().map(|n| destinations[n as usize]).collect();
//! assert_eq!(names, ["audit", "support"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

#[cfg(test)]
mod testing;

pub mod access;
pub mod agenda;
pub mod api;
pub mod app;
pub mod audit;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod delivery;
pub mod event;
mod flow;
pub mod observe;
pub mod ops;
pub mod persist;
pub mod pipeline;
pub mod quota;
pub mod secrets;
pub mod server;
pub mod tenant;
pub mod toml_source;
