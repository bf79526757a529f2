//! What the server says of itself, and which of Fanfare's promises that weakens.

use std::collections::HashMap;

use redis::Value;

use super::connection::{Batch, Link};
use super::keys::Tag;
use super::{Core, reply};
use crate::Result;

pub(super) async fn info(link: &Link) -> Result<HashMap<String, String>> {
    let text = reply::text(link.ask(Tag::Alone, redis::cmd("INFO")).await?)?;
    let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}

/// Managed servers often forbid CONFIG. INFO is used then.
pub(super) async fn settings(core: &Core) -> HashMap<String, String> {
    let mut settings = HashMap::new();
    for name in ["appendfsync", "save"] {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("GET").arg(name);
        let answer = core.link.run_once(&Batch::one(Tag::Alone, cmd)).await;
        let value = answer.ok().and_then(|mut values| values.pop());
        let Some(Value::Array(pair)) = value else { continue };
        if let Some(Ok(value)) = pair.into_iter().nth(1).map(reply::text) {
            settings.insert(name.to_owned(), value);
        }
    }
    settings
}

pub(super) fn durability(
    info: &HashMap<String, String>,
    settings: &HashMap<String, String>,
) -> Vec<String> {
    let is = |name: &str, value: &str| info.get(name).is_some_and(|found| found == value);
    let mut warnings = Vec::new();
    if is("aof_enabled", "1") {
        match settings.get("appendfsync").map(String::as_str) {
            Some("everysec") => warnings.push(
                "Redis writes its file once a second: a crash of the machine can lose the last \
                 second of accepted events (appendfsync always closes that gap)"
                    .to_owned(),
            ),
            Some("no") => warnings.push(
                "Redis leaves writing its file to the system: a crash of the machine can lose the \
                 last half minute of accepted events (set appendfsync to everysec or always)"
                    .to_owned(),
            ),
            Some(_) => {}
            None => warnings.push(
                "Redis does not say how it writes its file (CONFIG GET appendfsync is refused): with \
                 everysec, which is usual, a crash of its machine can lose the last second of \
                 accepted events"
                    .to_owned(),
            ),
        }
    } else if settings.get("save").is_some_and(|save| !save.is_empty()) {
        warnings.push(
            "Redis keeps snapshots only: a restart loses what was accepted since the last one \
             (set appendonly to yes)"
                .to_owned(),
        );
    } else {
        warnings.push(
            "Redis keeps nothing across a restart: accepted events are lost with it (set \
             appendonly to yes)"
                .to_owned(),
        );
    }
    match info.get("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => warnings.push(format!(
            "Redis may evict keys when its memory is full (maxmemory-policy {policy}): that loses \
             events (set noeviction)"
        )),
        _ => {}
    }
    if !is("evicted_keys", "0") && info.contains_key("evicted_keys") {
        warnings.push(
            "Redis has evicted keys: events or outcomes may be lost; set maxmemory-policy to \
             noeviction and run `fanfare audit`"
                .to_owned(),
        );
    }
    if is("aof_last_write_status", "err") || is("rdb_last_bgsave_status", "err") {
        warnings.push("Redis could not write to its disk lately: see its log".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn warnings_say_which_promise_does_not_hold() {
        let said = |info: &[_], settings: &[_]| durability(&map(info), &map(settings)).join("; ");
        assert!(said(&[], &[("save", "")]).contains("keeps nothing"));
        assert!(said(&[], &[]).contains("keeps nothing"));
        assert!(said(&[], &[("save", "3600 1")]).contains("snapshots only"));
        assert!(said(&[("aof_enabled", "1")], &[("appendfsync", "everysec")]).contains("second"));
        assert_eq!(said(&[("aof_enabled", "1")], &[("appendfsync", "always")]), "");
        assert!(said(&[("aof_enabled", "1")], &[]).contains("CONFIG GET appendfsync is refused"));
        let evicted = [("aof_enabled", "1"), ("evicted_keys", "7")];
        assert!(said(&evicted, &[("appendfsync", "always")]).contains("has evicted keys"));
        let evicting = [("aof_enabled", "1"), ("maxmemory_policy", "allkeys-lru")];
        assert!(said(&evicting, &[]).contains("noeviction"));
    }
}
