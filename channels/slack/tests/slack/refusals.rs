//! How the channel treats each refusal, and no answer at all.

use super::*;

#[tokio::test]
async fn refused_blocks_are_sent_again_as_plain_text() {
    let refused = |it: &Received| json_of(it).get("blocks").is_some();
    let by_webhook = move |it: &Received, _| {
        if refused(it) { answer(400, "invalid_blocks") } else { answer(200, "ok") }
    };
    let by_api = move |it: &Received, n| if refused(it) { no("invalid_blocks") } else { posted(n) };
    for bench in [bench(webhook, by_webhook).await, bench(bot, by_api).await] {
        let receipt = bench.send(event("evt_1", 1, "s1")).await.unwrap();
        assert_eq!(
            receipt.remark.as_deref(),
            Some("sent as plain text: Slack refused the blocks (invalid_blocks)")
        );
        let bodies = bench.bodies();
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[1]["text"], "*Review needed*\nJane &amp; co");
        assert_eq!(bodies[1].get("metadata"), None);
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_sent_with_fewer_blocks() {
    let slack = HttpReceiver::start(|it, n| {
        if it.body.len() > 13_000 { no("msg_blocks_too_long") } else { posted(n) }
    })
    .await
    .unwrap();
    let section = json!({"type": "section", "text": {"type": "mrkdwn", "text": "a".repeat(2_000)}});
    let rendered = json!({"text": "many", "blocks": vec![section; 20]}).to_string();
    let memory = Arc::new(Memory::default());
    let channel = channel(&slack.url("api"), Ok(rendered), &memory);
    let delivery = delivery(&channel, &bot(&slack), event("evt_1", 1, "s1"));
    let receipt = channel.service().oneshot(delivery).await.unwrap();
    assert_eq!(receipt.remark.as_deref(), Some("15 blocks not shown"));
    let body = json_of(&slack.received()[1]);
    assert_eq!(body["blocks"].as_array().unwrap().len(), 6);
    assert_eq!(body["blocks"][5]["elements"][0]["text"], "… 15 more blocks not shown");
}

#[tokio::test]
async fn a_message_refused_even_as_plain_text_is_permanent() {
    let bench = bench(webhook, |_, _| answer(400, "invalid_payload")).await;
    let error = bench.fail().await;
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "payload_refused"));
    assert!(error.message.contains("invalid_payload"));
    assert_eq!((error.status, error.answer.0.as_str()), (Some(400), "invalid_payload"));
    assert_eq!(bench.slack.count(), 2);
}

#[tokio::test]
async fn retry_after_of_a_429_is_used() {
    let wait = |value: &'static str| {
        move |_: &Received, _| {
            let headers = vec![("Retry-After".to_owned(), value.to_owned())];
            Reply::Full { status: 429, headers, body: "rate_limited".into() }
        }
    };
    for settings in [webhook, bot] {
        let error = bench(settings, wait("7")).await.fail().await;
        let seven = Verdict::Retry { not_before: Some(Duration::from_secs(7)) };
        assert_eq!((error.verdict, error.code.as_str()), (seven, "rate_limited"));
        assert_eq!(error.status, Some(429));
    }
    let error = bench(webhook, wait("Fri, 31 Dec 2100 23:59:59 GMT")).await.fail().await;
    let Verdict::Retry { not_before: Some(wait) } = error.verdict else { panic!("{error}") };
    assert_eq!(wait, RETRY_AFTER_MAX);
    let error = bench(bot, |_, _| no("ratelimited")).await.fail().await;
    assert_eq!(error.verdict, Verdict::Retry { not_before: None });
}

#[tokio::test]
async fn a_disabled_destination_gets_a_message_that_says_how_to_fix_it() {
    for (code, fix) in [
        ("token_revoked", "reinstall"),
        ("account_inactive", "reinstall"),
        ("invalid_auth", "reinstall"),
        ("channel_not_found", "slack_channel"),
        ("is_archived", "restore"),
        ("not_in_channel", "invite"),
        ("missing_scope", "chat:write"),
        ("restricted_action", "administrator"),
    ] {
        let error = bench(bot, move |_, _| no(code)).await.fail().await;
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Disable, code));
        assert!(error.message.contains(fix), "{}", error.message);
        assert!(!error.maybe_accepted);
    }
    for (status, body, code) in [
        (404, "no_service", "no_service"),
        (410, "channel_is_archived", "channel_is_archived"),
        (404, "", "http_404"),
        (410, "", "http_410"),
    ] {
        let bench = bench(webhook, move |_, _| answer(status, body)).await;
        let error = bench.fail().await;
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Disable, code));
        assert_eq!(bench.slack.count(), 1);
    }
}

#[tokio::test]
async fn temporary_errors_of_slack_are_retried() {
    let cases: [(Reply, &str, bool); 5] = [
        (answer(500, "rollup_error"), "rollup_error", false),
        (answer(503, "<html>"), "http_503", false),
        (answer(504, "<html>"), "http_504", true),
        (no("internal_error"), "internal_error", true),
        (answer(200, "<html>hello from a proxy</html>"), "invalid_answer", true),
    ];
    for (reply, code, maybe) in cases {
        let error = bench(bot, move |_, _| reply.clone()).await.fail().await;
        assert_eq!(error.verdict, Verdict::Retry { not_before: None });
        assert_eq!((error.code.as_str(), error.maybe_accepted), (code, maybe));
    }
}

#[tokio::test]
async fn a_broken_connection_has_a_code_and_tells_maybe_accepted() {
    let reset = bench(bot, |_, _| Reply::Reset).await.fail().await;
    assert_eq!((reset.code.as_str(), reset.maybe_accepted), ("connection_reset", true));

    let half = bench(bot, |_, _| Reply::CloseMidAnswer).await.fail().await;
    assert_eq!((half.code.as_str(), half.maybe_accepted), ("connection_reset", true));

    let mut plain = bench(webhook, |_, _| Reply::Status(200)).await;
    plain.settings["url"] = plain.slack.url(SECRET_PATH).replace("http:", "https:").into();
    let tls = plain.fail().await;
    assert_eq!((tls.code.as_str(), tls.maybe_accepted), ("tls_failed", false));

    plain.settings["url"] = format!("http://no-such-host.invalid/{SECRET_PATH}").into();
    let dns = plain.fail().await;
    assert_eq!((dns.code.as_str(), dns.maybe_accepted), ("dns_failed", false));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{SECRET_PATH}", free.local_addr().unwrap());
    drop(free);
    plain.settings["url"] = url.into();
    let refused = plain.fail().await;
    assert_eq!((refused.code.as_str(), refused.maybe_accepted), ("connect_refused", false));
}
