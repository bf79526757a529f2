//! What people do to deliveries and destinations: replay, cancel, pause, enable, audit.
//!
//! Over the store's traits alone, so the command line and the API share it, and it works beside a
//! running router or without one.

mod audit;
mod hold;
mod select;

pub use audit::{Audit, Exception, audit};
pub use hold::{Change, change};
pub use select::{Counted, Selection, cancel, count, replay, send_now};
