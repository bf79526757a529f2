//! Mailboxes: destinations of the channel `poll`. Each consumer of a mailbox reads its messages in
//! order, and commits how far it has come; what is not committed is given again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::check_limit;
use super::follow::{FollowedEvent, LONGEST_WAIT, Verdict, place, wait_for};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids, Params, within};
use crate::api::edit::load;
use crate::api::page;
use crate::api::scope::{Read, Scope};
use fanfare_store::{DeliveryState, EventRecord, EventState, StoreError};

const COLLECTION: &str = "mailboxes";
/// The consumer of those who name none.
const DEFAULT: &str = "default";

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageQuery {
    /// Who reads; `default` when left out. Each consumer has a place of its own.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "billing")]
    consumer: Option<String>,
    /// Read on from here, rather than from what was committed.
    after: Option<String>,
    /// How many seconds to wait for a message when there is none.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// Messages, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages {
    /// Them.
    data: Vec<FollowedEvent>,
    /// To be committed once they are dealt with, also when there were none.
    #[schema(example = "17")]
    next_cursor: String,
    /// What was committed before.
    #[schema(example = "12")]
    committed: String,
    /// Whether there may be more right now.
    more: bool,
}

/// How far a consumer has come.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    /// Who; `default` when left out.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "billing")]
    consumer: Option<String>,
    /// A message's `cursor`, or `next_cursor`.
    #[schema(pattern = "^[0-9]{1,19}$", example = "17")]
    cursor: String,
    /// Also when it is before what was committed: messages are given again.
    #[serde(default)]
    back: bool,
}

/// How far a consumer has come.
#[derive(Serialize, ToSchema)]
pub(super) struct Committed {
    /// Who.
    #[schema(example = "billing")]
    consumer: String,
    /// Up to where.
    #[schema(example = "17")]
    committed: String,
}

fn consumer(name: Option<String>) -> Result<String, ApiError> {
    let name = name.unwrap_or_else(|| DEFAULT.to_owned());
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_good) {
        return Ok(name);
    }
    let message = "must be 1 to 64 of A-Z, a-z, 0-9, - and _";
    Err(ApiError::fields(vec![Detail::new("consumer", message)]))
}

/// Whose place a record is.
fn key(tenant: &str, mailbox: &str, consumer: &str) -> String {
    format!("{tenant}/{mailbox}/{consumer}")
}

async fn committed(state: &ApiState, key: &str) -> Result<(u64, u64), ApiError> {
    let Some(found) = state.store.records.get(COLLECTION, key).await? else { return Ok((0, 0)) };
    let place = std::str::from_utf8(&found.doc).ok().and_then(|text| text.parse().ok());
    let place = place.ok_or_else(|| StoreError::Corrupt("a consumer's place".to_owned()))?;
    Ok((place, found.revision))
}

/// Is it a mailbox?
async fn check(state: &ApiState, tenant: &str, mailbox: &str) -> Result<(), ApiError> {
    let (spec, _) = load(state, tenant).await?;
    let found = spec.destinations.iter().find(|one| one.id == mailbox);
    let found = found.ok_or_else(|| ApiError::not_found("destination", mailbox))?;
    if found.channel == fanfare_poll::NAME {
        return Ok(());
    }
    let message = format!("`{mailbox}` is no mailbox; its channel is {}", found.channel);
    Err(ApiError::conflict("no_mailbox", message))
}

/// Read a mailbox
///
/// Messages behind what the consumer has committed, oldest first. They are given again until they are
/// committed, and kept for as long as events are.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations/{destination}/messages", tag = "Mailboxes",
    params(super::DestinationPath, MessageQuery), security(("key" = ["reader"])),
    responses((status = 200, description = "Messages.", body = Messages)))]
pub(super) async fn messages(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Params(query): Params<MessageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let wait = within("wait", query.wait, 0..=LONGEST_WAIT)?.unwrap_or(0);
    let consumer = consumer(query.consumer)?;
    let given = query.after.as_deref().map(|after| place("after", Some(after))).transpose()?;
    check(&state, &scope.tenant, &id).await?;
    let (committed, _) = committed(&state, &key(&scope.tenant, &id, &consumer)).await?;
    let verdict = |place: u64, record: &EventRecord| {
        if record.state == EventState::Pending {
            return Verdict::Stop;
        }
        let own = record.deliveries.iter().find(|one| one.lane.as_str() == id);
        match own.map(|own| &own.state) {
            Some(DeliveryState::Delivered) => {
                Verdict::Take(FollowedEvent::of(place, record).into())
            }
            // It will be in the mailbox: what is behind it comes after it.
            Some(DeliveryState::Waiting { .. }) => Verdict::Stop,
            _ => Verdict::Pass,
        }
    };
    let (limit, wait) = (page::limit(query.limit), Duration::from_secs(wait));
    let after = given.unwrap_or(committed);
    let part = wait_for(&state, &scope.tenant, after, limit, wait, &verdict).await?;
    let answer = Messages {
        data: part.data,
        next_cursor: part.next.to_string(),
        committed: committed.to_string(),
        more: part.more,
    };
    Ok(success(StatusCode::OK, answer))
}

/// Commit messages
///
/// Everything up to the cursor is dealt with, and is not given to this consumer again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/commit", tag = "Mailboxes",
    params(super::DestinationPath), request_body = Commit, security(("key" = ["reader"])),
    responses((status = 200, description = "How far the consumer has come.", body = Committed)))]
pub(super) async fn commit(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Body(body): Body<Commit>,
) -> Result<Response, ApiError> {
    let consumer = consumer(body.consumer)?;
    let wanted = place("cursor", Some(&body.cursor))?;
    check(&state, &scope.tenant, &id).await?;
    let key = key(&scope.tenant, &id, &consumer);
    loop {
        let (now, revision) = committed(&state, &key).await?;
        let there = if body.back { wanted } else { wanted.max(now) };
        if there != now {
            let doc = there.to_string().into_bytes().into();
            match state.store.records.put(COLLECTION, &key, doc, Some(revision), None).await {
                Ok(_) => {}
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(success(StatusCode::OK, Committed { consumer, committed: there.to_string() }));
    }
}
