//! What people do to deliveries and destinations: replay, cancel, pause, enable, audit; and to all that
//! a tenant has: export, erase.
//!
//! Over the store's traits alone, so the command line and the API share it, and it works beside a
//! running router or without one.

mod audit;
mod erase;
mod export;
mod hold;
mod select;
mod subject;

pub use audit::{Audit, Exception, audit};
pub use erase::{Erasing, ErasureReport, Extent, Found, erase, find};
pub use export::{Export, LINES_AHEAD, export};
pub use hold::{Switch, begin_anew, change};
pub use select::{Changed, Counted, Kinds, Selection, cancel, count, replay, send_now};
pub use subject::Subject;
