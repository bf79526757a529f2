//! The message that arrives, as an independent parser reads it.

use std::sync::Arc;

use fanfare_contract::{Content, RenderError, Templates, Verdict};
use fanfare_email::{Config, EmailChannel};
use fanfare_receivers::SmtpReceiver;
use mail_parser::MimeHeaders as _;
use serde_json::json;

use crate::support::{
    Fixed, SOON, arrived, channel, config, delivery, delivery_of, event, header, parse, resolver,
    send,
};

#[tokio::test]
async fn a_mail_has_text_html_and_all_headers() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let config = Config {
        reply_to: Some("Help <help@fanfare.example>".into()),
        unsubscribe_url: Some("https://fanfare.example/u/{token}?x=1".into()),
        ..config(receiver.addr())
    };
    let channel =
        EmailChannel::new(config, Fixed::new("Risk 71", "<p>Risk</p>", "Risk\n71"), resolver())
            .unwrap();
    let delivery = delivery(&channel, "evt_1", &json!({"session_id": "s1"}));
    let receipt = send(&channel, &delivery).await.unwrap();
    assert_eq!((receipt.status, receipt.remote_id.as_deref()), (Some(250), Some("T1")));

    let mail = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(mail.from, "notifications@fanfare.example");
    assert_eq!(mail.to, ["jane.smith@acme.example"]);
    let message = parse(&mail);
    assert_eq!(message.subject(), Some("Risk 71"));
    assert_eq!(header(&message, "From"), "Fanfare <notifications@fanfare.example>");
    assert_eq!(header(&message, "Reply-To"), "Help <help@fanfare.example>");
    assert_eq!(header(&message, "To"), "jane.smith@acme.example");
    assert_eq!(header(&message, "Date"), "Thu, 26 Dec 2024 16:05:25 +0000");
    assert_eq!(header(&message, "MIME-Version"), "1.0");
    assert_eq!(header(&message, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&message, "X-Fanfare-Event-ID"), "evt_1");
    assert_eq!(header(&message, "X-Fanfare-Event-Type"), "kyc.session.processed");
    assert_eq!(header(&message, "X-Fanfare-Delivery-ID"), delivery.id.as_str());
    let link = format!("<https://fanfare.example/u/{}?x=1>", delivery.id);
    assert_eq!(header(&message, "List-Unsubscribe"), link);
    assert_eq!(header(&message, "List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    assert!(message.header_raw("Sender").is_none());

    assert!(message.is_content_type("multipart", "alternative"));
    let kinds: Vec<_> = message.parts[0].sub_parts().unwrap().to_vec();
    assert!(message.parts[kinds[0] as usize].is_content_type("text", "plain"));
    assert!(message.parts[kinds[1] as usize].is_content_type("text", "html"));
    assert_eq!(message.body_text(0).unwrap().trim_end(), "Risk\r\n71");
    assert_eq!(message.body_html(0).unwrap().trim_end(), "<p>Risk</p>");
}

#[tokio::test]
async fn every_attempt_is_the_same_message() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = channel(&receiver);
    let first = delivery(&channel, "evt_1", &json!({}));
    let mut second = first.clone();
    second.attempt = 2;
    send(&channel, &first).await.unwrap();
    send(&channel, &second).await.unwrap();
    let other = delivery(&channel, "evt_2", &json!({}));
    send(&channel, &other).await.unwrap();
    let mails = receiver.wait_for(3, SOON).await;
    assert_eq!(mails[0].data, mails[1].data);
    let id = |index: usize| parse(&mails[index]).message_id().unwrap().to_owned();
    assert!(id(0).starts_with(&format!("{}.", first.id)), "{}", id(0));
    assert!(id(0).ends_with("@fanfare.example"));
    assert_ne!(id(0), id(2));
}

