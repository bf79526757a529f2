//! DKIM signatures of every kind of key, verified by dkimpy. `main_path` has mails of every kind,
//! signed with an Ed25519 key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::scene::{SOON, Scene};
use crate::support::{Mail, Peer, run_verifier};

/// A key of 2048 bits that is used nowhere else, as OpenSSL 3 and as its predecessors write it.
const RSA: [&str; 2] = [
    include_str!("../peers/fixtures/dkim-rsa-2048.pem"),
    include_str!("../peers/fixtures/dkim-rsa-2048-pkcs1.pem"),
];
const RSA_RECORD: &str = "v=DKIM1; k=rsa; p=\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyCSZT3noEUuEpktUlseRAeUs8UoBvLcMoBwQ\
    MV+r7If6cSlrBy4v8Y8eiHnlKo05I2AD5R7IzpLdi7fLGBFjD9+ds9bFjcr5dtcjcCec93ZRw8wR54sz\
    o1Q1cncAB4mpIvJtpni8azWwZQPH6GEEOraC2OXvmXCUQMRf5AYJWS14O8Ayu+7uJrZEBdNr27cLIVow\
    EmsFvtLZsLhIuWewr/PjpXgyVUt939+WmGFGADESAMLhxwxDzUj7ihZsvfvCQq4mgylfwVnTVNx+rX4u\
    k816TdigxFF4H1EYw3S8FDO2jlVJJ6s47MDxVZQpZDnuXp+6hmTzsBuvSDJ/LpeHswIDAQAB";

/// Sends a mail that is signed with the key.
fn signed_with(key: &str) -> Mail {
    let scene = Scene::embedded();
    let peer = Peer::start("smtp_server.py", &[]);
    let key = scene.file("dkim.pem", key);
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         from = \"Ōkubo & Söhne <kyc@acme.example>\"\n\
         unsubscribe_url = \"https://acme.example/{}/{{token}}\"\n\
         [email.dkim]\ndomain = \"acme.example\"\nselector = \"s1\"\nkey_file = \"{key}\"",
        peer.port(),
        "u".repeat(300),
    ));
    let mail = "[[destination]]\nid = \"mail\"\nchannel = \"email\"\nto = \"mlro@acme.example\"\n";
    let file = scene.tenant("acme", mail).display().to_string();
    scene.run(&["apply", "--development", &file]).ok();
    scene.run(&["destinations", "test", "--development", "--tenant", "acme", "mail"]).ok();
    peer.wait_for::<Mail>(1, SOON).remove(0)
}

/// What dkimpy says about a mail.
fn judged(raw: &[u8], record: &str) -> Result<Value, String> {
    let dns = json!({ "s1._domainkey.acme.example": record });
    run_verifier("verify_dkim.py", &json!({ "raw": BASE64.encode(raw), "dns": dns }))
}

#[test]
fn dkimpy_accepts_a_mail_signed_with_an_rsa_key_and_refuses_a_change_to_it() {
    for key in RSA {
        let mail = signed_with(key);
        let raw = BASE64.decode(&mail.raw).expect("base64");
        let found = judged(&raw, RSA_RECORD).expect("dkimpy accepts it");
        let signature = &found["signatures"][0];
        assert_eq!(signature["algorithm"], "rsa-sha256");
        assert_eq!(signature["canonicalization"], "relaxed/relaxed");
        assert_eq!(signature["domain"], "acme.example");
        for header in ["from", "subject", "list-unsubscribe", "content-type", "reply-to"] {
            let signed = signature["headers"].as_array().expect("headers");
            assert!(signed.contains(&header.into()), "{header} in {signed:?}");
        }

        let text = String::from_utf8(raw).expect("ASCII");
        for (from, to) in [
            ("https://acme.example/u", "https://evil.example/u"),
            ("multipart/alternative", "multipart/mixed"),
            ("kyc@acme.example", "ceo@acme.example"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            judged(text.replace(from, to).as_bytes(), RSA_RECORD).expect_err(from);
        }
        let added = text.replacen("\r\nSubject:", "\r\nReply-To: x@evil.example\r\nSubject:", 1);
        judged(added.as_bytes(), RSA_RECORD)
            .expect_err("a header that was not there is signed too");
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused_when_the_settings_are_checked() {
    let scene = Scene::embedded();
    for (key, reason) in [
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "RSA"),
        ("no key", "PEM"),
    ] {
        let key = scene.file("dkim.pem", key);
        scene.settings(&format!(
            "[email.dkim]\ndomain = \"acme.example\"\nselector = \"s1\"\nkey_file = \"{key}\""
        ));
        let file = scene.tenant("acme", "").display().to_string();
        let config = scene.path("fanfare.toml").display().to_string();
        let said = crate::scene::said(&["check", "--config", &config, &file]);
        assert_ne!(said.code, Some(0), "{said:?}");
        assert!(said.err.contains("dkim.private_key_pem") && said.err.contains(reason), "{said:?}");
    }
}
