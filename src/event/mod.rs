//! Taking an event in: from a producer's bytes to a [`fanfare_contract::Event`], or a refusal that
//! says what is wrong and what would be right.

mod accept;
mod decode;
mod id;
mod refusal;
mod trace;

pub use accept::{OWN_TYPES, accept};
pub use decode::{Fill, Limits, decode, tenant_id};
pub use id::{event_id_for_key, new_event_id, own_event_id};
pub use refusal::Refusal;
pub use trace::trace_parent;
