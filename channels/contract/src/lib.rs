//! What the router and its channels share: shapes, no I/O.
//!
//! A channel is a crate that depends on this one alone. It turns a destination's settings into
//! something prepared ([`Channel::prepare`]) and runs one attempt of a delivery behind a
//! [`tower::Service`] ([`Channel::service`]). It says *whether* a failure is worth another try
//! ([`Verdict`]); the router's stack and agenda say *when*.

#![forbid(unsafe_code)]

mod channel;
mod delivery;
mod environment;
mod error;
mod event;
mod policy;
mod templates;

pub use channel::{Channel, ChannelService, FieldError, Lane, Memo, Revealed};
pub use delivery::{
    AnswerPart, Content, Delivery, DeliveryId, Destination, Digest, Receipt, Tally,
};
pub use environment::Environment;
pub use error::{DeliveryError, Failure, Verdict};
pub use event::Event;
pub use policy::{Policy, Rate};
pub use templates::{Part, RenderError, Templates};

/// How many bytes of a receiver's answer are kept for the ledger.
pub const ANSWER_KEPT: usize = 1024;
