//! Reading the operators: `{ prefix = "x" }` and its like.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::leaf::{Bound, Exact, Range, Test};
use super::number::Number;
use super::parse::Parser;
use super::text::{AnyCase, Wildcard};
use crate::spec;
use crate::suggest::closest;

/// Every operator that an alternative can be.
pub(super) const NAMES: [&str; 8] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "numeric",
    "cidr",
    "exists",
    "anything-but",
];
/// What `anything-but` can be combined with.
const BUT_NAMES: [&str; 4] = ["prefix", "suffix", "wildcard", "equals-ignore-case"];
const COMPARISONS: [&str; 5] = ["=", "<", "<=", ">", ">="];

/// Whether it is one of the signs in `numeric`.
pub(super) fn is_comparison(sign: &str) -> bool {
    COMPARISONS.contains(&sign)
}

/// Reads one operator, noting faults with the parser.
pub(super) fn read(parser: &mut Parser, operator: &Map<String, Value>) -> Option<Test> {
    let (name, value) = single(parser, operator, "{ prefix = \"a\" }")?;
    if !NAMES.contains(&name) {
        parser.fault(unknown(name, &NAMES));
        return None;
    }
    if !parser.count_value() {
        return None;
    }
    parser.within(&format!(".{name}"), |parser| {
        if let Some(message) = spec::foreign(value) {
            parser.fault(message);
            return None;
        }
        match name {
            "prefix" => affix(parser, value, Test::Prefix, Test::PrefixAnyCase),
            "suffix" => affix(parser, value, Test::Suffix, Test::SuffixAnyCase),
            "equals-ignore-case" => text(parser, value).map(AnyCase::new).map(Test::EqualsAnyCase),
            "wildcard" => text(parser, value).and_then(|text| wildcard(parser, text)),
            "numeric" => numeric(parser, value),
            "cidr" => text(parser, value).and_then(|text| cidr(parser, text)),
            "exists" => exists(parser, value),
            _ => anything_but(parser, value),
        }
    })
}

/// The one name and value of an operator.
fn single<'v>(
    parser: &mut Parser,
    operator: &'v Map<String, Value>,
    example: &str,
) -> Option<(&'v str, &'v Value)> {
    let mut entries = operator.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Some((name, value)),
        (None, _) => {
            parser.fault(format!("is an empty object; write an operator, such as {example}"));
            None
        }
        (Some(_), Some(_)) => {
            parser.fault(
                "has several operators in one object; write one object each, any of which may \
                 match: [{ prefix = \"a\" }, { suffix = \"z\" }]",
            );
            None
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match closest(name, known.iter().copied()) {
        Some(near) => format!("`{name}` is no operator; did you mean `{near}`? Known here: {list}"),
        None => format!("`{name}` is no operator; known here: {list}"),
    }
}

fn text<'v>(parser: &mut Parser, value: &'v Value) -> Option<&'v str> {
    if value.as_str().is_none() {
        parser.fault(format!("takes text, not {}; write it in quotes", kind(value)));
    }
    value.as_str()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// `prefix` and `suffix`: text, or text in any case.
fn affix(
    parser: &mut Parser,
    value: &Value,
    plain: fn(Box<str>) -> Test,
    any_case: fn(AnyCase) -> Test,
) -> Option<Test> {
    let Value::Object(inner) = value else {
        return text(parser, value).map(|text| plain(text.into()));
    };
    let (name, value) = single(parser, inner, "{ equals-ignore-case = \"a\" }")?;
    if name != "equals-ignore-case" {
        parser.fault(unknown(name, &["equals-ignore-case"]));
        return None;
    }
    parser
        .within(".equals-ignore-case", |parser| text(parser, value))
        .map(AnyCase::new)
        .map(any_case)
}

fn wildcard(parser: &mut Parser, text: &str) -> Option<Test> {
    match Wildcard::parse(text) {
        Ok(wildcard) => Some(Test::Wildcard(wildcard)),
        Err(message) => {
            parser.fault(message);
            None
        }
    }
}

fn cidr(parser: &mut Parser, text: &str) -> Option<Test> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Some(Test::Cidr(canonical(network)));
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            parser.fault(format!("`{text}` is one address; write {text}/{bits}"));
        }
        Err(_) => parser.fault(format!(
            "`{text}` is no network; write an address and its prefix length, such as 10.0.0.0/8 \
             or 2001:db8::/32"
        )),
    }
    None
}

/// IPv4 networks that are written in IPv6 (`::ffff:10.0.0.0/104`), as the IPv4 that they are.
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

fn exists(parser: &mut Parser, value: &Value) -> Option<Test> {
    if value.as_bool().is_none() {
        parser.fault("takes true or false, without quotes");
    }
    value.as_bool().map(Test::Exists)
}

