//! Which domains a tenant's mail can come from.
//!
//! All tenants send through the operator's relay, which often signs for every domain that it sends.
//! Without a limit, a tenant could send mail in the name of any other one.

use lettre::message::Mailbox;

use crate::address;

/// The domains of allowed senders.
#[derive(Debug)]
pub(crate) struct Senders(Vec<Pattern>);

#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// Any domain.
    Any,
    /// This domain alone.
    Exactly(String),
    /// Every name below this domain.
    Below(String),
}

impl Senders {
    /// The domains of the operator's setting. Without any, the domain of the operator's address.
    pub(crate) fn new(domains: &[String], default: &Mailbox) -> Result<Self, String> {
        if domains.is_empty() {
            let domain = default.email.domain().to_ascii_lowercase();
            return Ok(Self(vec![Pattern::Exactly(domain)]));
        }
        domains.iter().map(|domain| pattern(domain)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether mail can come from this address.
    pub(crate) fn allow(&self, sender: &Mailbox) -> bool {
        let domain = sender.email.domain().to_ascii_lowercase();
        self.0.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Exactly(allowed) => domain == *allowed,
            Pattern::Below(parent) => {
                domain.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        })
    }

    /// The error about an address that is not allowed.
    pub(crate) fn refusal(&self, sender: &Mailbox) -> String {
        let list: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        format!(
            "has the domain {}, which the operator does not allow for senders (allowed: {}); use an \
             allowed domain, or ask the operator to add it to `email.allowed_from_domains`",
            sender.email.domain(),
            list.join(", ")
        )
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let domain = |name: &str| {
        let domain = address::ascii_domain(name.trim());
        domain.map(|name| name.to_ascii_lowercase()).map_err(|_| {
            format!("has `{text}`, which is not a domain; write \"acme.example\", \"*.acme.example\" or \"*\"")
        })
    };
    match text.trim() {
        "*" => Ok(Pattern::Any),
        text => match text.strip_prefix("*.") {
            Some(parent) => domain(parent).map(Pattern::Below),
            None => domain(text).map(Pattern::Exactly),
        },
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exactly(domain) => f.write_str(domain),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(domains: &[&str], from: &str) -> bool {
        let operator = address::parse("Fanfare <n@Fanfare.example>").unwrap();
        let domains: Vec<_> = domains.iter().map(|one| (*one).to_owned()).collect();
        Senders::new(&domains, &operator).unwrap().allow(&address::parse(from).unwrap())
    }

    #[test]
    fn a_sender_has_an_allowed_domain() {
        for (domains, from, expected) in [
            (&[][..], "a@fanfare.example", true),
            (&[], "a@FANFARE.example", true),
            (&[], "ceo@otherbank.test", false),
            (&[], "a@mail.fanfare.example", false),
            (&[], "a@evilfanfare.example", false),
            (&["acme.example", "b.example"], "a@b.example", true),
            (&["acme.example"], "a@fanfare.example", false),
            (&["Bücher.example"], "a@bücher.example", true),
            (&["*.acme.example"], "a@kyc.eu.acme.example", true),
            (&["*.acme.example"], "a@acme.example", false),
            (&["*.acme.example"], "a@evilacme.example", false),
            (&["*"], "ceo@otherbank.test", true),
        ] {
            assert_eq!(allowed(domains, from), expected, "{domains:?} {from}");
        }
    }

    #[test]
    fn a_setting_that_is_no_domain_is_refused() {
        let operator = address::parse("n@fanfare.example").unwrap();
        for domain in ["", "a b", "a@b.example", "*acme.example", "127.0.0.1", "*.*", "-a.example"]
        {
            let error = Senders::new(&[domain.to_owned()], &operator).unwrap_err();
            assert!(error.contains("not a domain"), "{domain}: {error}");
        }
    }
}
