//! A digest accounts for every event and stays small.

use std::time::Instant;

use fanfare_contract::{Content, Digest};

use super::*;

fn many(count: usize) -> Vec<Arc<Event>> {
    let decisions = ["approved", "rejected", "flagged"];
    let make = |n: usize| {
        let envelope = json!({
            "id": format!("evt_{n}"), "type": format!("kyc.session.{}", ["processed", "created"][n % 2]),
            "created": 1_735_200_000 + n as u64,
            "data": {
                "session_id": format!("s-{n}"), "final_decision": decisions[n % 3],
                "metadata": { "user_name": format!("Person {n}") }, "note": "x".repeat(300),
            },
        });
        Arc::new(samples::parse("acme", &envelope.to_string()).expect("it is an envelope"))
    };
    (0..count).map(make).collect()
}

#[test]
fn a_digest_of_the_samples_reads_well() {
    let events = samples::all().into_iter().map(Arc::new).collect();
    let [subject, html, text, slack] = parts(&ENGINE, &samples::digest("acme", events));
    let slack: Value = serde_json::from_str(&slack).unwrap();
    let slack = serde_json::to_string_pretty(&slack).unwrap();
    let html = visible(&html);
    insta::assert_snapshot!(format!(
        "{subject}\n\n===== text\n{text}\n===== HTML, as seen\n{html}\n\n===== Slack\n{slack}\n"
    ));
}

#[test]
fn a_digest_accounts_for_every_event_received() {
    let [subject, html, text, slack] = parts(&ENGINE, &samples::digest("acme", many(12)));
    assert_eq!(subject, "Acme Bank: 12 events, 26 Dec 2024 (Europe/Madrid)");
    for part in [&html, &text] {
        assert!(part.contains("16 received = 12 delivered + 3 suppressed + 1 failed"), "{part}");
        assert!(part.contains("Destination paused") && part.contains("Render failed"));
        assert!(part.contains("26 Dec 2024, 00:00 CET to 27 Dec 2024, 00:00 CET"));
    }
    assert!(slack.contains("*16* received = *12* delivered + *3* suppressed + *1* failed"));
}

#[test]
fn ten_thousand_events_are_one_small_mail() {
    let delivery = samples::digest("acme", many(10_000));
    let _ = &*ENGINE;
    let start = Instant::now();
    let [subject, html, text, slack] = parts(&ENGINE, &delivery);
    // Shown only. Tests do not assert times.
    println!("10,000 events: {:?}", start.elapsed());
    assert!(subject.contains("10\u{202f}000 events"));
    assert!(html.len() < 100_000 && text.len() < 20_000 && slack.len() < 20_000);
    assert!(text.contains("more in the attached CSV"));
}

#[test]
fn ten_thousand_kinds_of_events_are_one_small_mail_too() {
    let make = |n: usize| {
        let envelope = json!({
            "id": format!("evt_{n}"), "type": format!("custom.kind_{n}"), "created": n,
            "data": { "status": format!("s{n} <b>"), "name": "y".repeat(2000) },
        });
        Arc::new(samples::parse("acme", &envelope.to_string()).expect("it is an envelope"))
    };
    let events = (0..10_000).map(make).collect();
    let [_, html, text, slack] = parts(&ENGINE, &samples::digest("acme", events));
    assert!(html.len() < 150_000 && text.len() < 30_000 && slack.len() < 30_000);
    assert!(text.contains("Plus 9\u{202f}970 events of 9\u{202f}970 other types"), "{text}");
    assert!(!html.contains("<b>"));
}

#[test]
fn a_digest_can_be_empty_or_cover_several_days() {
    let [subject, ..] = parts(&ENGINE, &samples::digest("acme", Vec::new()));
    assert_eq!(subject, "Acme Bank: 0 events, 26 Dec 2024 (Europe/Madrid)");

    let mut delivery = samples::digest("acme", many(1));
    delivery.content = Content::Digest(Arc::new(Digest {
        id: "dig_1".into(),
        from_ms: 1_734_994_800_000,
        to_ms: 1_735_254_000_000,
        timezone: "Europe/Madrid".to_owned(),
        events: many(1),
        suppressed: Vec::new(),
        failed: Vec::new(),
    }));
    let [subject, _, text, _] = parts(&ENGINE, &delivery);
    assert_eq!(subject, "Acme Bank: 1 event, 24 Dec 2024 to 26 Dec 2024 (Europe/Madrid)");
    assert!(text.contains("1 received = 1 delivered + 0 suppressed + 0 failed"));
}
