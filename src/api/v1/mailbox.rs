//! Mailboxes: destinations of the channel `poll`. Each consumer of a mailbox reads its messages in
//! order and commits how far it has come. Messages that are not committed are returned again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::feed::{FeedEvent, MAX_WAIT, Verdict, parse_cursor, read_or_wait};
use super::params::DestinationPath;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, PathParams, QueryParams, within};
use crate::api::edit::load;
use crate::api::page::{self, check_limit};
use crate::api::scope::{Caller, Consume, ReadMailbox, Scope};
use crate::api::state::ApiState;
use fanfare_store::{DeliveryState, EventRecord, EventState, StoreError};

const COLLECTION: &str = "mailboxes";
/// The consumer of requests that name none.
const DEFAULT_CONSUMER: &str = "default";

/// Which messages to read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageQuery {
    /// The consumer that reads. The default is `default`. Each consumer has its own position.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "billing")]
    consumer: Option<String>,
    /// Read after this cursor instead of after the last committed message.
    after: Option<String>,
    /// How many seconds to wait for a message if there is none.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
    /// Most messages to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// Messages, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct MailboxPage {
    /// The messages.
    data: Vec<FeedEvent>,
    /// Commit it after you have processed the messages. It is present even if there are no
    /// messages.
    #[schema(example = "17")]
    next_cursor: String,
    /// The cursor that the consumer has committed.
    #[schema(example = "12")]
    committed: String,
    /// Whether there may be more messages right now.
    more: bool,
}

/// Messages to commit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MailboxCommit {
    /// The consumer. The default is `default`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "billing")]
    consumer: Option<String>,
    /// The `cursor` of a message, or a `next_cursor`.
    #[schema(pattern = "^[0-9]{1,19}$", example = "17")]
    cursor: String,
    /// Allows a cursor before the committed one. Messages after it are then returned again.
    #[serde(default)]
    back: bool,
}

/// A consumer's position.
#[derive(Serialize, ToSchema)]
pub(super) struct MailboxPosition {
    /// The consumer.
    #[schema(example = "billing")]
    consumer: String,
    /// The committed cursor.
    #[schema(example = "17")]
    committed: String,
}

fn consumer(name: Option<String>) -> Result<String, ApiError> {
    let name = name.unwrap_or_else(|| DEFAULT_CONSUMER.to_owned());
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_good) {
        return Ok(name);
    }
    Err(ApiError::field("consumer", "must be 1 to 64 characters of A-Z, a-z, 0-9, - and _"))
}

/// The record that holds a consumer's position.
fn key(tenant: &str, mailbox: &str, consumer: &str) -> String {
    format!("{tenant}/{mailbox}/{consumer}")
}

/// The committed cursor of a consumer, and the revision of its record.
async fn committed(state: &ApiState, key: &str) -> Result<(u64, u64), ApiError> {
    let Some(found) = state.store.records.get(COLLECTION, key).await? else { return Ok((0, 0)) };
    let place = std::str::from_utf8(&found.doc).ok().and_then(|text| text.parse().ok());
    let place = place.ok_or_else(|| {
        StoreError::Corrupt("the position of a mailbox consumer cannot be read".to_owned())
    })?;
    Ok((place, found.revision))
}

/// Fails if the destination does not exist or is not a mailbox.
async fn check_mailbox(state: &ApiState, caller: &Caller, mailbox: &str) -> Result<(), ApiError> {
    let spec = load(state, caller).await?;
    let found = spec.destinations.iter().find(|one| one.id == mailbox);
    let found = found.ok_or_else(|| ApiError::not_found("destination", mailbox))?;
    if found.channel == fanfare_poll::NAME {
        return Ok(());
    }
    let message = format!(
        "the destination `{mailbox}` is not a mailbox: its channel is `{}`, not `poll`",
        found.channel
    );
    Err(ApiError::conflict("no_mailbox", message))
}

/// List messages of a mailbox
///
/// Returns the messages after the consumer's committed cursor, oldest first. They are returned
/// again until you commit them, and are kept as long as events.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations/{destination}/messages", operation_id = "list_messages", tag = "Mailboxes",
    params(DestinationPath, MessageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader", "consumer"])),
    responses((status = 200, description = "Messages, oldest first.", body = MailboxPage)))]
pub(super) async fn messages(
    scope: Scope<ReadMailbox>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    QueryParams(query): QueryParams<MessageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let wait = within("wait", query.wait, 0..=MAX_WAIT)?.unwrap_or(0);
    let consumer = consumer(query.consumer)?;
    let given =
        query.after.as_deref().map(|after| parse_cursor("after", Some(after))).transpose()?;
    check_mailbox(&state, &scope, &id).await?;
    let (committed, _) = committed(&state, &key(&scope.tenant, &id, &consumer)).await?;
    let verdict = |place: u64, record: &EventRecord| {
        if !scope.principal.sees_environment(record.event.environment) {
            return Verdict::Skip;
        }
        if record.state == EventState::Pending {
            return Verdict::Stop;
        }
        let own = record.deliveries.iter().find(|one| one.lane.as_str() == id);
        match own.map(|own| &own.state) {
            Some(DeliveryState::Delivered) => Verdict::Take(FeedEvent::of(place, record).into()),
            // It will be in the mailbox, and later messages must come after it.
            Some(DeliveryState::Waiting { .. }) => Verdict::Stop,
            _ => Verdict::Skip,
        }
    };
    let (limit, wait) = (page::limit(query.limit), Duration::from_secs(wait));
    let after = given.unwrap_or(committed);
    let batch = read_or_wait(&state, &scope, after, limit, wait, &verdict).await?;
    let answer = MailboxPage {
        data: batch.data,
        next_cursor: batch.next.to_string(),
        committed: committed.to_string(),
        more: batch.more,
    };
    Ok(success(StatusCode::OK, answer))
}

/// Commit messages
///
/// Marks all messages up to the cursor as processed. This consumer does not get them again.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/commit", operation_id = "commit_messages", tag = "Mailboxes",
    params(DestinationPath), request_body = MailboxCommit,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["consumer"])),
    responses((status = 200, description = "The consumer's position.", body = MailboxPosition)))]
pub(super) async fn commit(
    scope: Scope<Consume>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    Body(body): Body<MailboxCommit>,
) -> Result<Response, ApiError> {
    let consumer = consumer(body.consumer)?;
    let wanted = parse_cursor("cursor", Some(&body.cursor))?;
    check_mailbox(&state, &scope, &id).await?;
    let key = key(&scope.tenant, &id, &consumer);
    loop {
        let (now, revision) = committed(&state, &key).await?;
        let new = if body.back { wanted } else { wanted.max(now) };
        if new != now {
            let doc = new.to_string().into_bytes().into();
            match state.store.records.put(COLLECTION, &key, doc, Some(revision), None).await {
                Ok(_) => {}
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(success(
            StatusCode::OK,
            MailboxPosition { consumer, committed: new.to_string() },
        ));
    }
}
