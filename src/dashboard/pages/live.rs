//! The live tail of the list of events, as server-sent events.
//!
//! The page's own list is read again and again with its own filters. When it has changed, its rows
//! are sent. So a tail shows new events and also what became of those that are on the page.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template as _;
use axum::extract::{Path, RawQuery};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use sha2::{Digest as _, Sha256};

use super::events::{Filter, PAGE, Rows, select};
use super::frame;
use crate::dashboard::client::Problem;
use crate::dashboard::frame::Frame;
use crate::dashboard::visit::Visit;

/// How often the list is read.
const EVERY: Duration = Duration::from_secs(1);
/// Reads of one connection. The browser connects again, and its session is checked again.
const MAX_READS: u32 = 600;
/// Failures in a row after which the tail ends.
const MAX_FAILURES: u32 = 5;

/// A tail that is followed.
struct Tail {
    visit: Visit,
    frame: Frame,
    tenant: String,
    filter: Filter,
    /// The hash of the rows that were sent last.
    sent: [u8; 32],
    reads: u32,
    failures: u32,
}

/// Sends the rows whenever they have changed.
pub(in crate::dashboard) async fn follow(
    visit: Visit,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    let frame = frame(&visit, &tenant, "", "");
    let filter = Filter::read(raw.as_deref());
    let tail = Tail { visit, frame, tenant, filter, sent: [0; 32], reads: 0, failures: 0 };
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        Some((Ok::<_, Infallible>(event), tail))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

impl Tail {
    async fn next(&mut self) -> Option<Event> {
        while self.reads < MAX_READS && self.failures < MAX_FAILURES {
            if self.reads > 0 {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = self.visit.ui.stop.cancelled() => return None,
                }
            }
            self.reads += 1;
            match self.rows().await {
                Ok(rows) => {
                    self.failures = 0;
                    let hash = Sha256::digest(&rows).into();
                    if hash != self.sent {
                        self.sent = hash;
                        return Some(Event::default().event("rows").data(rows));
                    }
                }
                // The key was revoked, or the tenant is gone.
                Err(problem) if problem.status.is_client_error() => return self.end(),
                Err(_) => self.failures += 1,
            }
        }
        None
    }

    /// The last event, so that the browser does not connect again.
    fn end(&mut self) -> Option<Event> {
        let is_first = self.failures < MAX_FAILURES;
        self.failures = MAX_FAILURES;
        is_first.then(|| Event::default().event("end").data("The session has ended."))
    }

    async fn rows(&self) -> Result<String, Problem> {
        let (events, _) = select(&self.visit, &self.tenant, &self.filter, PAGE).await?;
        let rows = Rows { frame: &self.frame, events: &events };
        rows.render().map_err(Problem::internal)
    }
}
