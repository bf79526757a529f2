//! From a producer's bytes to a [`fanfare_contract::Event`], or to a [`Refusal`] that says what is
//! wrong and how to fix it.

mod accept;
mod decode;
mod id;
mod items;
mod limits;
mod names;
mod refusal;
mod trace;

pub use accept::{OWN_TYPES, accept};
pub use decode::{Fill, decode};
pub(crate) use decode::{Keys, Text};
pub use id::{event_id_for_key, new_event_id, own_event_id};
pub use items::array_items;
pub use limits::Limits;
pub use names::{reserved_tenant_id, tenant_id};
pub use refusal::Refusal;
pub use trace::trace_parent;
