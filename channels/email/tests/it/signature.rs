//! The DKIM signature, verified by independent code that follows RFC 6376.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fanfare_contract::Content;
use fanfare_email::{Config, DkimConfig, EmailChannel};
use fanfare_receivers::SmtpReceiver;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{Fixed, SOON, config, delivery_of, event, resolver, send};

/// A header's name in lower case and its value unfolded.
type Header = (String, String);

fn split(mail: &[u8]) -> (Vec<Header>, &str) {
    let text = std::str::from_utf8(mail).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let headers = unfolded.split("\r\n").map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        (name.to_lowercase(), value)
    });
    (headers.collect(), body)
}

fn relaxed_body(body: &str) -> String {
    let lines = body.split("\r\n").map(|line| {
        let spaced = line.replace('\t', " ");
        let mut words =
            spaced.split(' ').enumerate().filter(|(n, word)| *n == 0 || !word.is_empty());
        let first = words.next().map_or("", |(_, word)| word).to_owned();
        words.fold(first, |line, (_, word)| line + " " + word)
    });
    let text = lines.collect::<Vec<_>>().join("\r\n");
    format!("{}\r\n", text.trim_end_matches("\r\n"))
}

fn tag<'a>(signature: &'a str, name: &str) -> &'a str {
    let tags = signature.split(';').filter_map(|tag| tag.trim().split_once('='));
    tags.into_iter().find(|(found, _)| *found == name).expect("the tag is there").1
}

/// Whether the key signed the mail.
fn verifies(mail: &[u8], public_key: &[u8]) -> bool {
    let (headers, body) = split(mail);
    let find = |name: &str| headers.iter().find(|(found, _)| found == name);
    let signature = &find("dkim-signature").expect("a signature").1;
    if BASE64.encode(Sha256::digest(relaxed_body(body))) != tag(signature, "bh") {
        return false;
    }
    let mut signed = Sha256::new();
    for (name, value) in tag(signature, "h").split(':').filter_map(find) {
        signed.update(format!("{name}:{value}\r\n"));
    }
    let (unsigned, value) = signature.rsplit_once("b=").unwrap();
    signed.update(format!("dkim-signature:{unsigned}b="));
    let value = BASE64.decode(value.replace(' ', "")).unwrap();
    UnparsedPublicKey::new(&ED25519, public_key).verify(&signed.finalize(), &value).is_ok()
}

/// A signed mail with headers of maximum length, and the public key.
async fn signed() -> (Vec<u8>, Vec<u8>) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let receiver = SmtpReceiver::ok().await.unwrap();
    let config = Config {
        dkim: Some(DkimConfig {
            domain: "fanfare.example".into(),
            selector: "s1".into(),
            private_key_pem: key.serialize_pem(),
        }),
        unsubscribe_url: Some(format!("https://x.example/{}/{{token}}", "u".repeat(700))),
        ..config(receiver.addr())
    };
    // lettre's canonicalization recurses over the headers. The longest must not exhaust the stack.
    let templates = Fixed::new(&"大".repeat(500), "<p>x</p>", "a  b \t c \n.\n\n\n");
    let channel = EmailChannel::new(config, templates, resolver()).unwrap();
    let named = |domain: &str| format!("{} <a@{domain}.example>", "大".repeat(128));
    let to = json!({"to": named("b"), "from": named("c"), "reply_to": named("d")});
    let content = Content::Event(event("evt_1", "a.b", &json!({"session_id": "s"})));
    send(&channel, &delivery_of(&channel, to, content)).await.unwrap();
    let mail = receiver.wait_for(1, SOON).await.remove(0);
    (mail.data.to_vec(), key.der_bytes().to_vec())
}

#[tokio::test]
async fn a_signed_mail_verifies_and_a_changed_one_does_not() {
    let (mail, key) = signed().await;
    assert!(verifies(&mail, &key));
    let text = String::from_utf8(mail).unwrap();
    for (from, to) in [
        ("List-Unsubscribe=One-Click", "List-Unsubscribe=No"),
        ("https://x.example/", "https://y.example/"),
        ("Content-Type: multipart/alternative", "Content-Type: multipart/mixed"),
        ("<p>x</p>", "<p>y</p>"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(!verifies(text.replace(from, to).as_bytes(), &key), "{from}");
    }
}

#[tokio::test]
async fn the_signature_covers_the_listed_headers() {
    let (mail, _) = signed().await;
    let (headers, _) = split(&mail);
    let signature = &headers.iter().find(|(name, _)| name == "dkim-signature").unwrap().1;
    assert_eq!(tag(signature, "a"), "ed25519-sha256");
    assert_eq!(tag(signature, "c"), "relaxed/relaxed");
    assert_eq!((tag(signature, "d"), tag(signature, "s")), ("fanfare.example", "s1"));
    let covered: Vec<_> = tag(signature, "h").split(':').collect();
    for (name, _) in &headers {
        let left_out = name == "dkim-signature" || name.starts_with("x-fanfare-");
        // A relay may add or change `Sender`.
        let left_out = left_out || name == "sender";
        assert_eq!(covered.contains(&name.as_str()), !left_out, "{name}");
    }
}
