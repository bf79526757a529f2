//! Lists: `{"data": […], "next_cursor": …}`, one bounded page per request.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::ApiError;
use super::body::within;

/// Items per page if the caller does not set a limit.
const DEFAULT_LIMIT: u16 = 50;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items. A page may be short, or even empty, although there is a next page.
    pub(super) data: Vec<T>,
    /// Pass it as `cursor` to get the next page. Null on the last page.
    pub(super) next_cursor: Option<String>,
}

/// The parameters of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The `next_cursor` of the previous page.
    pub(super) cursor: Option<String>,
    /// Most items to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u16>,
}

/// Checks that a limit is within its range.
pub(super) fn check_limit(limit: Option<u16>) -> Result<(), ApiError> {
    within("limit", limit.map(u64::from), 1..=1_000).map(drop)
}

/// The limit, or the default.
pub(super) fn limit(limit: Option<u16>) -> usize {
    usize::from(limit.unwrap_or(DEFAULT_LIMIT))
}

impl<T> Page<T> {
    /// Converts a page of the store.
    pub(super) fn of<S>(page: fanfare_store::Page<S>, item: impl FnMut(S) -> T) -> Self {
        Self { data: page.items.into_iter().map(item).collect(), next_cursor: page.next }
    }

    /// Cuts a page out of a list that is in memory: the items after `cursor`. `key` must ascend.
    pub(super) fn cut(
        items: impl IntoIterator<Item = T>,
        cursor: Option<&str>,
        limit: Option<u16>,
        key: impl Fn(&T) -> String,
    ) -> Self {
        let limit = self::limit(limit);
        let after = |item: &T| cursor.is_none_or(|cursor| key(item).as_str() > cursor);
        let mut data: Vec<T> = items.into_iter().filter(after).take(limit + 1).collect();
        let next_cursor = (data.len() > limit).then(|| {
            data.truncate(limit);
            data.last().map(&key)
        });
        Self { data, next_cursor: next_cursor.flatten() }
    }
}
