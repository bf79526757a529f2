//! The options that every destination has, regardless of its channel.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Environment, FieldError, Policy, Rate};
use serde_json::{Map, Value, json};

use crate::agenda::{Calendar, Mode};

/// The names of the common options. Channels never see them.
pub(super) use fanfare_contract::OPTIONS as NAMES;

/// The common options of a destination.
pub struct Options {
    /// If false, its events are suppressed.
    pub enabled: bool,
    /// If true, its events wait.
    pub paused: bool,
    /// The environment of the events that it receives.
    pub environment: Environment,
    /// The channel's policy, with the destination's changes.
    pub policy: Arc<Policy>,
    /// How its queue is served.
    pub mode: Mode,
}

/// The common options as properties of a JSON Schema.
pub fn schema() -> Value {
    json!({
        "name": {"type": "string", "description": "A name for people."},
        "enabled": {
            "type": "boolean", "default": true,
            "description": "If false, its events are suppressed. The default is true.",
        },
        "paused": {
            "type": "boolean", "default": false, "description": "If true, its events wait.",
        },
        "environment": {
            "type": "string", "enum": ["live", "test"], "default": "live",
            "description": "The environment of the events that it receives. The default is `live`.",
        },
        "retry": {
            "type": "array", "maxItems": 50, "items": {"type": "string"},
            "description": "The waits between attempts, such as `5s` or `2h`. An empty list means a \
                            single attempt.",
        },
        "rate": {
            "oneOf": [{"type": "string", "pattern": "^[0-9]+ */ *[smh]$"}, {"const": false}],
            "description": "Most messages per second, minute or hour, such as `10/s`, or false for no \
                            limit.",
            "example": "10/s",
        },
        "concurrency": {
            "type": "integer", "minimum": 1, "maximum": 1024,
            "description": "Most attempts at the same time.",
        },
        "timeout": {
            "type": "string", "description": "How long an attempt may take, such as `10s`.",
        },
        "fifo": {
            "oneOf": [{"type": "boolean"}, {"const": "strict"}], "default": false,
            "description": "Whether events are delivered strictly in order. `strict` never gives up on \
                            the first one.",
        },
        "digest": {
            "type": "object", "required": ["schedule"], "additionalProperties": false,
            "description": "Collects events into one message per time of a schedule.",
            "properties": {
                "schedule": {
                    "type": "string", "description": "A cron expression.", "example": "0 8 * * 1-5",
                },
                "timezone": {
                    "type": "string", "default": "UTC", "description": "The IANA name of a time zone. The default is UTC.",
                    "example": "Europe/Madrid",
                },
            },
        },
        "disable_after": {
            "oneOf": [{"type": "string"}, {"const": false}],
            "description": "How long all attempts may fail before the destination is disabled, such \
                            as `5d`, or false for never.",
        },
    })
}

impl Options {
    /// Splits a destination's fields into common options and the channel's settings.
    pub fn read(
        fields: &Map<String, Value>,
        policy: &Arc<Policy>,
    ) -> (Result<Self, Vec<FieldError>>, Map<String, Value>) {
        let mut settings = fields.clone();
        let mut reader = Reader { errors: Vec::new() };
        let mut taken = |name: &str| settings.remove(name);
        let [
            _,
            enabled,
            paused,
            retry,
            rate,
            concurrency,
            fifo,
            digest,
            timeout,
            disable_after,
            environment,
        ] = NAMES.map(&mut taken);

        let changes = PolicyChanges { retry, rate, concurrency, timeout, disable_after };
        let mut policy = reader.policy(policy, changes);
        let fifo = fifo.is_some_and(|value| reader.fifo(&value, &mut policy));
        let calendar = digest.and_then(|value| reader.digest(&value));
        reader.check(
            !(fifo && calendar.is_some()),
            "fifo",
            "cannot be combined with `digest`, which keeps the order anyway; remove one of them",
        );
        let mode = match calendar {
            Some(calendar) => Mode::Digest(Box::new(calendar)),
            None if fifo => Mode::Fifo,
            None => Mode::Direct,
        };
        let options = Self {
            enabled: enabled.is_none_or(|value| reader.bool("enabled", &value)),
            paused: paused.is_some_and(|value| reader.bool("paused", &value)),
            environment: environment.map_or(Environment::Live, |value| reader.environment(&value)),
            policy,
            mode,
        };
        let result = if reader.errors.is_empty() { Ok(options) } else { Err(reader.errors) };
        (result, settings)
    }
}

/// The options that change the channel's policy.
struct PolicyChanges {
    retry: Option<Value>,
    rate: Option<Value>,
    concurrency: Option<Value>,
    timeout: Option<Value>,
    disable_after: Option<Value>,
}

/// Reads values and collects errors.
struct Reader {
    errors: Vec<FieldError>,
}

impl Reader {
    fn check(&mut self, right: bool, field: &str, message: &str) {
        if !right {
            self.errors.push(FieldError::new(field, message));
        }
    }

