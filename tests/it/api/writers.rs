//! Concurrent writers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::{Api, webhook};

/// Each adds its own line to one route's list, from what it has read.
#[test]
fn a_hundred_writers_with_if_match_lose_no_update() {
    const WRITERS: usize = 100;
    Api::over_both(|api| {
        let hooks = "/v1/tenants/acme/destinations/hooks";
        api.put(hooks, &webhook("http://127.0.0.1:9/")).is(201);
        let route =
            api.post("/v1/tenants/acme/routes", &json!({"events": ["start"], "to": ["hooks"]}));
        let path = format!("/v1/tenants/acme/routes/{}", route.is(201)["id"].as_str().unwrap());
        let (refused, path) = (AtomicUsize::new(0), &path);
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let refused = &refused;
                scope.spawn(move || {
                    loop {
                        let read = api.get(path);
                        let mut body = read.is(200);
                        body.as_object_mut().unwrap().remove("id");
                        body["events"]
                            .as_array_mut()
                            .unwrap()
                            .push(json!(format!("writer.{writer}")));
                        let tag = read.tag();
                        let written = api.call("PUT", path, &[("if-match", &tag)], Some(&body));
                        match written.answer.status {
                            200 => break,
                            412 => _ = refused.fetch_add(1, Ordering::Relaxed),
                            other => panic!("{other}: {}", written.answer.body),
                        }
                    }
                });
            }
        });
        let events = api.get(path).is(200)["events"].as_array().unwrap().len();
        assert_eq!(events, WRITERS + 1, "after {} refusals", refused.into_inner());
        let mut lines = 0;
        let mut cursor = String::new();
        loop {
            let page = api.get(&format!("/v1/tenants/acme/audit?limit=40{cursor}")).is(200);
            lines += page["data"].as_array().unwrap().len();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        // Tenant, destination, route, and one line a writer.
        assert_eq!(lines, 3 + WRITERS);
    });
}

#[test]
fn writers_of_different_resources_do_not_conflict() {
    let api = Api::start();
    let path = |n: usize| format!("/v1/tenants/acme/destinations/d{n}");
    let tags: Vec<_> =
        (0..8).map(|n| api.put(&path(n), &webhook("http://127.0.0.1:9/")).tag()).collect();
    let api = &api;
    thread::scope(|scope| {
        for (n, tag) in tags.iter().enumerate() {
            let change = json!({"settings": {"rate": "5/s"}});
            scope.spawn(move || {
                api.call("PATCH", &path(n), &[("if-match", tag)], Some(&change)).is(200)
            });
        }
    });
}
