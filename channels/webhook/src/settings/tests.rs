//! Valid settings, and the errors of invalid ones.

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
fn valid_settings_are_prepared_for_all_attempts() {
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
fn all_errors_are_reported_together_with_their_fields() {
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
            "colour is not a setting of a webhook; the settings are `url`, `secret`, `previous_secrets`, `headers`, `retry_on`, `give_up_on`, `ca`",
            "timeuot is not a setting of a webhook; did you mean `timeout`?",
            "headers.Content-Length is set by Fanfare or by HTTP and cannot be changed; remove it",
            "headers.a b is not a header name; use letters, digits and `-`",
            "headers.X-A must be a string",
            "headers.X-B has characters that are not allowed in a header; use visible ASCII",
            "secret must have 16 to 256 characters, not 5",
            "previous_secrets.0.secret must be a string",
            "previous_secrets.0.expires must be the Unix time in seconds at which the secret expires",
            "url must start with https://",
        ]
    );
    let required = ["secret is required", "url is required, for example https://example.com/hook"];
    assert_eq!(wrong(json!({})), required);
}

#[test]
fn http_and_loopback_are_allowed_in_development_only() {
    for url in ["http://example.com/", "https://127.0.0.1/", "https://localhost:8443/"] {
        assert_eq!(wrong(with_url(url)).len(), 1, "{url}");
        assert!(read(with_url(url), true).is_ok(), "{url}");
    }
}

#[test]
fn a_special_address_is_refused_in_every_spelling() {
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
        let errors = wrong(with_url(&format!("https://{host}/hook")));
        assert!(errors[0].starts_with("url points to a"), "{host}: {errors:?}");
    }
    for host in ["1.1.1.1", "[2606:4700::1111]", "example.com", "localhost.example.com"] {
        assert!(read(with_url(&format!("https://{host}/hook")), false).is_ok(), "{host}");
    }
}

#[test]
fn metadata_services_are_refused_in_development_too() {
    for host in
        ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "100.100.100.200"]
    {
        assert!(read(with_url(&format!("http://{host}/latest")), true).is_err(), "{host}");
    }
}

#[test]
fn invalid_urls_are_refused() {
    for url in
        ["", "example.com/hook", "https://", "https://[::1", "file:///etc/passwd", "javascript:1"]
    {
        let errors = wrong(with_url(url));
        assert!(errors.len() == 1 && errors[0].starts_with("url "), "{url}: {errors:?}");
    }
    assert_eq!(wrong(with_url(&format!("https://e/{}", "x".repeat(2048)))).len(), 1);
}

#[test]
fn authorization_is_set_once() {
    let twice = json!({
        "url": "https://u:p@example.com/", "secret": SECRET,
        "headers": { "Authorization": "Bearer t" },
    });
    assert_eq!(
        wrong(twice),
        [
            "headers.authorization is set twice, also by the user and password in `url`; remove one of them"
        ]
    );
}

#[test]
fn too_many_headers_or_secrets_are_refused() {
    let many: Map<_, _> = (0..33).map(|n| (format!("X-{n}"), json!("v"))).collect();
    let long = json!({ "X-Long": "v".repeat(9000) });
    for headers in [json!(many), long, json!([]), json!("X: y")] {
        let errors = wrong(json!({ "url": "https://e.com", "secret": SECRET, "headers": headers }));
        assert!(errors.len() == 1 && errors[0].starts_with("headers "), "{errors:?}");
    }
    let secrets = vec![json!({ "secret": SECRET, "expires": 1 }); 5];
    let errors =
        wrong(json!({ "url": "https://e.com", "secret": SECRET, "previous_secrets": secrets }));
    assert!(errors[0].starts_with("previous_secrets must be a list of at most 4"), "{errors:?}");
}

#[test]
fn masked_settings_hold_no_secret() {
    let settings = object(json!({
        "url": "https://user:hunter2@example.com/in?token=T",
        "secret": SECRET,
        "previous_secrets": [{ "secret": "an-older-secret-of-mine", "expires": 5 }],
        "headers": { "Authorization": "Bearer token" },
    }));
    let stars = "*".repeat(28);
    assert_eq!(
        Value::from(masked(&settings)),
        json!({
            "url": "https://********@example.com/in?********",
            "secret": format!("{stars}Hh8="),
            "previous_secrets": [{ "secret": format!("{stars}mine"), "expires": 5 }],
            "headers": { "Authorization": format!("{stars}****") },
        })
    );
    // Invalid settings are masked too.
    let odd = object(json!({ "url": 5, "secret": { "env": "X" }, "previous_secrets": 1 }));
    assert_eq!(masked(&odd), odd);
    assert_eq!(masked(&object(json!({ "secret": 5 })))["secret"], format!("{stars}****"));
}
