//! Parses a mailbox as people write it: `jane@acme.example` or `Jane Doe <jane@acme.example>`.
//!
//! The parsed address is ASCII. An international domain becomes punycode. An international local
//! part is refused, because a relay may not support SMTPUTF8. Only simple local parts (RFC 5322
//! dot-atom) are accepted, so that an address never needs quotes.

use fanfare_contract::check_display_text;
use lettre::Address;
use lettre::message::Mailbox;
use url::Host;

/// Maximum length of a display name, in characters.
const LONGEST_NAME: usize = 128;
/// RFC 5321, section 4.5.3.1.
const LONGEST_LOCAL_PART: usize = 64;
/// RFC 5321, section 4.5.3.1.3: a path of 256 with its angle brackets.
const LONGEST_ADDRESS: usize = 254;

/// Parses a mailbox. The error says what is wrong and does not repeat the text.
pub(crate) fn parse(text: &str) -> Result<Mailbox, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty; set an address such as `jane@acme.example`".to_owned());
    }
    let (name, address) = split(text)?;
    Ok(Mailbox::new(name, parse_address(address)?))
}

/// Splits a mailbox into display name and address.
fn split(text: &str) -> Result<(Option<String>, &str), String> {
    let Some(inner) = text.strip_suffix('>') else {
        return Ok((None, text));
    };
    let (name, address) = inner
        .rsplit_once('<')
        .ok_or("has a `>` without a `<`; use the form `Name <a@b.example>`")?;
    Ok((display_name(name)?, address.trim()))
}

/// A display name without its quotes. `None` if it is blank.
pub(crate) fn display_name(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    let name = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescape(quoted),
        None => text.to_owned(),
    };
    if name.chars().any(char::is_control) {
        return Err("has a control character in the name".to_owned());
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(format!("has a name longer than {LONGEST_NAME} characters"));
    }
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// What only a mailbox that is being written must satisfy: its name does not pretend to be another
/// address, and does not change how the text around it is displayed.
pub(crate) fn review_name(mailbox: &Mailbox) -> Result<(), String> {
    let Some(name) = &mailbox.name else { return Ok(()) };
    check_display_text(name)?;
    if name.contains(['<', '>']) {
        return Err("has two addresses, one of them in the name; write one address, such as \
                    `Jane Doe <jane@acme.example>`"
            .to_owned());
    }
    // Many mail programs show the name alone, so it must not be a different address.
    let is_own = name.eq_ignore_ascii_case(mailbox.email.as_ref());
    if !is_own && name.contains(['@', '\u{ff20}', '\u{fe6b}']) {
        return Err(
            "has an `@` in the name, which looks like another address; remove it".to_owned()
        );
    }
    Ok(())
}

fn unescape(quoted: &str) -> String {
    let mut name = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        name.push(escaped.unwrap_or(character));
    }
    name
}

fn parse_address(text: &str) -> Result<Address, String> {
    let (local, domain) =
        text.rsplit_once('@').ok_or("is not an email address: the `@` is missing")?;
    check_local_part(local)?;
    let domain = ascii_domain(domain)?;
    if local.len() + 1 + domain.len() > LONGEST_ADDRESS {
        return Err(format!("is longer than {LONGEST_ADDRESS} characters"));
    }
    Address::new(local, domain).map_err(|error| format!("is not an email address: {error}"))
}

fn check_local_part(local: &str) -> Result<(), String> {
    if local.is_empty() || local.len() > LONGEST_LOCAL_PART {
        return Err(format!("must have 1 to {LONGEST_LOCAL_PART} characters before the `@`"));
    }
    if local.contains('@') && !local.contains([',', ';', ' ']) {
        return Err("is not an email address: it has two `@`; remove one of them".to_owned());
    }
    if local.contains([',', ';']) || local.contains('@') {
        return Err(
            "looks like several addresses; use a list with one address per entry".to_owned()
        );
    }
    if !local.is_ascii() {
        return Err(
            "has non-ASCII letters before the `@`, which many mail servers refuse; use an \
                    ASCII address"
                .to_owned(),
        );
    }
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atom_byte);
    if !local.split('.').all(atom) {
        return Err("has an invalid character or dot before the `@`".to_owned());
    }
    Ok(())
}

