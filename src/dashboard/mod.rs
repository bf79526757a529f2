//! The dashboard, under `/ui`: pages for tenants, support staff and operators.
//!
//! Every page is a client of the API in this process, with the session's own key. It can read and
//! change exactly what that key can. Pages are links and forms that work without JavaScript. A
//! form posts, the answer redirects, and the next page says what happened.
//!
//! | file | content |
//! | --- | --- |
//! | `client` | the API, called in this process |
//! | `session` | the sealed cookie, and the token of forms |
//! | `visit` | the session of a request; forms that this site sent |
//! | `frame` | navigation, messages, problems, headers |
//! | `format` | times, states and JSON for people |
//! | `assets` | the style sheet and the script |
//! | `sign_in`, `pages` | the pages, one file each |

mod assets;
mod client;
mod format;
mod frame;
mod json;
mod pages;
mod session;
mod sign_in;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::agenda::Clock;
use crate::api::Authenticator;
use crate::secrets::Vault;
use session::Sessions;

const SIGN_IN: &str = "/ui/sign-in";

/// What the pages share.
struct Ui {
    api: Router,
    authenticator: Arc<Authenticator>,
    sessions: Sessions,
    clock: Clock,
}

impl Ui {
    fn now_s(&self) -> i64 {
        self.clock.now_ms() / 1_000
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
}

/// The pages over `api`, which must be the whole API.
pub fn router(
    api: Router,
    authenticator: Arc<Authenticator>,
    clock: Clock,
    options: Options,
) -> anyhow::Result<Router> {
    let sessions = Sessions::new(options.vault, options.session_s, options.https)?;
    let ui = Arc::new(Ui { api, authenticator, sessions, clock });
    // Whole paths, because a page that asks for a key leads back to its own address.
    let at = |page: &str| format!("/ui/t/{{tenant}}{page}");
    let tenant = Router::new()
        .route(&at("/overview"), get(pages::overview::show))
        .route(&at("/preferences"), get(pages::preferences::show).post(pages::preferences::change))
        .route(&at("/destinations"), get(pages::destinations::list))
        .route(&at("/destinations/{destination}"), get(pages::destinations::show))
        .route(&at("/destinations/{destination}/{action}"), post(pages::destinations::act))
        .route(&at("/events"), get(pages::events::list))
        .route(&at("/events/{event}"), get(pages::event::show))
        .route(&at("/deliveries/{delivery}/{action}"), post(pages::event::act))
        .route(
            &at("/dead-letters"),
            get(pages::dead_letters::list).post(pages::dead_letters::replay),
        )
        .route(&at("/keys"), get(pages::keys::list))
        .route(&at("/audit"), get(pages::audit::list));
    let pages = Router::new()
        .route("/ui", get(|| async { Redirect::to("/ui/") }))
        .route("/ui/", get(pages::home))
        .route("/ui/tenants", get(pages::tenants::list))
        .route(SIGN_IN, get(sign_in::show).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .route("/ui/assets/{file}", get(assets::serve))
        .merge(tenant);
    let headers = middleware::from_fn_with_state(ui.clone(), frame::add_headers);
    Ok(pages.layer(headers).with_state(ui))
}
