//! Events of one group stay in one thread.

use super::*;

#[tokio::test]
async fn a_session_stays_in_its_thread_and_a_digest_goes_to_the_channel() {
    let bench = bench(bot, |_, n| posted(n)).await;
    for (id, session) in [("evt_1", "s1"), ("evt_2", "s2"), ("evt_3", "s1"), ("evt_4", "s2")] {
        bench.send(event(id, 1, session)).await.unwrap();
    }
    let digest = Digest {
        id: "dig_1".into(),
        from_ms: 0,
        to_ms: 1,
        timezone: "UTC".to_owned(),
        events: Vec::new(),
        suppressed: Vec::new(),
        failed: Vec::new(),
    };
    bench.send(Content::Digest(Arc::new(digest))).await.unwrap();
    bench.send(event("evt_5", 1, "")).await.unwrap();
    let bodies = bench.bodies();
    let threads: Vec<&Value> = bodies.iter().map(|body| &body["thread_ts"]).collect();
    assert_eq!(
        threads,
        [&Value::Null, &Value::Null, &json!("0.000"), &json!("1.000"), &Value::Null, &Value::Null]
    );
    assert_eq!(bodies[2]["reply_broadcast"], false);
    let kept = bench.memory.0.lock().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept["slack/acme/support/s1"].1, 30 * DAY);
}

#[tokio::test]
async fn a_deleted_thread_is_replaced_by_a_new_one() {
    let script = |it: &Received, n| match json_of(it)["thread_ts"].as_str() {
        Some("0.000") => no("thread_not_found"),
        _ => posted(n),
    };
    let bench = bench(bot, script).await;
    bench.send(event("evt_1", 1, "s1")).await.unwrap();
    let receipt = bench.send(event("evt_2", 2, "s1")).await.unwrap();
    assert_eq!(receipt.remote_id.as_deref(), Some("2.000"));
    assert_eq!(receipt.remark.as_deref(), Some("started a new thread (thread_not_found)"));
    bench.send(event("evt_3", 3, "s1")).await.unwrap();
    assert_eq!(bench.bodies()[3]["thread_ts"], "2.000");
}

#[tokio::test]
async fn a_destination_with_another_channel_starts_new_threads() {
    let mut bench = bench(bot, |_, n| posted(n)).await;
    bench.send(event("evt_1", 1, "s1")).await.unwrap();
    bench.settings["slack_channel"] = "#other".into();
    bench.send(event("evt_2", 2, "s1")).await.unwrap();
    assert_eq!(bench.bodies()[1].get("thread_ts"), None);
    assert_eq!(bench.memory.value("slack/acme/support/s1").unwrap()["to"], "#other");
}

#[tokio::test]
async fn an_edit_replaces_the_first_message_unless_it_is_late() {
    let bench = bench(editing_bot, |_, n| posted(n)).await;
    bench.send(event("evt_1", 10, "s1")).await.unwrap();
    bench.send(event("evt_3", 30, "s1")).await.unwrap();
    bench.send(event("evt_2", 20, "s1")).await.unwrap();
    let post = "/api/chat.postMessage";
    assert_eq!(bench.paths(), [post, "/api/chat.update", post]);
    let bodies = bench.bodies();
    assert_eq!((&bodies[1]["channel"], &bodies[1]["ts"]), (&json!("C0777KYC"), &json!("0.000")));
    assert_eq!(bodies[1]["blocks"], blocks()["blocks"]);
    assert_eq!(bodies[2]["thread_ts"], "0.000", "an older event must not replace a newer one");
    assert_eq!(bench.memory.value("slack/acme/support/s1").unwrap()["created"], 30);
}

#[tokio::test]
async fn a_message_that_cannot_be_edited_is_posted_again() {
    for code in
        ["message_not_found", "edit_window_closed", "cant_update_message", "channel_not_found"]
    {
        let script = move |it: &Received, n| match it.path.as_str() {
            "/api/chat.update" => no(code),
            _ => posted(n),
        };
        let bench = bench(editing_bot, script).await;
        bench.send(event("evt_1", 1, "s1")).await.unwrap();
        let receipt = bench.send(event("evt_2", 2, "s1")).await.unwrap();
        assert_eq!(receipt.remark, Some(format!("started a new thread ({code})")));
        assert_eq!(bench.memory.value("slack/acme/support/s1").unwrap()["ts"], "2.000");
    }
}

#[tokio::test]
async fn an_edit_as_plain_text_removes_the_old_blocks() {
    let script = |it: &Received, n| match (n, json_of(it)["blocks"] == json!([])) {
        (1, false) => no("invalid_blocks"),
        _ => posted(n),
    };
    let bench = bench(editing_bot, script).await;
    bench.send(event("evt_1", 1, "s1")).await.unwrap();
    bench.send(event("evt_2", 2, "s1")).await.unwrap();
    assert_eq!(bench.bodies()[2]["blocks"], json!([]));
}
