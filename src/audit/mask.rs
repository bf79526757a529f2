//! Masks secrets in entries of the trail.
//!
//! Entries are written with masked settings. What counts as a secret grows, though: earlier versions
//! left the query strings of webhook URLs in the clear. So entries are masked again when they are
//! read, and `fanfare secrets rotate` masks them in the store.

use serde_json::{Map, Value};

use super::{COLLECTION, put_for, ttl_left};
use crate::tenant::{AuditEntry, DestinationSpec};
use fanfare_store::{Ms, Result, Store};

/// Entries read at once.
const AT_ONCE: usize = 500;

/// Returns a destination's settings with secrets masked.
pub type Masking<'a> = &'a (dyn Fn(&DestinationSpec) -> Map<String, Value> + Sync);

/// The entry with the secrets of destinations masked. What is masked already does not change.
pub fn masked(mut entry: AuditEntry, masking: Masking<'_>) -> AuditEntry {
    mask(&mut entry.before, masking);
    mask(&mut entry.after, masking);
    entry
}

/// Masks the entries of all owners in the store. Returns how many changed. Safe to repeat.
pub async fn mask_all(store: &Store, now: Ms, masking: Masking<'_>) -> Result<usize> {
    let (mut changed, mut after) = (0, None::<String>);
    loop {
        let found = store.records.list(COLLECTION, after.as_deref(), AT_ONCE).await?;
        for record in &found {
            let Ok(entry) = serde_json::from_slice::<AuditEntry>(&record.doc) else { continue };
            let masked = masked(entry.clone(), masking);
            if let Some((owner, _)) = record.id.split_once('/')
                && masked != entry
            {
                put_for(store, owner, &masked, false, ttl_left(&masked, now)).await?;
                changed += 1;
            }
        }
        match found.last() {
            Some(last) if found.len() == AT_ONCE => after = Some(last.id.clone()),
            _ => return Ok(changed),
        }
    }
}

/// Masks every destination in a resource: alone, in a document, or as the notification channels.
fn mask(value: &mut Value, masking: Masking<'_>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, masking)),
        Value::Object(map) => {
            if let (Some(Value::String(channel)), Some(Value::Object(settings))) =
                (map.get("channel"), map.get("settings"))
            {
                let shown = masking(&of_channel(channel, settings.clone()));
                map.insert("settings".to_owned(), shown.into());
                return;
            }
            if let Some(url @ Value::String(_)) = map.get("webhook_url") {
                let settings = Map::from_iter([("url".to_owned(), url.clone())]);
                if let Some(shown) = masking(&of_channel("webhook", settings)).remove("url") {
                    map.insert("webhook_url".to_owned(), shown);
                }
            }
            map.values_mut().for_each(|inner| mask(inner, masking));
        }
        _ => {}
    }
}

fn of_channel(channel: &str, fields: Map<String, Value>) -> DestinationSpec {
    DestinationSpec { id: String::new(), channel: channel.to_owned(), fields }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_of_an_earlier_version_is_masked_wherever_it_is() {
        let masking = |one: &DestinationSpec| {
            let mut shown = one.fields.clone();
            if one.channel == "webhook" {
                shown.insert("url".to_owned(), "https://h/x?********".into());
            }
            shown
        };
        let clear = json!({"url": "https://h/x?token=T", "rate": "5/s"});
        let shown = json!({"url": "https://h/x?********", "rate": "5/s"});
        for (before, after) in [
            (
                json!({"id": "a", "channel": "webhook", "settings": clear}),
                json!({"id": "a", "channel": "webhook", "settings": shown}),
            ),
            (
                json!({"destinations": [{"channel": "webhook", "settings": clear}], "routes": []}),
                json!({"destinations": [{"channel": "webhook", "settings": shown}], "routes": []}),
            ),
            (
                json!({"webhook_url": "https://h/x?token=T", "webhook_secret": "**"}),
                json!({"webhook_url": "https://h/x?********", "webhook_secret": "**"}),
            ),
            (json!({"webhook_url": null}), json!({"webhook_url": null})),
            (
                json!({"channel": "email", "settings": {"to": "a@b"}}),
                json!({"channel": "email", "settings": {"to": "a@b"}}),
            ),
            (Value::Null, Value::Null),
        ] {
            let mut value = before;
            mask(&mut value, &masking);
            assert_eq!(value, after);
            mask(&mut value, &masking);
            assert_eq!(value, after, "masking twice changes nothing more");
        }
    }
}
