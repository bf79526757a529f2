//! "Did you mean …?": the known word that is most similar to an unknown one.

/// The options that every destination has, whatever its channel. The router reads them.
pub const OPTIONS: [&str; 11] = [
    "name",
    "enabled",
    "paused",
    "retry",
    "rate",
    "concurrency",
    "fifo",
    "digest",
    "timeout",
    "disable_after",
    "environment",
];

/// The most similar word in `known`, if it is similar enough.
pub fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.82)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The suggestion as the end of a sentence: `; did you mean …?`, or an empty text.
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    closest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The message for a setting that a channel does not have.
pub fn unknown_setting(channel: &str, field: &str, known: &[&str]) -> String {
    match did_you_mean(field, known.iter().chain(&OPTIONS).copied()) {
        hint if hint.is_empty() => {
            format!("is not a setting of {channel}; the settings are `{}`", known.join("`, `"))
        }
        hint => format!("is not a setting of {channel}{hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_word_is_suggested_and_others_are_not() {
        for (word, near) in [("retires", "retry"), ("Rate", "rate"), ("enabeld", "enabled")] {
            assert_eq!(did_you_mean(word, OPTIONS), format!("; did you mean `{near}`?"));
        }
        assert_eq!(did_you_mean("colour", OPTIONS), "");
        let message = unknown_setting("a webhook", "zzz", &["url"]);
        assert_eq!(message, "is not a setting of a webhook; the settings are `url`");
    }
}