fn anything_but(parser: &mut Parser, value: &Value) -> Option<Test> {
    match value {
        Value::Object(inner) => {
            let (name, value) = single(parser, inner, "{ prefix = \"a\" }")?;
            if BUT_NAMES.contains(&name) {
                parser.within(&format!(".{name}"), |parser| but_texts(parser, name, value))
            } else {
                parser.fault(unknown(name, &BUT_NAMES));
                None
            }
        }
        Value::Array(items) => but_values(parser, items),
        single => but_values(parser, std::slice::from_ref(single)),
    }
}

/// `anything-but` with values: all text, or all numbers.
fn but_values(parser: &mut Parser, items: &[Value]) -> Option<Test> {
    let all = |test: fn(&Value) -> bool| !items.is_empty() && items.iter().all(test);
    if let Some(message) = items.iter().find_map(spec::foreign) {
        parser.fault(message);
    } else if all(Value::is_string) || all(Value::is_number) {
        let mut these = Exact::default();
        for item in items {
            if !parser.count_value() {
                return None;
            }
            these.push(item);
        }
        return Some(Test::AnythingBut(these.seal()));
    } else if items.is_empty() {
        parser.fault("is an empty list; to match any value, write { exists = true }");
    } else {
        parser.fault(
            "takes text, a number, or a list of only texts or only numbers, \
             such as [\"approved\", \"declined\"]",
        );
    }
    None
}

/// `anything-but` with a way to compare text, and one text or several.
fn but_texts(parser: &mut Parser, name: &str, value: &Value) -> Option<Test> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    if items.is_empty() {
        parser.fault("is an empty list; put in the texts that must not match");
        return None;
    }
    let mut these = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let step = if value.is_array() { format!("[{i}]") } else { String::new() };
        these.push(parser.within(&step, |parser| {
            let text = text(parser, item).filter(|_| parser.count_value())?;
            match name {
                "prefix" | "suffix" if text.is_empty() => {
                    parser.fault(
                        "is empty, and every text begins and ends with that; write some text",
                    );
                    None
                }
                "prefix" => Some(Test::Prefix(text.into())),
                "suffix" => Some(Test::Suffix(text.into())),
                "wildcard" => wildcard(parser, text),
                _ => Some(Test::EqualsAnyCase(AnyCase::new(text))),
            }
        }));
    }
    these.into_iter().collect::<Option<_>>().map(Test::AnythingButTexts)
}

fn numeric(parser: &mut Parser, value: &Value) -> Option<Test> {
    let pairs = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let range = match pairs {
        [sign, number] => {
            let (sign, at) = comparison(parser, 0, sign, number)?;
            let bound = |included| Some(Bound { at, included });
            match sign {
                "=" => Range { from: bound(true), to: bound(true) },
                ">" | ">=" => Range { from: bound(sign == ">="), to: None },
                _ => Range { from: None, to: bound(sign == "<=") },
            }
        }
        [from_sign, from, to_sign, to] => {
            let from = comparison(parser, 0, from_sign, from);
            let to = comparison(parser, 2, to_sign, to);
            between(parser, from?, to?)?
        }
        _ => {
            parser.fault("takes a list of a sign and a number, once or twice: [\">=\", 70] or [\">\", 0, \"<=\", 5]");
            return None;
        }
    };
    Some(Test::Numeric(range))
}

/// Two comparisons as one range: a lower end, then an upper one above it.
fn between(parser: &mut Parser, from: (&str, Number), to: (&str, Number)) -> Option<Range> {
    if !(from.0.starts_with('>') && to.0.starts_with('<')) {
        parser.fault(format!(
            "`{}` and `{}` make no range; begin with > or >=, then < or <=, such as [\">\", 0, \"<=\", 5]",
            from.0, to.0
        ));
        return None;
    }
    if from.1 >= to.1 {
        parser.fault(format!(
            "no number is above {} and below {}; the smaller one goes first",
            from.1, to.1
        ));
        return None;
    }
    Some(Range {
        from: Some(Bound { at: from.1, included: from.0 == ">=" }),
        to: Some(Bound { at: to.1, included: to.0 == "<=" }),
    })
}

fn comparison<'v>(
    parser: &mut Parser,
    index: usize,
    sign: &'v Value,
    number: &Value,
) -> Option<(&'v str, Number)> {
    let known = sign.as_str().filter(|sign| is_comparison(sign));
    if known.is_none() {
        parser.within(&format!("[{index}]"), |parser| {
            parser.fault(format!("is {sign}; write one of = < <= > >=, in quotes"));
        });
    }
    let read = match number {
        Value::Number(number) => Some(Number::new(number)),
        _ => None,
    };
    if read.is_none() {
        parser.within(&format!("[{}]", index + 1), |parser| {
            parser.fault(
                spec::foreign(number)
                    .unwrap_or_else(|| format!("is {number}; write a number, without quotes")),
            );
        });
    }
    known.zip(read)
}
