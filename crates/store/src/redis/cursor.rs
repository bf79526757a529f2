//! Cursors: the end of a page of a list. A position is a score and a member, not a number, so the
//! next page continues at the right place although entries are added and removed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::pack;
use crate::{Result, StoreError};

/// The list that a cursor belongs to. A cursor of another list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Events,
    Deliveries,
    Rejected,
}

impl List {
    fn letter(self) -> &'static str {
        match self {
            Self::Events => "e",
            Self::Deliveries => "d",
            Self::Rejected => "r",
        }
    }
}

/// A position in an index: after `member`, or within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Unix milliseconds.
    pub(super) score: i64,
    /// The index's member: `arrival:id`.
    pub(super) member: String,
    /// How many deliveries of the event were already returned. 0 if all of them were.
    pub(super) given: usize,
}

impl Position {
    pub(super) fn write(&self, list: List) -> String {
        let text = format!("{}|{}|{}|{}", list.letter(), self.score, self.given, self.member);
        URL_SAFE_NO_PAD.encode(text)
    }

    pub(super) fn read(list: List, cursor: &str) -> Result<Self> {
        Self::parse(list, cursor).ok_or_else(|| {
            StoreError::BadQuery("the cursor is not one that this list gave".to_owned())
        })
    }

    fn parse(list: List, cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.splitn(4, '|');
        if parts.next()? != list.letter() {
            return None;
        }
        let score = parts.next()?.parse().ok()?;
        let given = parts.next()?.parse().ok()?;
        let member = parts.next()?.to_owned();
        let (arrival, id) = member.split_once(':')?;
        (pack::is_arrival(arrival) && !id.is_empty()).then_some(Self { score, member, given })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_only_to_its_own_list() {
        let position =
            Position { score: 1_763_900_000_000, member: "b1b0:evt_1|x".into(), given: 3 };
        let cursor = position.write(List::Deliveries);
        assert_eq!(Position::read(List::Deliveries, &cursor).unwrap(), position);
        for (list, cursor) in [
            (List::Events, cursor.as_str()),
            (List::Events, ""),
            (List::Rejected, "ZXwxfDB8eA"),
            (List::Events, "%%"),
        ] {
            assert!(matches!(Position::read(list, cursor), Err(StoreError::BadQuery(_))));
        }
    }
}
