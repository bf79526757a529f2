//! `GET /metrics`: `OpenMetrics` text, with what has to be looked up when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::ApiState;
use super::answer::ApiError;
use super::auth::bearer;
use crate::access::{Action, Denied, Hash};
use crate::observe::{Now, Observe};
use fanfare_store::{Backlog, Store};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the store may take to tell what waits.
const LONGEST: Duration = Duration::from_secs(2);
/// What waits is asked for at most so often, and less often the longer the answer takes.
const SHORTEST: Duration = Duration::from_millis(500);

/// Shows numbers.
pub struct Meter {
    observe: Arc<Observe>,
    window: usize,
    open: bool,
    key: Option<Hash>,
    /// One at a time: many scrapers must not multiply the work.
    last: Mutex<Look>,
}

/// What the store last said.
#[derive(Default)]
struct Look {
    backlog: Option<Backlog>,
    up: bool,
    next: Option<Instant>,
}

impl Meter {
    /// Shows what `observe` counts to whoever has `key` or an operator's, or to everybody when it
    /// is `open`. `window` is the router's.
    pub fn new(observe: Arc<Observe>, window: usize, key: Option<&str>, open: bool) -> Arc<Self> {
        let key = key.map(Hash::of);
        Arc::new(Self { observe, window, open, key, last: Mutex::default() })
    }

    fn admit(&self, state: &ApiState, headers: &HeaderMap) -> Result<(), Denied> {
        let own = |key: &str| self.key.is_some_and(|own| own.is(&Hash::of(key)));
        let given = bearer(headers);
        if self.open || given.is_some_and(own) {
            return Ok(());
        }
        // A key of its own is asked for even where development asks for none.
        if self.key.is_some() && given.is_none() {
            return Err(Denied::NoKey);
        }
        state.door.admit(headers)?.principal.require(Action::Operate)
    }

    async fn look(&self, store: &Store) -> (bool, Backlog) {
        let mut last = self.last.lock().await;
        let began = Instant::now();
        if last.next.is_none_or(|next| next <= began) {
            let asked = timeout(LONGEST, store.upkeep.backlog()).await;
            let backlog = asked.ok().and_then(Result::ok);
            last.up = backlog.is_some();
            // While the store is away the last answer is the best there is.
            last.backlog = backlog.or(last.backlog);
            last.next = Some(Instant::now() + SHORTEST.max(began.elapsed() * 50));
        }
        (last.up, last.backlog.unwrap_or_default())
    }

    async fn now(&self, state: &ApiState) -> Now {
        let (store_up, backlog) = self.look(&state.store).await;
        let now_ms = state.clock.now_ms();
        let age = backlog.oldest_ms.map_or(0, |oldest| now_ms - oldest);
        let tenants = state.registry.snapshot();
        let mut now = Now {
            store_up,
            waiting: backlog.waiting,
            oldest: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
            tenants: tenants.len(),
            window: self.window,
            ..Now::default()
        };
        for lane in tenants.values().flat_map(|tenant| tenant.lanes.values()) {
            let gate = lane.gate.view(now_ms);
            now.lanes += 1;
            now.in_flight += gate.in_flight as usize;
            now.in_line += gate.line;
            now.circuits_open += usize::from(gate.open_until.is_some());
        }
        now
    }
}

pub(super) async fn metrics(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let Some(meter) = &state.meter else {
        let message = "metrics are switched off: [metrics] enabled = false";
        return ApiError::new(StatusCode::NOT_FOUND, "not_found", "no_metrics", message)
            .into_response();
    };
    if let Err(denied) = meter.admit(&state, &headers) {
        return ApiError::from(denied).into_response();
    }
    let text = meter.observe.metrics.text(&meter.now(&state).await);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
