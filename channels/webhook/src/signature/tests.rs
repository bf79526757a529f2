//! Known test vectors, and the error of each kind of bad request.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

/// The example of the Standard Webhooks specification and its libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = b"{\"test\": 2432232314}";
const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let parsed = pairs.iter().map(|(name, value)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    });
    parsed.collect()
}

fn standard() -> HeaderMap {
    let at = AT.to_string();
    headers(&[(WEBHOOK_ID, ID), (WEBHOOK_TIMESTAMP, &at), (WEBHOOK_SIGNATURE, V1)])
}

fn check(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Scheme>, VerifyError> {
    verify(SECRET, headers, body, AT + 10, DEFAULT_TOLERANCE_S)
}

#[test]
fn the_specifications_own_example_is_signed_and_verified() {
    assert_eq!(sign_v1(SECRET, ID, AT, BODY).unwrap(), V1);
    assert_eq!(check(&standard(), BODY).unwrap(), [Scheme::StandardWebhooks]);
}

#[test]
fn the_key_of_the_body_scheme_is_the_secrets_text() {
    // printf '{"a":1}' | openssl dgst -sha256 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    let signature = sign_body(SECRET, b"{\"a\":1}").unwrap();
    assert_eq!(
        signature,
        "sha256=45ec03b2b33403c8043a90de06bedad0827183927115fd7e448ef97eeb13c5be"
    );
    let signed = headers(&[("X-Webhook-Signature", &signature)]);
    assert_eq!(check(&signed, b"{\"a\":1}").unwrap(), [Scheme::Body]);
}

#[test]
fn one_matching_signature_of_several_is_enough() {
    let mut signed = standard();
    let wrong = sign_v1("another-secret-16", ID, AT, BODY).unwrap();
    signed.insert(WEBHOOK_SIGNATURE, format!("{wrong} v1a,zzz {V1}").parse().unwrap());
    let (wrong, right) =
        (sign_body("another-secret-16", BODY).unwrap(), sign_body(SECRET, BODY).unwrap());
    signed.insert(X_WEBHOOK_SIGNATURE, format!("{wrong}, {right}").parse().unwrap());
    assert_eq!(check(&signed, BODY).unwrap(), [Scheme::StandardWebhooks, Scheme::Body]);
}

#[test]
fn one_wrong_scheme_fails_the_request() {
    let mut signed = standard();
    signed.insert(X_WEBHOOK_SIGNATURE, sign_body(SECRET, b"else").unwrap().parse().unwrap());
    assert_eq!(check(&signed, BODY), Err(VerifyError::Mismatch { scheme: Scheme::Body }));
}

#[test]
fn a_changed_body_id_or_time_does_not_match() {
    let mismatch = Err(VerifyError::Mismatch { scheme: Scheme::StandardWebhooks });
    assert_eq!(check(&standard(), b"{\"test\":2432232314}"), mismatch);
    for (header, other) in [(WEBHOOK_ID, "msg_other"), (WEBHOOK_TIMESTAMP, "1614265331")] {
        let mut changed = standard();
        changed.insert(header, HeaderValue::from_static(other));
        assert_eq!(check(&changed, BODY), mismatch);
    }
}

#[test]
fn an_old_or_future_signature_is_refused_with_its_age() {
    for (age_s, accepted) in [(300, true), (301, false), (-300, true), (-301, false)] {
        let answer = verify(SECRET, &standard(), BODY, AT + age_s, 300);
        if accepted {
            assert_eq!(answer.unwrap(), [Scheme::StandardWebhooks]);
        } else {
            assert_eq!(answer, Err(VerifyError::TooOld { age_s, tolerance_s: 300 }));
        }
    }
}

#[test]
fn errors_name_the_scheme_the_header_and_the_reason() {
    let mut no_id = standard();
    no_id.remove(WEBHOOK_ID);
    let mut no_time = standard();
    no_time.insert(WEBHOOK_TIMESTAMP, HeaderValue::from_static("yesterday"));
    let hex = headers(&[(X_WEBHOOK_SIGNATURE, "deadbeef")]);
    for (headers, message) in [
        (
            HeaderMap::new(),
            "there is neither a `webhook-signature` nor an `x-webhook-signature` header",
        ),
        (no_id, "webhook-signature: the header `webhook-id` is missing"),
        (
            no_time,
            "webhook-signature: the header `webhook-timestamp` is not a time in Unix seconds",
        ),
        (hex, "x-webhook-signature: the header `x-webhook-signature` is not `sha256=<hex>`"),
    ] {
        assert_eq!(check(&headers, BODY).unwrap_err().to_string(), message);
    }
    let bad_secret = verify("short", &standard(), BODY, AT, 300).unwrap_err();
    assert_eq!(bad_secret, VerifyError::Secret(SecretError::Length(5)));
    assert_eq!(bad_secret.to_string(), "the secret must have 16 to 256 characters, not 5");
}

#[test]
fn a_cut_or_empty_signature_never_matches() {
    for cut in ["v1,", "v1,g0hM9SsE+OTPJTGt", "v1,AAAA"] {
        let mut signed = standard();
        signed.insert(WEBHOOK_SIGNATURE, cut.parse().unwrap());
        assert!(check(&signed, BODY).is_err(), "{cut}");
    }
}