#[tokio::test]
async fn mail_about_one_session_is_one_conversation() {
    let data = json!({"job_id": 7, "session_id": "2d1f"});
    let same = json!({"session_id": "2d1f"});
    let job = json!({"job_id": 7});
    let mut threads = Vec::new();
    for data in [&data, &same, &job] {
        let mail = arrived(Fixed::hello(), data).await;
        let message = parse(&mail);
        assert_eq!(header(&message, "References"), header(&message, "In-Reply-To"));
        threads.push(header(&message, "References"));
    }
    assert_eq!(threads[0], threads[1]);
    assert_ne!(threads[0], threads[2]);
    assert!(threads[0].starts_with("<thread.") && threads[0].ends_with("@fanfare.example>"));
    let none = arrived(Fixed::hello(), &json!({"session_id": ""})).await;
    assert!(parse(&none).header_raw("References").is_none());
}

#[tokio::test]
async fn letters_of_every_language_arrive_intact() {
    let subject =
        "Prüfung für 大久保 Ōkubo: ¡atención! 🎉 Съешь же ещё этих мягких французских булок";
    let text = "Größe\n大久保 — Ōkubo\nالعربية\n🎉\n";
    let html = "<p>Größe 大久保 &amp; Ōkubo 🎉</p>";
    let receiver = SmtpReceiver::ok().await.unwrap();
    let templates = Fixed::new(subject, html, text);
    let channel = EmailChannel::new(config(receiver.addr()), templates, resolver()).unwrap();
    let to = json!({"to": "Jörg \"大\" Müller <jm@bücher.example>", "from": "Banco Ñandú, S.A."});
    let content = Content::Event(event("evt_1", "kyc.prüfung", &json!({})));
    send(&channel, &delivery_of(&channel, to, content)).await.unwrap();

    let mail = receiver.wait_for(1, SOON).await.remove(0);
    assert!(mail.data.is_ascii(), "every server accepts it");
    assert_eq!(mail.to, ["jm@xn--bcher-kva.example"]);
    let message = parse(&mail);
    assert_eq!(message.subject(), Some(subject));
    assert_eq!(message.body_text(0).unwrap().replace("\r\n", "\n"), text);
    let reference =
        |c: char| if c.is_ascii() { c.to_string() } else { format!("&#{};", u32::from(c)) };
    assert_eq!(message.body_html(0).unwrap(), html.chars().map(reference).collect::<String>());
    let to = message.to().unwrap().first().unwrap();
    assert_eq!(to.name(), Some("Jörg \"大\" Müller"));
    assert_eq!(to.address(), Some("jm@xn--bcher-kva.example"));
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(from.name(), Some("Banco Ñandú, S.A."));
    assert_eq!(from.address(), Some("notifications@fanfare.example"));
}

#[tokio::test]
async fn a_destinations_sender_is_shown_with_the_operator_in_sender() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = channel(&receiver);
    let to = json!({
        "to": "a@b.example",
        "from": "\"Acme, Inc.\" <kyc@acme.example>",
        "reply_to": "r@acme.example",
    });
    let content = Content::Event(event("evt_1", "a.b", &json!({})));
    send(&channel, &delivery_of(&channel, to, content)).await.unwrap();
    let mail = receiver.wait_for(1, SOON).await.remove(0);
    let message = parse(&mail);
    let from = message.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Acme, Inc."), Some("kyc@acme.example")));
    assert_eq!(header(&message, "Sender"), "Fanfare <notifications@fanfare.example>");
    assert_eq!(header(&message, "Reply-To"), "r@acme.example");
    assert_eq!(mail.from, "notifications@fanfare.example", "bounces go to the operator");
}

#[tokio::test]
async fn no_text_of_an_event_injects_a_header() {
    let evil = "Hi\r\nBcc: victim@x.example\r\n\r\nbody\u{2028}X-Evil: 1\nX-Evil: 2";
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel =
        EmailChannel::new(config(receiver.addr()), Fixed::new(evil, "<p></p>", "x"), resolver())
            .unwrap();
    let content = Content::Event(event(evil, evil, &json!({"session_id": evil})));
    send(&channel, &delivery_of(&channel, json!({"to": "a@b.example"}), content)).await.unwrap();
    let mail = receiver.wait_for(1, SOON).await.remove(0);
    let message = parse(&mail);
    assert_eq!(message.subject(), Some("Hi Bcc: victim@x.example body X-Evil: 1 X-Evil: 2"));
    assert!(message.bcc().is_none());
    assert!(message.header_raw("X-Evil").is_none());
    assert_eq!(mail.to, ["a@b.example"]);
    assert_eq!(message.body_text(0).unwrap().trim_end(), "x");
}

