//! The HTTP API: the resources of version 1, event ingest, health checks, metrics and the OpenAPI
//! document.
//!
//! A request passes through these layers: `request_id` names it, `auth` checks its API key and rate
//! limit, and `idempotency` answers a repeated POST. The handler's arguments then state what it
//! needs: `scope` checks the key's role and tenant, and `body` checks the request against its
//! schema. Every change of a tenant goes through `edit`.
//!
//! Each file uses only files further down in this list, so there are no import cycles:
//!
//! 1. `router`: all paths, with the layers around them
//! 2. `openapi`: `/openapi.json`, collected from the handlers
//! 3. `v1`: the resources, one file each
//! 4. `edit`, `idempotency`, `metrics`, `health`, `docs`
//! 5. `scope`
//! 6. `state`: what the handlers share
//! 7. `auth`, `etag`, `meter`, `page`, `problem`, `write_locks`
//! 8. `body`
//! 9. `schema`, `shown_once`
//! 10. `answer`, `masked`, `request_id`

mod answer;
mod auth;
mod body;
mod docs;
mod edit;
mod etag;
mod health;
mod idempotency;
mod masked;
mod meter;
mod metrics;
pub(crate) mod openapi;
mod page;
mod problem;
mod request_id;
mod router;
mod schema;
mod scope;
mod shown_once;
mod state;
mod v1;
mod write_locks;

pub use answer::ApiError;
pub use auth::Authenticator;
pub use meter::Meter;
pub use router::router;
pub use state::{ApiState, MakeEngine, Shared};
