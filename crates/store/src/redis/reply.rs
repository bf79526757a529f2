//! Reads answers of the server.

use redis::Value;

use crate::{EntryId, Result, StoreError};

/// An answer of another type than the command has. It says something about the server (a proxy, or
/// a server of another kind), not about the data.
fn unexpected(what: &str) -> StoreError {
    StoreError::Other { message: format!("Redis did not answer with {what}"), source: None }
}

/// Bytes; `None` for nil.
pub(super) fn bytes(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        _ => Err(unexpected("bytes")),
    }
}

/// A text; empty for nil.
pub(super) fn text(value: Value) -> Result<String> {
    String::from_utf8(bytes(value)?.unwrap_or_default()).map_err(|_| unexpected("a text"))
}

/// A whole number, also as text or as a score.
pub(super) fn int(value: &Value) -> Result<i64> {
    let number = match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().and_then(parse_score),
        Value::SimpleString(text) => parse_score(text),
        _ => None,
    };
    number.ok_or_else(|| unexpected("a number"))
}

/// Scores beyond 17 digits have an exponent. Ours do not, but other clients may write them.
#[expect(clippy::cast_possible_truncation, reason = "a score of ours is a whole number of 53 bits")]
fn parse_score(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|score| score as i64))
}

/// The elements of an array; none for nil.
pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected("an array")),
    }
}

/// A count.
pub(super) fn count(value: &Value) -> Result<u64> {
    u64::try_from(int(value)?).map_err(|_| unexpected("a count"))
}

/// A stream entry's id.
pub(super) fn entry_id(value: Value) -> Result<EntryId> {
    text(value)?.parse().map_err(|_| unexpected("an entry's id"))
}
