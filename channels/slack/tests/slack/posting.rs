//! What is sent, and where.

use super::*;

#[tokio::test]
async fn a_webhook_gets_the_rendered_message_unchanged() {
    let bench = bench(webhook, |_, _| answer(200, "ok")).await;
    let receipt = bench.send(event("evt_1", 1, "s1")).await.unwrap();
    assert_eq!((receipt.status, receipt.answer.0.as_str()), (Some(200), "ok"));
    assert_eq!((receipt.remark, receipt.remote_id), (None, None));
    let received = bench.slack.received().remove(0);
    assert_eq!(received.method, "POST");
    assert_eq!(received.path, format!("/{SECRET_PATH}"));
    assert_eq!(received.header("content-type"), "application/json; charset=utf-8");
    assert!(received.header("user-agent").starts_with("Fanfare/"));
    let mut expected = blocks();
    expected["unfurl_links"] = false.into();
    expected["unfurl_media"] = false.into();
    assert_eq!(json_of(&received), expected);
}

#[tokio::test]
async fn a_webhooks_2xx_is_a_success_even_if_its_body_breaks() {
    for reply in
        [Reply::Status(200), Reply::CloseMidAnswer, Reply::HugeBody(9 << 20), Reply::DripForever]
    {
        let bench = bench(webhook, move |_, _| reply.clone()).await;
        let receipt = bench.send(event("evt_1", 1, "s1")).await.unwrap();
        assert_eq!(receipt.status, Some(200));
        assert!(receipt.answer.0.len() <= fanfare_contract::ANSWER_KEPT);
        assert_eq!(bench.slack.count(), 1);
    }
}

#[tokio::test]
async fn a_bot_posts_with_its_token_and_the_delivery_ids() {
    let bench = bench(bot, |_, n| posted(n)).await;
    let receipt = bench.send(event("evt_1", 1, "s1")).await.unwrap();
    assert_eq!(receipt.remote_id.as_deref(), Some("0.000"));
    assert_eq!(receipt.answer.0, r#"{"ok":true,"channel":"C0777KYC","ts":"0.000"}"#);
    let received = bench.slack.received().remove(0);
    assert_eq!(received.path, "/api/chat.postMessage");
    assert_eq!(received.header("authorization"), format!("Bearer {TOKEN}"));
    let body = json_of(&received);
    assert_eq!(body["channel"], "#kyc");
    assert_eq!(body["blocks"], blocks()["blocks"]);
    assert_eq!(body["unfurl_links"], false);
    let metadata = json!({"event_type": "fanfare_delivery",
        "event_payload": {"delivery": "dlv_1", "event": "evt_1"}});
    assert_eq!(body["metadata"], metadata);
    assert_eq!(body.get("thread_ts"), None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bench = bench(webhook, |_, _| Reply::Full {
        status: 302,
        headers: vec![("location".to_owned(), "/elsewhere".to_owned())],
        body: "".into(),
    });
    let bench = bench.await;
    assert_eq!(bench.fail().await.code, "http_302");
    assert_eq!(bench.slack.count(), 1);
}

#[tokio::test]
async fn a_failing_template_is_permanent_and_nothing_is_sent() {
    let slack = HttpReceiver::ok().await.unwrap();
    let error = RenderError {
        template: "slack/kyc.session.created".to_owned(),
        line: Some(3),
        field: Some("data.risk".to_owned()),
        message: "is missing".to_owned(),
    };
    let cases = [
        (Err(error), "template slack/kyc.session.created, line 3, field `data.risk`: is missing"),
        (
            Ok("{\"text\": ".to_owned()),
            "the template's output is not valid JSON (line 1, column 9)",
        ),
    ];
    for (rendered, message) in cases {
        let channel = channel(&slack.url("api"), rendered, &Arc::new(Memory::default()));
        let delivery = delivery(&channel, &webhook(&slack), event("evt_1", 1, "s1"));
        let error = channel.service().oneshot(delivery).await.unwrap_err();
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "render_failed"));
        assert_eq!(error.message, message);
    }
    assert_eq!(slack.count(), 0);
}

#[tokio::test]
async fn a_shortened_message_has_a_remark() {
    let slack = HttpReceiver::ok().await.unwrap();
    let rendered = json!({"text": "t", "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "h".repeat(200)}}]});
    let memory = Arc::new(Memory::default());
    let channel = channel(&slack.url("api"), Ok(rendered.to_string()), &memory);
    let delivery = delivery(&channel, &webhook(&slack), event("evt_1", 1, "s1"));
    let receipt = channel.service().oneshot(delivery).await.unwrap();
    assert_eq!(receipt.remark.as_deref(), Some("shortened header text"));
}

#[test]
fn the_api_requires_tls_outside_development() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api_url = Url::parse("http://slack.com/api").unwrap();
    let templates = Arc::new(Fixed(Ok(String::new())));
    let config = Config { api_url, ..Config::default() };
    let memory = Arc::new(Memory::default());
    let refused =
        SlackChannel::new(config, templates.clone(), Arc::clone(&memory) as _, resolver());
    assert!(matches!(refused.err(), Some(Error::InsecureApi)));
    let channel = SlackChannel::new(Config::default(), templates, memory, resolver()).unwrap();
    assert_eq!(channel.name(), "slack");
    let schedule: Vec<u64> = channel.policy().schedule.iter().map(Duration::as_secs).collect();
    assert_eq!(schedule, [5, 30, 120, 600, 3_600, 14_400]);
}