/// RFC 5322 `atext`.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

pub(crate) fn ascii_domain(domain: &str) -> Result<String, String> {
    let bad = || "has a domain that is not a valid host name".to_owned();
    if domain.contains(['%', '[', ']']) {
        return Err(bad());
    }
    match Host::parse(domain) {
        Ok(Host::Domain(domain)) if domain.split('.').all(is_label) => Ok(domain),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => {
            Err("has an IP address as its domain; use a host name".to_owned())
        }
        _ => Err(bad()),
    }
}

fn is_label(label: &str) -> bool {
    let hyphen_at_edge = label.starts_with('-') || label.ends_with('-');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len()) && !hyphen_at_edge && label.bytes().all(known)
}

/// `m***@acme.example`: enough to recognize the address, too little to write to it.
pub(crate) fn masked(address: &Address) -> String {
    let first: String = address.user().chars().take(1).collect();
    format!("{first}***@{}", address.domain())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String) {
        let mailbox = parse(text).unwrap();
        (mailbox.name, mailbox.email.to_string())
    }

    #[test]
    fn a_mailbox_is_split_into_name_and_address() {
        assert_eq!(read(" a@b.example "), (None, "a@b.example".into()));
        assert_eq!(read("<a@b.example>"), (None, "a@b.example".into()));
        assert_eq!(read("Jane <a@b.example>"), (Some("Jane".into()), "a@b.example".into()));
        assert_eq!(
            read(r#""Doe, \"J\"" <a@b.example>"#),
            (Some("Doe, \"J\"".into()), "a@b.example".into())
        );
        assert_eq!(read("大久保 <a@b.example>").0.as_deref(), Some("大久保"));
        assert_eq!(read("dev@localhost").1, "dev@localhost");
    }

    #[test]
    fn an_international_domain_becomes_punycode() {
        assert_eq!(read("a@Bücher.example").1, "a@xn--bcher-kva.example");
    }

    #[test]
    fn invalid_addresses_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("jane", "`@` is missing"),
            ("@b.example", "1 to 64"),
            ("a@", "host name"),
            ("jané@b.example", "non-ASCII"),
            ("\"a b\"@b.example", "invalid character"),
            ("a..b@b.example", "invalid character"),
            ("a@b.example, c@d.example", "several addresses"),
            ("a@[127.0.0.1]", "host name"),
            ("a@127.0.0.1", "IP address"),
            ("a@b%2ec", "host name"),
            ("a@-b.example", "host name"),
            ("a\r\nBcc: x@y.example@b.example", "several addresses"),
            ("Jane\r\nBcc: x <a@b.example>", "control character"),
            ("Jane a@b.example>", "without a `<`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        assert!(parse(&format!("{}@b.example", "a".repeat(65))).is_err());
        assert!(parse(&format!("a@{}.example", "b".repeat(64))).is_err());
        assert!(parse(&format!("{} <a@b.example>", "n".repeat(129))).is_err());
    }

    #[test]
    fn a_name_is_neither_another_address_nor_invisible() {
        for text in [
            "Acme <a@b.example> <c@d.example>",
            "ceo@bank.example <x@evil.example>",
            "ceo＠bank.example <x@evil.example>",
            "Acme \u{202e}moc.knab <a@b.example>",
            "a\u{2066}b <a@b.example>",
        ] {
            assert!(review_name(&parse(text).unwrap()).is_err(), "{text:?}");
        }
        for text in [
            "Acme <a@b.example>",
            "a@b.example <a@b.example>",
            "A@b.example",
            "大久保 <a@b.example>",
        ] {
            assert_eq!(review_name(&parse(text).unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_masked_address_keeps_one_letter_and_the_domain() {
        assert_eq!(masked(&parse("mlro@acme.example").unwrap().email), "m***@acme.example");
    }
}
