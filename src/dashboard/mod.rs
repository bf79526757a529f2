//! The dashboard, under `/ui`: pages for tenants, support staff and operators.
//!
//! Every page is a client of the API in this process, with the session's own key. It can read and
//! change exactly what that key can. Pages are links and forms that work without JavaScript. A
//! form posts, the answer redirects, and the next page says what happened.
//!
//! | file | content |
//! | --- | --- |
//! | `client` | the API, called in this process |
//! | `session`, `sign_in` | the sealed cookie, and how it begins and ends |
//! | `visit`, `resume` | the session of a request; forms, also those whose session has ended |
//! | `frame`, `flash` | navigation, headers, problems; what the next page says |
//! | `form` | fields, what was typed, and what is wrong with it |
//! | `format`, `json`, `filter`, `story`, `chart` | times, JSON, filters, deliveries and counts for people |
//! | `assets` | the style sheet and the script |
//! | `paths`, `pages` | the pages, one file each |

mod assets;
mod chart;
mod client;
mod filter;
mod flash;
mod form;
mod format;
mod frame;
mod json;
mod pages;
mod paths;
mod resume;
mod session;
mod sign_in;
mod story;
mod visit;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::agenda::Clock;
use crate::api::Authenticator;
use crate::secrets::Vault;
use session::{Cookies, Sessions};

/// What the pages share.
struct Ui {
    api: Router,
    authenticator: Arc<Authenticator>,
    sessions: Sessions,
    clock: Clock,
    /// The path of the dashboard for browsers: `/ui`, after the prefix of a proxy.
    base: Arc<str>,
    /// The sites that may show the dashboard in a frame.
    frame_ancestors: Vec<String>,
    /// The `Content-Security-Policy` of pages.
    policy: HeaderValue,
    /// Where a person whose portal link has ended gets a new one.
    refresh_url: Option<String>,
    /// Cancelled when this process stops.
    stop: CancellationToken,
}

impl Ui {
    fn now_s(&self) -> i64 {
        self.clock.now_ms() / 1_000
    }

    /// A path of the dashboard (`/ui/…`) for browsers.
    fn external(&self, path: &str) -> String {
        [&*self.base, path.strip_prefix("/ui").unwrap_or_default()].concat()
    }
}

/// How the dashboard is served.
pub struct Options {
    /// Seals sessions. Without one, they end with this process.
    pub vault: Option<Arc<Vault>>,
    /// Longest time that a session lasts, in seconds.
    pub session_s: i64,
    /// Whether browsers reach it over HTTPS.
    pub https: bool,
    /// What a proxy removes from the beginning of paths, such as `/fanfare`. Can be empty.
    pub path_prefix: String,
    /// The sites that may show the dashboard in a frame, such as `https://app.example`.
    pub frame_ancestors: Vec<String>,
    /// Where a person whose portal link has ended gets a new one.
    pub refresh_url: Option<String>,
    /// Cancelled when this process stops. Live tails end then.
    pub stop: CancellationToken,
}

/// The pages over `api`, which must be the whole API.
pub fn router(
    api: Router,
    authenticator: Arc<Authenticator>,
    clock: Clock,
    options: Options,
) -> anyhow::Result<Router> {
    let Options { vault, session_s, https, path_prefix, frame_ancestors, .. } = options;
    let Options { refresh_url, stop, .. } = options;
    let base: Arc<str> = format!("{path_prefix}/ui").into();
    let framed = !frame_ancestors.is_empty();
    let cookies = Cookies { path: base.to_string(), secure: https, framed };
    let sessions = Sessions::new(vault, session_s, cookies)?;
    let policy = HeaderValue::try_from(frame::policy(&frame_ancestors))
        .context("dashboard.frame_ancestors has a character that no header can have")?;
    let ui = Ui {
        api,
        authenticator,
        sessions,
        clock,
        base,
        frame_ancestors,
        policy,
        refresh_url,
        stop,
    };
    Ok(paths::router(&Arc::new(ui)))
}