#[tokio::test]
async fn headers_are_bounded() {
    let long = "x".repeat(5_000);
    let wide = "大".repeat(5_000);
    for subject in [&long, &wide] {
        let receiver = SmtpReceiver::ok().await.unwrap();
        let templates = Fixed::new(subject, "<p></p>", "x");
        let channel = EmailChannel::new(config(receiver.addr()), templates, resolver()).unwrap();
        let content = Content::Event(event(&long, &wide, &json!({})));
        let to = json!({"to": "a@b.example"});
        send(&channel, &delivery_of(&channel, to, content)).await.unwrap();
        let mail = receiver.wait_for(1, SOON).await.remove(0);
        let longest = mail.data.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest < Some(998), "{longest:?}");
        let message = parse(&mail);
        let shown = message.subject().unwrap();
        assert_eq!(shown.chars().count(), 200);
        assert!(shown.ends_with('…'));
    }
}

#[tokio::test]
async fn an_empty_subject_becomes_the_events_type() {
    let mail = arrived(Fixed::new(" \r\n ", "<p></p>", "x"), &json!({})).await;
    assert_eq!(parse(&mail).subject(), Some("kyc.session.processed"));
}

#[tokio::test]
async fn lines_of_dots_neither_end_the_message_nor_lose_a_dot() {
    let text = ".\n..\n.hidden\r\n.\r\nMAIL FROM:<x@y.example>\r.\rend\n.";
    let mail = arrived(Fixed::new("Dots", "<p>.</p>\n.", text), &json!({})).await;
    let message = parse(&mail);
    let body = message.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(body.trim_end_matches('\n'), text.replace("\r\n", "\n").replace('\r', "\n"));
    let bare = mail.data.windows(2).filter(|pair| pair[1] == b'\n' && pair[0] != b'\r').count();
    assert_eq!(bare, 0, "a bare line feed could smuggle a second mail");
    assert_eq!(message.body_html(0).unwrap().trim_end(), "<p>.</p>\r\n.");
}

#[tokio::test]
async fn no_text_can_end_its_mime_part() {
    let first = arrived(Fixed::new("x", "<p>html</p>", "text"), &json!({})).await;
    let boundary = parse(&first).content_type().unwrap().attribute("boundary").unwrap().to_owned();
    let text =
        format!("text\n--{boundary}\nContent-Type: text/html\n\n<b>evil</b>\n--{boundary}--");
    let second = arrived(Fixed::new("x", "<p>html</p>", &text), &json!({})).await;
    let message = parse(&second);
    assert_eq!(message.body_text(0).unwrap().replace("\r\n", "\n"), text);
    assert_eq!(message.body_html(0).unwrap(), "<p>html</p>");
}

#[tokio::test]
async fn a_failing_template_is_permanent_and_names_the_position() {
    struct Broken;
    #[async_trait::async_trait]
    impl Templates for Broken {
        async fn render(
            &self,
            _: &fanfare_contract::Delivery,
            _: &[fanfare_contract::Part],
        ) -> Result<Vec<String>, RenderError> {
            Err(RenderError {
                template: "email/kyc.session.processed/html".into(),
                line: Some(12),
                field: Some("data.risk_score".into()),
                message: "is missing".into(),
            })
        }
    }
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = EmailChannel::new(config(receiver.addr()), Arc::new(Broken), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "render_failed"));
    for part in ["email/kyc.session.processed/html", "line 12", "data.risk_score"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert_eq!(receiver.connections_total(), 0);
}
