//! Masked values of a webhook and of Slack, with the same receiver and with another one.

use serde_json::json;

use super::*;

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("not an object: {value}") };
    map
}

fn stored() -> Map<String, Value> {
    map(json!({
        "url": "https://a.example/in?x=1",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "previous_secrets": [{"secret": "an-older-secret-of-mine", "expires": 5}],
        "headers": {"X-Api-Key": "S", "X-Team": "T"},
        "rate": "5/s",
    }))
}

/// A channel whose receiver is the host of `url`, and which masks as webhooks do.
struct Hooks;

impl Channel for Hooks {
    fn name(&self) -> &'static str {
        "webhook"
    }
    fn policy(&self) -> fanfare_contract::Policy {
        unreachable!("nothing is sent")
    }
    fn prepare(
        &self,
        _: &Map<String, Value>,
    ) -> Result<Vec<fanfare_contract::PreparedLane>, Vec<FieldError>> {
        Ok(Vec::new())
    }
    fn secret_fields(&self) -> &'static [&'static str] {
        &["url", "secret", "previous_secrets", "headers"]
    }
    fn signing_fields(&self) -> &'static [&'static str] {
        &["secret", "previous_secrets"]
    }
    fn receiver(&self, settings: &Map<String, Value>) -> Option<String> {
        let url = settings.get("url")?.as_str()?;
        Some(url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"))
    }
    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        let mut shown = settings.clone();
        let mask = Value::from("*".repeat(28));
        shown["secret"] = mask.clone();
        shown["previous_secrets"][0]["secret"] = mask.clone();
        for value in shown["headers"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            *value = mask.clone();
        }
        shown
    }
    fn service(&self) -> fanfare_contract::ChannelService {
        unreachable!("nothing is sent")
    }
}

fn put(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Map<String, Value>, Vec<String>> {
    let old = stored();
    let mut new = Hooks.masked(&old);
    change(&mut new);
    let restored = SecretsChange { old: &old, given: None }.restore(&Hooks, &mut new);
    let fields = |errors: Vec<FieldError>| errors.into_iter().map(|error| error.field).collect();
    restored.map(|()| new).map_err(fields)
}

#[test]
fn masked_values_stand_for_the_stored_ones_while_the_receiver_is_the_same() {
    assert_eq!(put(|_| ()), Ok(stored()));
    let path = put(|new| new["url"] = "https://a.example/other".into()).unwrap();
    assert_eq!(path["headers"]["X-Api-Key"], "S");
    assert_eq!(path["secret"], stored()["secret"]);
}

#[test]
fn no_stored_secret_goes_to_a_new_receiver() {
    let all =
        ["secret", "previous_secrets.0.secret", "headers.X-Api-Key", "headers.X-Team"].as_slice();
    for url in ["https://b.example/in?x=1", "http://a.example/in?x=1", "https://a.example:8443/"] {
        assert_eq!(put(|new| new["url"] = url.into()).unwrap_err(), all, "{url}");
    }
    // A secret that is given in full may go there, even if it is the stored one.
    let given = put(|new| {
        *new = stored();
        new["url"] = "https://b.example/".into();
    });
    assert_eq!(given.unwrap()["headers"]["X-Api-Key"], "S");
}

#[test]
fn a_signing_secret_that_a_patch_omits_is_dropped_with_its_receiver() {
    let old = stored();
    let given = map(json!({"url": "https://b.example/", "headers": null}));
    let mut new = Hooks.masked(&old);
    new["url"] = given["url"].clone();
    new.shift_remove("headers");
    SecretsChange { old: &old, given: Some(&given) }.restore(&Hooks, &mut new).unwrap();
    assert_eq!(Value::Object(new), json!({"url": "https://b.example/", "rate": "5/s"}));
}