    /// The channel's policy with a destination's changes.
    fn policy(&mut self, policy: &Arc<Policy>, changes: PolicyChanges) -> Arc<Policy> {
        let PolicyChanges { retry, rate, concurrency, timeout, disable_after } = changes;
        let mut policy = Arc::clone(policy);
        if let Some(schedule) = retry.and_then(|value| self.retry(&value)) {
            let policy = Arc::make_mut(&mut policy);
            // Without retries, one request is sent and no other.
            policy.quick_retry &= !schedule.is_empty();
            policy.schedule = schedule;
        }
        if let Some(rate) = rate.and_then(|value| self.rate(&value)) {
            Arc::make_mut(&mut policy).rate = rate;
        }
        if let Some(value) = concurrency {
            let most = self.whole("concurrency", &value, 1..=1024).unwrap_or(1);
            Arc::make_mut(&mut policy).concurrency = most;
        }
        if let Some(value) = timeout {
            let limit = self.duration("timeout", &value).unwrap_or(policy.attempt_timeout);
            self.check(
                limit >= Duration::from_millis(100) && limit <= policy.attempt_timeout,
                "timeout",
                &format!("must be from \"100ms\" to \"{}s\"", policy.attempt_timeout.as_secs()),
            );
            Arc::make_mut(&mut policy).attempt_timeout = limit;
        }
        if let Some(value) = disable_after {
            Arc::make_mut(&mut policy).disable_after = self.disable_after(&value);
        }
        policy
    }

    fn bool(&mut self, field: &str, value: &Value) -> bool {
        self.check(value.is_boolean(), field, "must be true or false");
        value.as_bool().unwrap_or_default()
    }

    fn environment(&mut self, value: &Value) -> Environment {
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        self.check(parsed.is_some(), "environment", "must be \"live\" or \"test\"");
        parsed.unwrap_or_default()
    }

    fn whole(
        &mut self,
        field: &str,
        value: &Value,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        let number = number.filter(|number| range.contains(number));
        let message = format!("must be a whole number from {} to {}", range.start(), range.end());
        self.check(number.is_some(), field, &message);
        number
    }

    fn duration(&mut self, field: &str, value: &Value) -> Option<Duration> {
        let parsed = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        self.check(parsed.is_some(), field, "must be a duration such as \"30s\", \"5m\" or \"2h\"");
        parsed
    }

    /// `retry = ["5s", "1m"]`. An empty list means a single attempt.
    fn retry(&mut self, value: &Value) -> Option<Vec<Duration>> {
        let Some(list) = value.as_array().filter(|list| list.len() <= 50) else {
            self.check(
                false,
                "retry",
                "must be a list of at most 50 durations, such as [\"5s\", \"30s\", \"5m\"]",
            );
            return None;
        };
        let waits = list.iter().enumerate();
        waits.map(|(n, wait)| self.duration(&format!("retry[{n}]"), wait)).collect()
    }

    /// `true`: when the first delivery has used up its schedule, it becomes dead. `"strict"`: it
    /// blocks the others until it succeeds.
    fn fifo(&mut self, value: &Value, policy: &mut Arc<Policy>) -> bool {
        if value == "strict" {
            Arc::make_mut(policy).endless = true;
            let message = "must not be empty with `fifo = \"strict\"`, which repeats the last duration forever";
            self.check(!policy.schedule.is_empty(), "retry", message);
            return true;
        }
        let message = "must be true, false or \"strict\"";
        self.check(value.is_boolean(), "fifo", message);
        value.as_bool().unwrap_or_default()
    }

    /// `disable_after = "2d"`. `false` means never.
    fn disable_after(&mut self, value: &Value) -> Option<Duration> {
        if value == &Value::Bool(false) {
            return None;
        }
        let parsed = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        let parsed = parsed.filter(|period| *period >= Duration::from_mins(1));
        let message =
            "must be a duration of at least \"1m\", such as \"12h\" or \"5d\", or false for never";
        self.check(parsed.is_some(), "disable_after", message);
        parsed
    }

    /// `rate = "10/s"`, `"100/m"` or `"1000/h"`. `false` removes the channel's limit.
    #[expect(clippy::option_option, reason = "invalid, no limit, a limit")]
    fn rate(&mut self, value: &Value) -> Option<Option<Rate>> {
        if value == &Value::Bool(false) {
            return Some(None);
        }
        let parsed = value.as_str().and_then(|text| {
            let (messages, unit) = text.split_once('/')?;
            let messages = messages.trim().parse().ok().filter(|n| (1..=100_000).contains(n))?;
            let seconds = match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                _ => return None,
            };
            Some(Rate { messages, per: Duration::from_secs(seconds) })
        });
        self.check(
            parsed.is_some(),
            "rate",
            "must be messages per second, minute or hour, such as \"10/s\", \"100/m\" or \"1000/h\", or false for no limit",
        );
        parsed.map(Some)
    }

    /// `digest = { schedule = "0 8 * * 1-5", timezone = "Europe/Madrid" }`.
    fn digest(&mut self, value: &Value) -> Option<Calendar> {
        let example = "must be { schedule = \"0 8 * * 1-5\", timezone = \"Europe/Madrid\" }";
        let Some(map) = value.as_object() else {
            self.check(false, "digest", example);
            return None;
        };
        for key in map.keys().filter(|key| !["schedule", "timezone"].contains(&key.as_str())) {
            self.check(
                false,
                &format!("digest.{key}"),
                "is unknown; use `schedule` and `timezone`",
            );
        }
        let text = |key: &str| map.get(key).map(|value| value.as_str().unwrap_or_default());
        let Some(schedule) = text("schedule") else {
            self.check(false, "digest.schedule", example);
            return None;
        };
        match Calendar::parse(schedule, text("timezone").unwrap_or("UTC")) {
            Ok(calendar) => Some(calendar),
            Err(error) => {
                let field = match error {
                    crate::agenda::CalendarError::Cron(..) => "digest.schedule",
                    crate::agenda::CalendarError::Zone(_) => "digest.timezone",
                };
                self.check(false, field, &error.to_string());
                None
            }
        }
    }
}
