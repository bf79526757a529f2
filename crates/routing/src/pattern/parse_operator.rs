//! Reading the operators of a field: `{ prefix = "x" }`, `{ anything-but = ["x"] }`, and so on.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::operator::Operator;
use super::range::Range;
use super::scalar::Exact;
use super::text::AnyCase;
use super::wildcards::Wildcard;
use crate::{exact, spec};

/// Matches one value, as the value alone does.
const EXACTLY: &str = "exactly";

/// The names of all operators.
pub(super) const NAMES: [&str; 9] = [
    EXACTLY,
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "numeric",
    "cidr",
    "exists",
    "anything-but",
];
/// The operators that `anything-but` can have inside.
const BUT_NAMES: [&str; 4] = ["prefix", "suffix", "wildcard", "equals-ignore-case"];

/// The value of `{ exactly = "x" }`. EventBridge's matcher accepts it in place of `"x"`.
pub(super) fn exactly<'v>(
    cursor: &mut Cursor<'_>,
    operator: &'v Map<String, Value>,
) -> Option<&'v Value> {
    let value = operator.get(EXACTLY).filter(|_| operator.len() == 1)?;
    let is_scalar = !value.is_array() && (!value.is_object() || exact::is_number(value));
    (is_scalar && cursor.count_scalar(value)).then_some(value)
}

/// Reads one operator, and records mistakes with the cursor.
pub(super) fn parse(cursor: &mut Cursor<'_>, operator: &Map<String, Value>) -> Option<Operator> {
    let (name, value) = cursor.single(operator, "{ prefix = \"a\" }")?;
    if !NAMES.contains(&name) {
        cursor.unknown_operator(name, &NAMES);
        return None;
    }
    if !cursor.count_value() {
        return None;
    }
    cursor.within(&format!(".{name}"), |cursor| {
        if let Some(message) = spec::not_json(value) {
            cursor.fault(message);
            return None;
        }
        match name {
            EXACTLY => {
                cursor.fault("must be one value, such as { exactly = \"approved\" }");
                None
            }
            "prefix" => affix(cursor, value, Operator::Prefix, Operator::PrefixAnyCase),
            "suffix" => affix(cursor, value, Operator::Suffix, Operator::SuffixAnyCase),
            "equals-ignore-case" => {
                cursor.text(value).map(AnyCase::new).map(Operator::EqualsAnyCase)
            }
            "wildcard" => cursor.text(value).and_then(|text| wildcard(cursor, text)),
            "numeric" => Range::parse(cursor, value).map(Operator::Numeric),
            "cidr" => {
                let network = cursor.text(value).map(network)?;
                cursor.checked(network).map(Operator::Cidr)
            }
            "exists" => exists(cursor, value),
            _ => anything_but(cursor, value),
        }
    })
}

/// `prefix` and `suffix`: text, or text in any case.
fn affix(
    cursor: &mut Cursor<'_>,
    value: &Value,
    plain: fn(Box<str>) -> Operator,
    any_case: fn(AnyCase) -> Operator,
) -> Option<Operator> {
    let Value::Object(inner) = value else {
        return cursor.text(value).map(|text| plain(text.into()));
    };
    let (name, value) = cursor.single(inner, "{ equals-ignore-case = \"a\" }")?;
    if name != "equals-ignore-case" {
        cursor.unknown_operator(name, &["equals-ignore-case"]);
        return None;
    }
    cursor
        .within(".equals-ignore-case", |cursor| cursor.text(value))
        .map(AnyCase::new)
        .map(any_case)
}

fn wildcard(cursor: &mut Cursor<'_>, text: &str) -> Option<Operator> {
    let wildcard = cursor.checked(Wildcard::parse(text))?;
    let added = cursor.budget.wildcards.add(&cursor.keys, wildcard);
    cursor.checked(added).map(|(wildcard, slot)| Operator::Wildcard(wildcard, slot))
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(canonical(network));
    }
    Err(match text.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            format!("`{text}` is a single address; write {text}/{bits}")
        }
        Err(_) => format!(
            "`{text}` is not a network; write an address and its prefix length, such as \
             10.0.0.0/8 or 2001:db8::/32"
        ),
    })
}

/// An IPv4 network that is written in IPv6 (`::ffff:10.0.0.0/104`), as the IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            let v4 = v6.addr().to_ipv4_mapped();
            let v4 = v4.and_then(|v4| ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
            v4.map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

fn exists(cursor: &mut Cursor<'_>, value: &Value) -> Option<Operator> {
    if value.as_bool().is_none() {
        cursor.fault("must be true or false, without quotes");
    }
    value.as_bool().map(Operator::Exists)
}

fn anything_but(cursor: &mut Cursor<'_>, value: &Value) -> Option<Operator> {
    match value {
        number if exact::is_number(number) => but_values(cursor, std::slice::from_ref(number)),
        Value::Object(inner) => {
            let (name, value) = cursor.single(inner, "{ prefix = \"a\" }")?;
            if BUT_NAMES.contains(&name) {
                cursor.within(&format!(".{name}"), |cursor| but_texts(cursor, name, value))
            } else {
                cursor.unknown_operator(name, &BUT_NAMES);
                None
            }
        }
        Value::Array(items) => but_values(cursor, items),
        single => but_values(cursor, std::slice::from_ref(single)),
    }
}

/// `anything-but` with values, which are all text or all numbers.
fn but_values(cursor: &mut Cursor<'_>, items: &[Value]) -> Option<Operator> {
    let all = |test: fn(&Value) -> bool| items.iter().all(test);
    if let Some(message) = items.iter().find_map(spec::not_json) {
        cursor.fault(message);
    } else if items.is_empty() {
        cursor.fault("is an empty list; to match any value, write { exists = true }");
    } else if let Some(message) = items.iter().find_map(exact::fault) {
        cursor.fault(message);
    } else if all(Value::is_string) || all(exact::is_number) {
        let counted = items.iter().all(|item| cursor.count_scalar(item));
        return counted.then(|| Operator::AnythingBut(Exact::new(items)));
    } else {
        cursor.fault(
            "must be text, a number, or a list of only texts or only numbers, such as \
             [\"approved\", \"declined\"]",
        );
    }
    None
}

/// `anything-but` with an operator for text, and one text or several.
fn but_texts(cursor: &mut Cursor<'_>, name: &str, value: &Value) -> Option<Operator> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    if items.is_empty() {
        cursor.fault("is an empty list; add the texts that must not match");
        return None;
    }
    let mut these = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let step = if value.is_array() { format!("[{i}]") } else { String::new() };
        these.push(cursor.within(&step, |cursor| {
            let text = cursor.text(item).filter(|_| cursor.count_value())?;
            match name {
                "prefix" | "suffix" if text.is_empty() => {
                    cursor.fault("is empty, so no text could match; write at least one character");
                    None
                }
                "prefix" => Some(Operator::Prefix(text.into())),
                "suffix" => Some(Operator::Suffix(text.into())),
                "wildcard" => wildcard(cursor, text),
                _ => Some(Operator::EqualsAnyCase(AnyCase::new(text))),
            }
        }));
    }
    these.into_iter().collect::<Option<_>>().map(Operator::AnythingButTexts)
}
