//! The calls of a store, as metrics name them.

#[cfg(doc)]
use crate::{Agenda, Directory, Erasure, Ledger, Limits, Log, Memo, Records, Rollups, Upkeep};

/// Which call; calls of one kind and cost share a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Log::append`]
    Append,
    /// [`Log::read_shared`]
    Read,
    /// [`Log::take_over`]
    TakeOver,
    /// [`Log::admit`]
    Admit,
    /// [`Log::settle`]
    Settle,
    /// [`Agenda::claim`]
    Claim,
    /// [`Agenda::due`] and [`Agenda::head`]
    Due,
    /// [`Agenda::settle`]
    SettleLane,
    /// [`Agenda::release`]
    Release,
    /// The rest of [`Agenda`], and paces of [`Limits`].
    Agenda,
    /// [`Ledger`] and [`Rollups`]
    Ledger,
    /// [`Directory`]
    Directory,
    /// [`Records`]
    Records,
    /// [`Memo`]
    Memo,
    /// [`Upkeep`] and [`Erasure`]
    Upkeep,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Append,
        Self::Read,
        Self::TakeOver,
        Self::Admit,
        Self::Settle,
        Self::Claim,
        Self::Due,
        Self::SettleLane,
        Self::Release,
        Self::Agenda,
        Self::Ledger,
        Self::Directory,
        Self::Records,
        Self::Memo,
        Self::Upkeep,
    ];

    /// The word for labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::TakeOver => "take_over",
            Self::Admit => "admit",
            Self::Settle => "settle",
            Self::Claim => "claim",
            Self::Due => "due",
            Self::SettleLane => "settle_lane",
            Self::Release => "release",
            Self::Agenda => "agenda",
            Self::Ledger => "ledger",
            Self::Directory => "directory",
            Self::Records => "records",
            Self::Memo => "memo",
            Self::Upkeep => "upkeep",
        }
    }

    /// Whether its time says something of the store, rather than of how little there is to do.
    pub fn is_timed(self) -> bool {
        self != Self::Read
    }

    /// Whether one call moves several events, deliveries or lanes.
    pub fn has_size(self) -> bool {
        matches!(
            self,
            Self::Append
                | Self::Read
                | Self::TakeOver
                | Self::Admit
                | Self::Settle
                | Self::Claim
                | Self::Due
                | Self::SettleLane
        )
    }
}
