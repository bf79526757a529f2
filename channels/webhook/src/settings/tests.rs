//! What a tenant may write, and what it is told otherwise.

use serde_json::json;

use super::*;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn read(settings: Value, development: bool) -> Result<Prepared, Vec<FieldError>> {
    let guard = Guard { development, allowed: Vec::new() };
    prepare(
        &object(settings),
        &guard,
        &Arc::new(headers::fixed(&HeaderValue::from_static("Agent/1"))),
    )
}

/// The errors as `field message`.
fn wrong(settings: Value) -> Vec<String> {
    let errors = read(settings, false).expect_err("wrong settings");
    errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect()
}

fn with_url(url: &str) -> Value {
    json!({ "url": url, "secret": SECRET })
}

#[test]
fn good_settings_are_prepared_once_for_all_attempts() {
    let settings = json!({
        "url": "https://user:p%40ss@Example.com:8443/in?x=1#part",
        "secret": SECRET,
        "previous_secrets": [{ "secret": "an-older-secret-of-mine", "expires": 1_700_000_000 }],
        "headers": { "X-Api-Key": "k" },
    });
    let prepared = read(settings, false).unwrap();
    assert_eq!(prepared.uri, "https://example.com:8443/in?x=1");
    assert_eq!(prepared.host, "example.com");
    assert_eq!(prepared.headers()["host"], "example.com:8443");
    assert_eq!(prepared.headers()["authorization"], "Basic dXNlcjpwQHNz");
    assert_eq!(prepared.headers()["x-api-key"], "k");
    assert_eq!(prepared.headers()["user-agent"], "Agent/1");
    let expiries: Vec<_> = prepared.keys.iter().map(|signer| signer.expires).collect();
    assert_eq!(expiries, [None, Some(1_700_000_000)]);
    assert_eq!(format!("{prepared:?}"), "Prepared { host: \"example.com\", .. }");
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let settings = json!({
        "url": "ftp://example.com",
        "secret": "short",
        "previous_secrets": [{ "secret": 5 }],
        "headers": { "Content-Length": "5", "a b": "c", "X-A": 1, "X-B": "line\nbreak" },
        "secert": "x",
        "colour": "red",
        "timeuot": 5,
    });
    assert_eq!(
        wrong(settings),
        [
            "secert is not a setting of a webhook; did you mean `secret`?",
            "colour is not a setting of a webhook; there are `url`, `secret`, `previous_secrets`, `headers`",
            "timeuot is not a setting of a webhook; did you mean `timeout`?",
            "headers.Content-Length is set by Fanfare or by HTTP itself and cannot be given",
            "headers.a b is not a header name: letters, digits and `-` are allowed",
            "headers.X-A must be a text",
            "headers.X-B has characters that a header cannot have; use visible ASCII",
            "secret a secret must have 16 to 256 characters, this has 5",
            "previous_secrets.0.secret must be a text",
            "previous_secrets.0.expires must be the time until which it signs, in Unix seconds",
            "url must begin with https://",
        ]
    );
    assert_eq!(wrong(json!({})), ["secret is missing", "url is missing: https://host/path"]);
}

#[test]
fn plain_http_and_loopback_are_for_development() {
    for url in ["http://example.com/", "https://127.0.0.1/", "https://localhost:8443/"] {
        assert_eq!(wrong(with_url(url)).len(), 1, "{url}");
        assert!(read(with_url(url), true).is_ok(), "{url}");
    }
}

#[test]
fn an_address_is_seen_through_every_spelling() {
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "169.254.169.254",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "0",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "192.168.1.1",
        "[fe80::1]",
        "[fc00::1]",
        "100.64.0.1",
        "224.0.0.1",
    ] {
        let told = wrong(with_url(&format!("https://{host}/hook")));
        assert!(told[0].starts_with("url points to a"), "{host}: {told:?}");
    }
    for host in ["1.1.1.1", "[2606:4700::1111]", "example.com", "localhost.example.com"] {
        assert!(read(with_url(&format!("https://{host}/hook")), false).is_ok(), "{host}");
    }
}

#[test]
fn even_development_does_not_reach_metadata_services() {
    for host in
        ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "100.100.100.200"]
    {
        assert!(read(with_url(&format!("http://{host}/latest")), true).is_err(), "{host}");
    }
}

#[test]
fn urls_that_are_none_are_refused_without_repeating_them() {
    for url in
        ["", "example.com/hook", "https://", "https://[::1", "file:///etc/passwd", "javascript:1"]
    {
        let told = wrong(with_url(url));
        assert!(told.len() == 1 && told[0].starts_with("url "), "{url}: {told:?}");
    }
    assert_eq!(wrong(with_url(&format!("https://e/{}", "x".repeat(2048)))).len(), 1);
}

#[test]
fn authorization_is_given_once() {
    let twice = json!({
        "url": "https://u:p@example.com/", "secret": SECRET,
        "headers": { "Authorization": "Bearer t" },
    });
    assert_eq!(
        wrong(twice),
        ["headers.authorization is given twice: in `headers` and as user and password in `url`"]
    );
}

#[test]
fn too_many_headers_or_secrets_are_refused() {
    let many: Map<_, _> = (0..33).map(|n| (format!("X-{n}"), json!("v"))).collect();
    let long = json!({ "X-Long": "v".repeat(9000) });
    for headers in [json!(many), long, json!([]), json!("X: y")] {
        let told = wrong(json!({ "url": "https://e.com", "secret": SECRET, "headers": headers }));
        assert!(told.len() == 1 && told[0].starts_with("headers "), "{told:?}");
    }
    let secrets = vec![json!({ "secret": SECRET, "expires": 1 }); 5];
    let told =
        wrong(json!({ "url": "https://e.com", "secret": SECRET, "previous_secrets": secrets }));
    assert!(told[0].starts_with("previous_secrets must be a list of at most 4"), "{told:?}");
}

#[test]
fn what_is_shown_has_no_secret_in_it() {
    let settings = object(json!({
        "url": "https://user:hunter2@example.com/in",
        "secret": SECRET,
        "previous_secrets": [{ "secret": "an-older-secret-of-mine", "expires": 5 }],
        "headers": { "Authorization": "Bearer token" },
    }));
    let stars = "*".repeat(28);
    assert_eq!(
        Value::from(masked(&settings)),
        json!({
            "url": "https://user:********@example.com/in",
            "secret": format!("{stars}Hh8="),
            "previous_secrets": [{ "secret": format!("{stars}mine"), "expires": 5 }],
            "headers": { "Authorization": format!("{stars}****") },
        })
    );
    // Masking asks for nothing: what is wrong is masked too.
    let odd = object(json!({ "url": 5, "secret": { "env": "X" }, "previous_secrets": 1 }));
    assert_eq!(masked(&odd), odd);
    assert_eq!(masked(&object(json!({ "secret": 5 })))["secret"], format!("{stars}****"));
}
