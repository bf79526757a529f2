//! The settings of destinations in the description: typed for each channel. A destination is a
//! union of one schema per channel, which `channel` discriminates.
//!
//! The handlers check a destination's settings with the channel itself, because its messages are
//! better than those of a schema. So the settings are free-form in the handlers' own schemas.

use serde_json::{Map, Value, json};

use crate::tenant::{self, Channels};

/// The schemas with the fields `channel` and `settings`.
const UNIONS: [&str; 4] =
    ["Destination", "NewDestination", "DestinationReplacement", "DocumentDestination"];

/// Turns the schemas of destinations into unions.
pub(super) fn complete(schemas: &mut Map<String, Value>, channels: &Channels) {
    let channels: Vec<_> = channels.all().map(|entry| &entry.channel).collect();
    schemas.insert(
        "DestinationOptions".to_owned(),
        json!({
            "type": "object", "description": "The options that every destination has.",
            "properties": tenant::options_schema(),
        }),
    );
    for channel in &channels {
        let own = channel.settings_schema();
        let options = json!({"$ref": "#/components/schemas/DestinationOptions"});
        let settings = json!({"allOf": [options, own], "unevaluatedProperties": false});
        schemas.insert(format!("{}Settings", title(channel.name())), settings);
    }
    for name in UNIONS {
        let Some(mut rest) = schemas.get(name).cloned() else { continue };
        let about = rest["description"].take();
        for field in ["channel", "settings"] {
            if let Some(fields) = rest["properties"].as_object_mut() {
                fields.shift_remove(field);
            }
            if let Some(names) = rest["required"].as_array_mut() {
                names.retain(|name| name != field);
            }
        }
        let mut mapping = Map::new();
        for channel in &channels {
            let title = title(channel.name());
            let variant = name.replace("Destination", &format!("{title}Destination"));
            let settings = json!({"$ref": format!("#/components/schemas/{title}Settings")});
            let mut schema = json!({
                "type": "object", "required": ["channel", "settings"],
                "properties": {"channel": {"const": channel.name()}, "settings": settings},
            });
            add(&mut schema, &rest);
            schemas.insert(variant.clone(), schema);
            mapping.insert(
                channel.name().to_owned(),
                format!("#/components/schemas/{variant}").into(),
            );
        }
        let variants: Vec<_> = mapping.values().map(|place| json!({"$ref": place})).collect();
        let union = json!({
            "oneOf": variants,
            "discriminator": {"propertyName": "channel", "mapping": mapping},
            "description": about,
        });
        schemas.insert(name.to_owned(), union);
        if is_large(&rest) {
            rest["description"] = "What destinations of all channels have.".into();
            rest.as_object_mut().map(|rest| rest.shift_remove("additionalProperties"));
            schemas.insert(format!("{name}Base"), rest);
        }
    }
}

/// Whether the fields of all channels get a schema of their own.
fn is_large(rest: &Value) -> bool {
    rest["properties"].as_object().is_some_and(|fields| fields.len() > 1)
}

/// Adds the fields of all channels to those of one.
fn add(schema: &mut Value, rest: &Value) {
    if is_large(rest) {
        let base = json!({"$ref": "#/components/schemas/DestinationBase"});
        *schema = json!({"allOf": [base, schema.take()]});
        return;
    }
    for (name, field) in rest["properties"].as_object().into_iter().flatten() {
        schema["properties"][name] = field.clone();
    }
    let required = rest["required"].as_array().into_iter().flatten().cloned();
    if let Some(all) = schema["required"].as_array_mut() {
        all.extend(required);
    }
    schema["additionalProperties"] = false.into();
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
