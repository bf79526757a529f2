//! The HTTP API: the resources of version 1, event ingest, health checks, metrics and the OpenAPI
//! document.
//!
//! A request passes through these layers: `request_id` names it, `guard` checks its API key and rate
//! limit, and `idempotency` answers a repeated POST. The handler's arguments then state what it
//! needs: `scope` checks the key's role and tenant, and `body` checks the request against its
//! schema. Every change of a tenant goes through `edit`.
//!
//! Each file uses only files further down in this list, so there are no import cycles:
//!
//! 1. `router`: all paths, with the layers around them
//! 2. `openapi`: `/openapi.json`, collected from the handlers
//! 3. `v1`: the resources, one file each
//! 4. `dry_run`
//! 5. `edit`, `guard`, `idempotency`, `metrics`, `health`, `docs`
//! 6. `environments`, `scope`, `quota`
//! 7. `state`: what the handlers share
//! 8. `auth`, `etag`, `meter`, `page`, `problem`, `waiters`
//! 9. `auth_failures`, `body`, `query`
//! 10. `encoding`, `sources`
//! 11. `body_memory`, `items`, `json`, `local`, `schema`, `shown_once`
//! 12. `answer`, `merge_patch`, `rate_headers`
//! 13. `codes`, `request_id`

mod answer;
mod auth;
mod auth_failures;
mod body;
mod body_memory;
mod codes;
mod docs;
mod dry_run;
mod edit;
mod encoding;
mod environments;
mod etag;
mod guard;
mod health;
mod idempotency;
mod items;
mod json;
mod local;
mod merge_patch;
mod meter;
mod metrics;
pub(crate) mod openapi;
mod page;
mod problem;
mod query;
mod quota;
mod rate_headers;
mod request_id;
mod router;
mod schema;
mod scope;
mod shown_once;
mod sources;
mod state;
mod v1;
mod waiters;

pub use answer::ApiError;
pub use auth::Authenticator;
pub use auth_failures::AuthFailures;
pub use guard::reserve;
pub use local::{LocalHosts, local_only};
pub use meter::Meter;
pub use router::router;
pub use sources::{BUILT_IN, Mapping, OwnSource, Sources};
pub use state::{ApiLimits, ApiState, MakeEngine, Setting, Shared};
