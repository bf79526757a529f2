//! A reply of the mail server, and its meaning in words.

/// A reply's code and text. Lines are joined by spaces.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The text as received. It can hold addresses.
    pub(crate) text: String,
}

impl Reply {
    /// The reply of these lines. There is at least one, and the last one has the code.
    pub(crate) fn of_lines(lines: &[(u16, String)]) -> Self {
        let code = lines.last().map_or(0, |(code, _)| *code);
        let text: Vec<&str> =
            lines.iter().map(|(_, text)| text.trim()).filter(|text| !text.is_empty()).collect();
        Self { code, text: text.join(" ") }
    }

    /// The enhanced code (RFC 3463) at the start of the text, such as `5.1.1`.
    pub(crate) fn enhanced(&self) -> Option<&str> {
        let word = self.text.split_whitespace().next()?;
        let mut parts = word.split('.');
        let number = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let valid = matches!(parts.next(), Some("2" | "4" | "5"))
            && parts.next().is_some_and(|part| number(part, 3))
            && parts.next().is_some_and(|part| number(part, 3))
            && parts.next().is_none();
        valid.then_some(word)
    }

    /// Whether the server closes the connection after this reply (RFC 5321, section 3.8).
    pub(crate) fn is_farewell(&self) -> bool {
        self.code == 421
    }

    /// Whether the server requires other credentials or TLS first (RFC 4954, section 6).
    pub(crate) fn wants_credentials(&self) -> bool {
        matches!(self.code, 454 | 530 | 534 | 535 | 538)
    }

    /// Whether a refusal concerns the address and not the message or its sender: the mailbox does
    /// not exist, has moved or is closed (RFC 3463, sections 3.2 and 3.3). Without an enhanced
    /// code, RFC 5321's codes for mailboxes decide.
    pub(crate) fn is_about_the_address(&self) -> bool {
        match self.enhanced() {
            Some(code) => {
                ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.0", "5.2.1"].contains(&code)
            }
            None => matches!(self.code, 550 | 551 | 553 | 521 | 556),
        }
    }

    /// Whether a temporary refusal concerns the mail server as a whole and not this mail: it is
    /// overloaded, out of storage, or limits the client (RFC 3463, sections 3.4, 3.5 and 3.8).
    pub(crate) fn is_about_the_server(&self) -> bool {
        match self.enhanced().and_then(|code| code.split_once('.')) {
            Some((_, detail)) => detail.starts_with(['3', '4', '7']),
            None => self.code != 450,
        }
    }

    /// The id of the mail in the server's queue.
    pub(crate) fn queue_id(&self) -> Option<&str> {
        let after = |mark: &str| self.text.split_once(mark).map(|(_, rest)| rest);
        let rest = after("queued as ").or_else(|| after("id="))?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'));
        let id = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        (1..=128).contains(&id.len()).then_some(id)
    }

    /// The meaning of the enhanced code if it is known, otherwise that of the plain code.
    pub(crate) fn meaning(&self) -> &'static str {
        let enhanced = self.enhanced().and_then(|code| code.split_once('.')).map(|(_, rest)| rest);
        enhanced.and_then(enhanced_meaning).unwrap_or_else(|| plain_meaning(self.code))
    }
}

