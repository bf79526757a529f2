//! The mail of a digest, and its CSV file.

use std::sync::Arc;

use fanfare_contract::{Content, Digest, Event, Receipt};
use fanfare_receivers::SmtpReceiver;
use mail_parser::MimeHeaders as _;
use serde_json::{Value, json};

use crate::support::{AT_MS, SOON, channel, delivery_of, event, header, parse, send};

/// Sends a digest of the events. Returns the receipt and the file's name and rows.
async fn rows(events: Vec<Arc<Event>>, timezone: &str) -> (Receipt, String, Vec<Vec<String>>) {
    let digest = Digest {
        id: "dig_1".into(),
        from_ms: AT_MS - 86_400_000,
        to_ms: AT_MS,
        timezone: timezone.into(),
        events,
        suppressed: Vec::new(),
        failed: Vec::new(),
    };
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = channel(&receiver);
    let to = json!({"to": "a@b.example"});
    let delivery = delivery_of(&channel, to, Content::Digest(Arc::new(digest)));
    let receipt = send(&channel, &delivery).await.unwrap();

    let mail = receiver.wait_for(1, SOON).await.remove(0);
    let message = parse(&mail);
    assert!(message.is_content_type("multipart", "mixed"));
    assert_eq!(message.body_text(0).unwrap().trim_end(), "Hello");
    assert_eq!(message.body_html(0).unwrap().trim_end(), "<p>Hello</p>");
    assert_eq!(header(&message, "X-Fanfare-Event-ID"), "dig_1");
    assert_eq!(header(&message, "X-Fanfare-Event-Type"), "fanfare.digest");
    assert!(message.header_raw("References").is_none());
    assert_eq!(message.attachment_count(), 1);
    let file = message.attachment(0).unwrap();
    assert!(file.is_content_type("text", "csv"));
    assert!(file.content_disposition().unwrap().is_attachment());
    let name = file.attachment_name().unwrap().to_owned();

    let content = std::str::from_utf8(file.contents()).unwrap();
    let content = content.strip_prefix('\u{feff}').expect("a byte-order mark, for Excel");
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content.as_bytes());
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
    (receipt, name, rows.collect())
}

fn at(ms: i64, id: &str, data: &Value) -> Arc<Event> {
    let body = json!({"id": id, "type": "a.b", "created": 0, "data": data}).to_string();
    Arc::new(Event::new("acme".into(), id.into(), "a.b".into(), ms / 1000 - 5, ms, body.into()))
}

#[tokio::test]
async fn numbers_are_cells_as_the_producer_wrote_them() {
    let numbers = ["12345678901234567890123", "300.00000000000001", "1e-400", "-1.50", "1E5"];
    let fields =
        numbers.iter().zip("abcde".chars()).map(|(number, key)| format!("\"{key}\":{number}"));
    let data = fields.collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"id":"evt_1","type":"a.b","data":{{{data},"list":[1.50,2e0]}}}}"#);
    let event = Event::new("acme".into(), "evt_1".into(), "a.b".into(), 0, AT_MS, body.into());
    let (_, _, rows) = rows(vec![Arc::new(event)], "UTC").await;
    assert_eq!(rows[1][4..9], numbers);
    assert_eq!(rows[1][9], "1.50; 2e0");
}

#[tokio::test]
async fn every_event_is_a_row_with_the_union_of_all_fields() {
    let (receipt, name, rows) = rows(
        vec![
            at(AT_MS, "evt_1", &json!({
                "status": "APPROVED", "risk": -12.5, "metadata": {"user": "Jane Ōkubo"}, "none": null,
            })),
            at(AT_MS + 1, "evt_2", &json!({
                "flags": ["address", "PEP", 3], "status": "a \"b\",\nc", "ok": true, "objects": [{}],
            })),
            at(AT_MS + 2, "evt_3", &json!("just text")),
        ],
        "Europe/Madrid",
    )
    .await;
    assert_eq!(receipt.remark, None);
    assert_eq!(name, "events-2024-12-26.csv");
    assert_eq!(
        rows,
        [
            vec![
                "received_at",
                "event_id",
                "type",
                "created",
                "data.status",
                "data.risk",
                "data.metadata.user",
                "data.flags",
                "data.ok",
            ],
            vec![
                "2024-12-26T17:05:25.000+01:00",
                "evt_1",
                "a.b",
                "2024-12-26T17:05:20+01:00",
                "APPROVED",
                "-12.5",
                "Jane Ōkubo",
                "",
                "",
            ],
            vec![
                "2024-12-26T17:05:25.001+01:00",
                "evt_2",
                "a.b",
                "2024-12-26T17:05:20+01:00",
                "a \"b\",\nc",
                "",
                "",
                "address; PEP; 3",
                "true",
            ],
            vec![
                "2024-12-26T17:05:25.002+01:00",
                "evt_3",
                "a.b",
                "2024-12-26T17:05:20+01:00",
                "",
                "",
                "",
                "",
                "",
            ],
        ]
    );
}

#[tokio::test]
async fn an_unknown_time_zone_is_utc() {
    let (_, _, rows) = rows(vec![event("evt_1", "a.b", &json!({}))], "Mars/Olympus").await;
    assert_eq!(rows[1][0], "2024-12-26T16:05:25.000Z");
}

#[tokio::test]
async fn no_cell_starts_a_formula() {
    let evil = ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", ";=1", " \"=1"];
    let mut events: Vec<_> =
        evil.iter().map(|text| event("evt", "a.b", &json!({"v": text, "l": [text]}))).collect();
    events.push(event("=id", "=kind", &json!({"=key": 1})));
    let (_, _, rows) = rows(events, "UTC").await;
    for (row, text) in rows[1..].iter().zip(evil) {
        assert_eq!(row[4], format!("'{text}"));
        assert_eq!(row[5], format!("'{text}"));
    }
    let last = rows.last().unwrap();
    assert_eq!((last[1].as_str(), last[2].as_str()), ("'=id", "'=kind"));
    for cell in rows.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
    }
}

#[tokio::test]
async fn numbers_and_telephone_numbers_are_left_alone() {
    let data = json!({"amount": "-5.00", "phone": "+34 600 111 222", "number": -7});
    let (_, _, rows) = rows(vec![event("evt", "a.b", &data)], "UTC").await;
    assert_eq!(rows[1][4..], ["-5.00", "+34 600 111 222", "-7"]);
}

#[tokio::test]
async fn rows_are_bounded_and_the_receipt_has_a_remark() {
    let wide: serde_json::Map<_, _> =
        (0..200).map(|n| (format!("f{n}"), json!("x".repeat(6_000)))).collect();
    let (receipt, _, table) = rows(vec![event("evt", "a.b", &wide.into())], "UTC").await;
    assert_eq!(table[0].len(), 4 + 64);
    assert_eq!(table[1][4].chars().count(), 4_097);
    assert_eq!(receipt.remark.unwrap(), "the CSV file has only the first 64 fields");
}
