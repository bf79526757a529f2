//! Where `fanfare send` sends events: to a server or into a store.

use std::sync::Arc;

use fanfare_contract::Event;
use http::Method;
use serde_json::{Value, json};

use super::super::options::no_tenant;
use super::super::remote::{Api, ApiRequest, reason};
use super::{Args, Failure, Refused, Summary};
use crate::app;
use crate::event::Limits;
use fanfare_store::{Appended, Store};

/// An event with its place in the input.
pub(super) struct Pending {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) event: Arc<Event>,
}

/// Where events go.
pub(super) enum Sink {
    Store { store: Store, limits: Limits },
    Server { api: Api, tenant: Arc<str> },
}

impl Sink {
    pub(super) async fn open(args: &Args, tenant: &Arc<str>) -> Result<Self, Failure> {
        if let Some(server) = &args.server.server {
            let key = args.server.key.as_ref().or(args.ingest_key.as_ref());
            let api = Api::over_http(server, key.map(String::as_str))?;
            return Ok(Self::Server { api, tenant: tenant.clone() });
        }
        let (config, store) = args.store.open_existing().await?;
        if store.directory.get(tenant).await?.is_none() {
            return Err(no_tenant(tenant, &config.store));
        }
        Ok(Self::Store { store, limits: app::limits(&config) })
    }

    /// The store's limits. A server checks its own, so here only what protects this process's
    /// memory.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Self::Store { limits, .. } => *limits,
            Self::Server { .. } => Limits { max_bytes: 8 * 1024 * 1024, max_depth: 100 },
        }
    }

    /// Sends a batch and counts the outcome of each event.
    pub(super) async fn send(
        &self,
        pending: Vec<Pending>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        match self {
            Self::Store { store, .. } => {
                let events = pending.into_iter().map(|pending| pending.event).collect();
                for appended in store.log.append(events).await? {
                    match appended {
                        Appended::Accepted => summary.accepted += 1,
                        Appended::Duplicate => summary.duplicates += 1,
                    }
                }
            }
            Self::Server { api, tenant } => {
                let outcomes = post(api, tenant, &pending).await?;
                count(&outcomes, &pending, summary);
            }
        }
        Ok(())
    }
}

/// Posts a batch and returns the outcome of each event, also if the server refused all of them.
async fn post(api: &Api, tenant: &str, pending: &[Pending]) -> Result<Value, Failure> {
    let bodies: Vec<&str> = pending
        .iter()
        .map(|pending| std::str::from_utf8(&pending.event.body).unwrap_or_default())
        .collect();
    let request = ApiRequest::new(Method::POST, &["events"])
        .query("tenant", Some(tenant))
        .json_text(format!("[{}]", bodies.join(",")));
    match api.try_call(request).await? {
        Ok(response) => Ok(response.data),
        Err(error) if error["code"] == json!("all_refused") => Ok(error["details"].clone()),
        Err(error) => Err(Failure::Refused(reason(&error))),
    }
}

fn count(outcomes: &Value, pending: &[Pending], summary: &mut Summary) {
    let outcomes = outcomes["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (outcome, pending) in outcomes.iter().zip(pending) {
        match outcome["outcome"].as_str() {
            Some("accepted") => summary.accepted += 1,
            Some("duplicate") => summary.duplicates += 1,
            _ => summary.refused.push(Refused {
                file: pending.file.clone(),
                line: pending.line,
                code: outcome["error"]["code"].as_str().unwrap_or("refused").to_owned(),
                message: outcome["error"]["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }
}