/// The codes of RFC 3463 and IANA's registry, without the first digit.
fn enhanced_meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "1.1" => "the mailbox does not exist",
        "1.2" => "the domain does not exist or accepts no mail",
        "1.3" => "the address is malformed",
        "1.4" => "the address is ambiguous",
        "1.6" => "the mailbox has moved",
        "1.7" | "1.8" => "the sender's address is not accepted",
        "1.10" => "the domain accepts no mail",
        "2.0" | "2.1" => "the mailbox is disabled",
        "2.2" => "the mailbox is full",
        "2.3" => "the message is too large for the mailbox",
        "3.1" => "the mail system is full",
        "3.2" => "the mail system accepts no mail at the moment",
        "3.4" => "the message is too large",
        "4.1" => "the receiving host does not answer",
        "4.2" => "the connection to the receiving host broke",
        "4.3" => "a directory server failed",
        "4.4" => "no route to the receiving host",
        "4.5" => "the mail system is congested",
        "4.7" => "the delivery time has expired",
        "5.1" | "5.2" | "5.4" => "the mail server did not understand the command",
        "5.3" => "too many recipients",
        "6.0" | "6.1" => "the content is not accepted",
        "7.0" | "7.1" => "refused by the receiver's policy",
        "7.8" | "7.9" | "7.14" => "the credentials are not accepted",
        "7.11" => "the mail server requires TLS first",
        "7.20" | "7.21" | "7.22" => "the DKIM signature is missing or not accepted",
        "7.23" | "7.24" => "the SPF check failed",
        "7.25" => "the sending host has no reverse DNS",
        "7.26" => "several authentication checks failed",
        "7.27" => "the sender's domain accepts no mail",
        "7.28" => "too many mails in a short time",
        _ => return None,
    })
}

/// RFC 5321, section 4.2.3.
fn plain_meaning(code: u16) -> &'static str {
    match code {
        421 => "the service is not available at the moment",
        450 => "the mailbox is not available at the moment",
        451 => "the mail server had an internal error",
        452 => "the mail server is out of storage",
        454 => "authentication is not available at the moment",
        455 | 504 | 555 => "a parameter is not supported",
        500..=503 => "the mail server did not understand the command",
        521 | 556 => "the domain accepts no mail",
        530 | 538 => "the mail server requires TLS or authentication first",
        534 | 535 => "the credentials are not accepted",
        550 => "the mailbox is not available",
        551 => "the mailbox has moved",
        552 => "the message or the mailbox is over its size limit",
        553 => "the mailbox name is not allowed",
        554 => "the transaction failed",
        400..=499 => "the mail server cannot accept it at the moment",
        _ => "the mail server does not accept it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.to_owned() }
    }

    #[test]
    fn the_enhanced_code_is_preferred_to_the_plain_one() {
        assert_eq!(reply(550, "5.1.1 nobody here").meaning(), "the mailbox does not exist");
        assert_eq!(reply(550, "nobody here").meaning(), "the mailbox is not available");
        assert_eq!(reply(550, "5.99.1 strange").meaning(), "the mailbox is not available");
        assert_eq!(reply(499, "").meaning(), "the mail server cannot accept it at the moment");
        assert_eq!(reply(250, "1.2.3.4 is my address").enhanced(), None);
    }

    #[test]
    fn a_bounce_concerns_the_address_and_not_the_message() {
        for (code, text) in [(550, "5.1.1 who?"), (550, "no such user"), (553, ""), (550, "5.2.1")]
        {
            assert!(reply(code, text).is_about_the_address(), "{code} {text}");
        }
        for (code, text) in [(550, "5.7.1 spam"), (552, "5.2.2 full"), (554, "no"), (450, "later")]
        {
            assert!(!reply(code, text).is_about_the_address(), "{code} {text}");
        }
    }

    #[test]
    fn a_temporary_refusal_of_one_mail_is_not_about_the_server() {
        for (code, text) in [(450, "mailbox busy"), (452, "4.2.2 full"), (451, "4.6.0 content")] {
            assert!(!reply(code, text).is_about_the_server(), "{code} {text}");
        }
        for (code, text) in
            [(451, "local error"), (452, ""), (452, "4.3.1 no space"), (451, "4.7.28 slow down")]
        {
            assert!(reply(code, text).is_about_the_server(), "{code} {text}");
        }
    }

    #[test]
    fn the_queue_id_is_found_in_replies_of_common_servers() {
        assert_eq!(reply(250, "2.0.0 Ok: queued as 4F1B2C").queue_id(), Some("4F1B2C"));
        assert_eq!(reply(250, "OK id=1rZk2S-0003Xp-1M").queue_id(), Some("1rZk2S-0003Xp-1M"));
        assert_eq!(reply(250, "OK").queue_id(), None);
    }
}
