//! Lists: `{"data": […], "next_cursor": …}`, a bounded part a call.

use serde::Serialize;
use utoipa::ToSchema;

/// Items of a page when the caller does not say.
pub(super) const USUAL: u16 = 50;

/// Part of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The part. It may be short, even empty, though there is a next page.
    pub(super) data: Vec<T>,
    /// For the page after, as `?cursor=`; null at the end.
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of the store in the API's shape.
    pub(super) fn of<S>(page: fanfare_store::Page<S>, item: impl FnMut(S) -> T) -> Self {
        Self { data: page.items.into_iter().map(item).collect(), next_cursor: page.next }
    }

    /// Part of a list that is all in memory: what comes after `cursor`, by each item's `key`, which
    /// ascends.
    pub(super) fn cut(
        items: impl IntoIterator<Item = T>,
        cursor: Option<&str>,
        limit: Option<u16>,
        key: impl Fn(&T) -> String,
    ) -> Self {
        let limit = usize::from(limit.unwrap_or(USUAL));
        let after = |item: &T| cursor.is_none_or(|cursor| key(item).as_str() > cursor);
        let mut data: Vec<T> = items.into_iter().filter(after).take(limit + 1).collect();
        let next_cursor = (data.len() > limit).then(|| {
            data.truncate(limit);
            data.last().map(&key)
        });
        Self { data, next_cursor: next_cursor.flatten() }
    }
}

/// `limit` as the store takes it.
pub(super) fn limit(limit: Option<u16>) -> usize {
    usize::from(limit.unwrap_or(USUAL))
}
