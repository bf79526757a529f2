//! The types that the router and its channels share. This crate does no I/O.
//!
//! A channel is a crate that depends on this one alone. [`Channel::prepare`] checks a destination's
//! settings and prepares them for its attempts. [`Channel::service`] is a [`tower::Service`] that
//! runs one attempt of a delivery. The channel says *whether* a failed attempt is worth a retry
//! ([`Verdict`]). The router's stack and agenda say *when*.

#![forbid(unsafe_code)]

mod channel;
mod delivery;
mod display;
mod environment;
mod error;
mod event;
pub mod json;
mod lane;
mod policy;
mod resolve;
mod retry_after;
mod suggest;
mod templates;

pub use channel::{Channel, ChannelService, FieldError, Memo, PreparedLane, Revealed};
pub use delivery::{
    ANSWER_KEPT, AnswerPart, Content, Delivery, DeliveryId, Destination, Digest, Receipt, Resend,
    Resent, Tally,
};
pub use display::{check_display_text, is_display_control};
pub use environment::Environment;
pub use error::{DeliveryError, Failure, REFUSED_FOR_NOW, Verdict, is_refusal};
pub use event::Event;
pub use json::Json;
pub use lane::LaneId;
pub use policy::{Policy, Rate};
pub use resolve::{Asker, Resolve};
pub use retry_after::{RETRY_AFTER_MAX, retry_after};
pub use suggest::{OPTIONS, closest, did_you_mean, unknown_setting};
pub use templates::{Part, RenderError, Templates};
