//! What people do with deliveries, events and tenants: replay, cancel, audit, export, erase.
//!
//! All of it uses only the store's traits. The command line and the API share it, and it works
//! beside a running router or without one.

mod audit;
mod change;
mod erase;
mod export;
mod failures;
mod select;
mod subject;

pub use audit::{Audit, Exception, audit, audit_store};
pub use change::{Changed, PresentLanes, cancel, replay, send_now};
pub use erase::{Erasing, ErasureReport, Extent, Found, erase, find, finish_abandoned};
pub use export::{Export, LINES_AHEAD, export};
pub use failures::reset_failures;
pub use select::{Counted, Kinds, Selection, count, failed_with};
pub use subject::Subject;
