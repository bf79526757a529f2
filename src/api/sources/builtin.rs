//! Alertmanager, Grafana and GitHub. The whole body becomes `data`.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;

use super::envelope::{Envelope, event_type, json};
use crate::event::Refusal;

/// The header in which a built-in source signs its body.
pub(super) fn signature_header(source: &str) -> Option<String> {
    match source {
        // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
        "github" => Some("x-hub-signature-256".to_owned()),
        // https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
        "grafana" => Some("x-grafana-alerting-signature".to_owned()),
        _ => None,
    }
}

/// A notification of Alertmanager. Grafana sends the same fields and more.
/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>
#[derive(Deserialize)]
struct Notification {
    status: String,
    #[serde(rename = "alerts")]
    _alerts: Vec<serde::de::IgnoredAny>,
}

/// One event for a notification, with the type `alertmanager.firing` or `alertmanager.resolved`. It
/// has no id of its own: a reminder has the same body as the first notification.
pub(super) fn alertmanager(source: &str, body: &Bytes) -> Result<Bytes, Refusal> {
    let data = json(body)?;
    let notification: Notification = serde_json::from_str(data.get()).map_err(|error| {
        let message = format!(
            "the body is not a notification of {source}: {error}; it must have `status` and `alerts`"
        );
        Refusal::new("wrong_type", message)
    })?;
    let kind = event_type(&format!("{source}.{}", notification.status))?;
    Ok(Envelope { kind, data: data.get(), ..Envelope::default() }.write())
}

/// One event for a webhook of GitHub, with a type such as `github.pull_request.opened`. A delivery
/// that GitHub repeats has the same id.
pub(super) fn github(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Refusal> {
    #[derive(Deserialize)]
    struct Hook {
        action: Option<String>,
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let event = header("x-github-event").ok_or_else(|| {
        let message = "the header `X-GitHub-Event` is missing; this path is for webhooks of GitHub";
        Refusal::new("missing_field", message)
    })?;
    let data = json(body).map_err(|refusal| {
        let message = format!(
            "{}; choose the content type application/json in the settings of the webhook",
            refusal.message
        );
        Refusal::new(refusal.code, message)
    })?;
    let action = serde_json::from_str::<Hook>(data.get()).ok().and_then(|hook| hook.action);
    let kind = match action {
        Some(action) => format!("github.{event}.{action}"),
        None => format!("github.{event}"),
    };
    let id = header("x-github-delivery").map(str::to_owned);
    let kind = event_type(&kind)?;
    Ok(Envelope { id, kind, data: data.get(), ..Envelope::default() }.write())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::*;

    fn event(written: Result<Bytes, Refusal>) -> Value {
        serde_json::from_slice(&written.expect("an event")).expect("JSON")
    }

    #[test]
    fn a_notification_of_alertmanager_is_one_event() {
        let body = json!({"status": "firing", "alerts": [{"status": "firing"}], "groupKey": "g"});
        let event = event(alertmanager("alertmanager", &body.to_string().into()));
        assert_eq!((&event["type"], &event["data"]), (&json!("alertmanager.firing"), &body));
        for wrong in ["{}", "[]", "1", r#"{"status":1,"alerts":[]}"#] {
            let refused = alertmanager("grafana", &wrong.into()).unwrap_err();
            assert_eq!(refused.code, "wrong_type", "{wrong}");
        }
    }

    #[test]
    fn a_webhook_of_github_has_its_delivery_as_id() {
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("x-github-event"), HeaderValue::from_static("pull_request")),
            (
                HeaderName::from_static("x-github-delivery"),
                HeaderValue::from_static("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ),
        ]);
        let found = event(github(&headers, &r#"{"action":"opened","number":1}"#.into()));
        assert_eq!(found["type"], "github.pull_request.opened");
        assert_eq!(found["id"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        let found = event(github(&headers, &r#"{"zen":"x"}"#.into()));
        assert_eq!(found["type"], "github.pull_request");
        let form = github(&headers, &"payload=%7B%7D".into()).unwrap_err();
        assert!(form.message.contains("application/json"), "{form}");
        assert_eq!(github(&HeaderMap::new(), &"{}".into()).unwrap_err().code, "missing_field");
    }
}
