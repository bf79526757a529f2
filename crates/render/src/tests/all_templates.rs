//! Every template on every sample. The snapshots are there to be read.

use super::*;

/// Everything that a reader sees of one delivery, in every channel.
fn shown(delivery: &Delivery) -> String {
    let [subject, html, text, slack] = parts(&ENGINE, delivery);
    let slack: Value = serde_json::from_str(&slack).expect("it is JSON");
    let slack = serde_json::to_string_pretty(&slack).expect("it is JSON");
    let html = visible(&html);
    format!(
        "{subject}\n\n===== text\n{text}\n===== HTML, as seen\n{html}\n\n===== Slack\n{slack}\n"
    )
}

#[test]
fn every_sample_reads_well_in_every_channel() {
    for event in samples::all() {
        let name = format!("{}.{}", event.kind, event.id);
        insta::assert_snapshot!(name, shown(&samples::delivery(Arc::new(event))));
    }
}

#[test]
fn a_type_without_a_template_reads_well_too() {
    let data = json!({
        "order_id": "ord_77", "status": "PARTIALLY_SHIPPED", "customerName": "大久保 ジェーン",
        "shipped_at": "2024-12-26T16:00:00Z", "duration_ms": 184_220, "express": false, "nothing": null,
        "metadata": { "source": "shop" },
        "address": { "city": "Madrid", "geo": { "lat": 40.4, "lon": -3.7 } },
        "tags": ["a", "b"], "items": [{ "sku": "x1", "count": 2 }, { "sku": "x2", "count": 1 }],
        "empty": {}, "none": [],
    });
    insta::assert_snapshot!(shown(&event("acme", "shop.order.shipped_late", &data)));
}

#[test]
fn the_html_of_a_mail_is_this() {
    let delivery =
        samples::delivery(Arc::new(samples::sample("kyc.session.manual_review").unwrap()));
    insta::assert_snapshot!(one(&ENGINE, &delivery, Part::Html).unwrap());
}

#[test]
fn every_event_type_of_the_samples_has_its_own_templates() {
    let names: Vec<String> = ENGINE.names("acme").into_iter().map(|listed| listed.name).collect();
    for event in samples::all() {
        for name in ["email/*/subject", "email/*/html", "email/*/text", "slack/*"] {
            let name = name.replace('*', &event.kind);
            assert!(names.contains(&name), "{name}");
        }
    }
}

#[test]
fn a_mail_loads_nothing_remote_and_is_accessible() {
    for event in samples::all() {
        let html = one(&ENGINE, &samples::delivery(Arc::new(event)), Part::Html).unwrap();
        for remote in ["src=", "url(", "@import", "<link", "<script", "<img", "googleapis"] {
            assert!(!html.contains(remote), "{remote}");
        }
        // Only the XML namespace and the button have addresses.
        let links = html.matches("://").count();
        let known = html.matches("http://www.w3.org/1999/xhtml").count()
            + html.matches("href=\"https://backoffice.acme.example/").count();
        assert_eq!(links, known, "a link that is not configured");
        assert!(html.starts_with("<!doctype html><html lang=\"en\" dir=\"ltr\""));
        assert!(html.contains("prefers-color-scheme: dark"));
        assert!(html.contains("<h1") && html.contains("scope=\"row\""));
        assert!(html.len() < 100_000, "Gmail clips mails above 102 kB");
    }
}

#[test]
fn slack_messages_stay_well_inside_the_limits() {
    for event in samples::all() {
        let slack = one(&ENGINE, &samples::delivery(Arc::new(event)), Part::Slack).unwrap();
        let slack: Value = serde_json::from_str(&slack).unwrap();
        let blocks = slack["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 25);
        let length = |value: &Value| value["text"].as_str().map_or(0, |text| text.chars().count());
        for block in blocks {
            assert!(length(&block["text"]) <= if block["type"] == "header" { 150 } else { 2000 });
            if let Some(fields) = block.get("fields") {
                let fields = fields.as_array().unwrap();
                assert!((1..=10).contains(&fields.len()), "{block}");
                assert!(fields.iter().all(|field| length(field) <= 1000));
            }
        }
        assert!(slack["text"].as_str().unwrap().chars().count() <= 1000);
    }
}

#[test]
fn a_button_is_there_only_where_a_link_is_configured() {
    let bare = Engine::builtin().unwrap();
    let delivery =
        samples::delivery(Arc::new(samples::sample("kyc.session.manual_review").unwrap()));
    let [_, html, text, slack] = parts(&bare, &delivery);
    assert!(!html.contains("<a ") && !text.contains("http") && !slack.contains("\"actions\""));

    let [_, html, text, slack] = parts(&ENGINE, &delivery);
    let session = "https://backoffice.acme.example/sessions/2d1f0a10-8a6f-4a43-a0ef-5c2f4c1d7e02";
    assert!(html.contains(&format!("href=\"{session}\"")) && text.contains(session));
    let slack: Value = serde_json::from_str(&slack).unwrap();
    let actions =
        slack["blocks"].as_array().unwrap().iter().find(|b| b["type"] == "actions").unwrap();
    assert_eq!(actions["elements"][0]["url"], session);
    // An address in JSON is not mrkdwn, so its `&` is not escaped.
    assert_eq!(actions["elements"][1]["url"], "https://backoffice.acme.example/?from=mail&to=kyc");
}

#[test]
fn only_the_id_of_the_subject_is_required() {
    let required = ["session_id", "watchlist_id", "job_id", "destination", "delivery"];
    for sample in samples::all() {
        let Value::Object(fields) = data_of(&sample) else { panic!("data is an object") };
        for key in fields.keys() {
            for absent in [None, Some(Value::Null)] {
                let mut data = fields.clone();
                match absent {
                    None => drop(data.shift_remove(key)),
                    Some(null) => drop(data.insert(key.clone(), null)),
                }
                let delivery = event("acme", &sample.kind, &Value::Object(data));
                for part in PARTS {
                    match one(&ENGINE, &delivery, part) {
                        Ok(_) => {}
                        Err(error) => {
                            assert!(required.contains(&key.as_str()), "{}: {error}", sample.kind);
                            assert_eq!(error.field, Some(format!("data.{key}")), "{error}");
                        }
                    }
                }
            }
        }
    }
}
