//! Search keys and the filters of lists of events.

use std::sync::Arc;

use fanfare_contract::Event;
use fanfare_store::{
    Change, EventQuery, EventState, EventStatus, Ms, SearchKey, StateKind, Store, StoreError,
    TypeFilter,
};

use super::Fixture;
use super::kit::{
    T0, append, dead, event_of, lane, park, record, routed, suppressed, take_fresh, update, waiting,
};

const DAY: Ms = 86_400_000;

/// An event about a session, by a person.
fn about(tenant: &str, id: &str, session: &str, user: &str, received_ms: Ms) -> Arc<Event> {
    let body = serde_json::json!({"id": id, "type": "order.paid", "created": 7,
        "data": {"session": session, "users": [{"id": user}, {"id": 7}]}});
    let body = body.to_string().into_bytes().into();
    let kind = "order.paid";
    Arc::new(Event::new(tenant.into(), id.into(), kind.into(), 7, received_ms, body))
}

fn query(tenant: &str, matches: &[(&str, &str)]) -> EventQuery {
    let key = |(path, value): &(&str, &str)| SearchKey {
        path: (*path).to_owned(),
        value: (*value).to_owned(),
    };
    let matches = matches.iter().map(key).collect();
    EventQuery { tenant: tenant.into(), matches, limit: 100, ..EventQuery::default() }
}

/// All ids of a list, page by page.
async fn ids(store: &Store, query: &EventQuery) -> Vec<String> {
    let mut query = query.clone();
    let mut ids = Vec::new();
    loop {
        let page = store.ledger.events(&query).await.expect("events");
        ids.extend(page.items.into_iter().map(|one| one.id));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return ids;
        }
    }
}

/// Values at paths, and the ids of the events that have all of them.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

pub(crate) async fn events_are_found_by_their_values<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let uuid = "7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11";
    let events = [
        about("acme", "evt_1", uuid, "ann", T0),
        about("acme", "evt_2", "s2", "bob", T0 + 1),
        about("globex", "evt_3", uuid, "ann", T0 + 2),
        about("acme", "evt_4", uuid, "bob", T0 + 2 * DAY),
    ];
    append(&store, &events).await;
    let taken = take_fresh(&store, 4).await;
    let found = ids(&store, &query("acme", &[("data.session", uuid)])).await;
    assert_eq!(found, ["evt_4", "evt_1"], "before they are settled, newest first");
    store.log.settle(taken.iter().map(|one| routed(one, Vec::new())).collect()).await.unwrap();

    let cases: &[Case<'_>] = &[
        (&[("data.session", uuid)], &["evt_4", "evt_1"]),
        (&[("data.session", "7f6c2a54")], &["evt_4", "evt_1"]),
        (&[("data.session", "7f6c2a5")], &[]),
        (&[("data.users.id", "bob")], &["evt_4", "evt_2"]),
        (&[("data.users.id", "7")], &["evt_4", "evt_2", "evt_1"]),
        (&[("data.users.id", "bob"), ("data.session", uuid)], &["evt_4"]),
        (&[("data.users.id", "s2")], &[]),
    ];
    for (matches, expected) in cases {
        let mut query = query("acme", matches);
        assert_eq!(ids(&store, &query).await, *expected, "{matches:?}");
        query.limit = 1;
        assert_eq!(ids(&store, &query).await, *expected, "page by page: {matches:?}");
        query.oldest_first = true;
        let mut turned = ids(&store, &query).await;
        turned.reverse();
        assert_eq!(turned, *expected, "the oldest first: {matches:?}");
    }
    let later = EventQuery { from_ms: Some(T0 + 1), ..query("acme", &[("data.session", uuid)]) };
    assert_eq!(ids(&store, &later).await, ["evt_4"]);
    let earlier = EventQuery { to_ms: Some(T0 + 1), ..query("acme", &[("data.session", uuid)]) };
    assert_eq!(ids(&store, &earlier).await, ["evt_1"]);
    assert_eq!(ids(&store, &query("nobody", &[("data.session", uuid)])).await, [""; 0]);
}

pub(crate) async fn a_path_that_is_not_indexed_is_refused<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let error = store.ledger.events(&query("acme", &[("data.other", "x")])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotIndexed(_)), "{error:?}");
    assert!(error.to_string().contains("data.session"), "it names those that are: {error}");
    let mut wrong = query("acme", &[("data.session", "x")]);
    wrong.cursor = Some("nonsense".to_owned());
    record(&store, "hook", &[(about("acme", "evt_1", "x", "y", T0), Change::Delivered)]).await;
    assert!(matches!(store.ledger.events(&wrong).await, Err(StoreError::BadQuery(_))));
}

pub(crate) async fn search_keys_go_with_their_events<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let (old, new) =
        (about("acme", "evt_1", "s", "ann", T0), about("acme", "evt_2", "s", "ann", T0 + 3 * DAY));
    let lines = [(old, Change::Delivered), (new, Change::Delivered)];
    record(&store, "hook", &lines).await;
    let by_session = query("acme", &[("data.session", "s")]);
    assert_eq!(ids(&store, &by_session).await, ["evt_2", "evt_1"]);
    assert_eq!(store.upkeep.tidy(T0 + DAY, 100).await.unwrap(), 1);
    assert_eq!(ids(&store, &by_session).await, ["evt_2"]);
    store.erasure.erase_events("acme", &["evt_2".to_owned()], T0).await.unwrap();
    assert_eq!(ids(&store, &by_session).await, [""; 0]);
    // The same id again, without the value.
    let again = about("acme", "evt_3", "other", "ann", T0 + 3 * DAY);
    record(&store, "hook", &[(again, Change::Delivered)]).await;
    assert_eq!(ids(&store, &by_session).await, [""; 0]);
    assert_eq!(ids(&store, &query("acme", &[("data.users.id", "ann")])).await, ["evt_3"]);
}

pub(crate) async fn an_event_with_many_values_is_found_by_its_overflow<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let users: Vec<_> = (0..50).map(|n| serde_json::json!({"id": format!("u{n}")})).collect();
    let body = serde_json::json!({"id": "evt_1", "type": "a.b", "created": 7,
        "data": {"users": users}});
    let body = body.to_string().into_bytes().into();
    let many = Event::new("acme".into(), "evt_1".into(), "a.b".into(), 7, T0, body);
    let few = about("acme", "evt_2", "s", "u0", T0);
    record(&store, "hook", &[(Arc::new(many), Change::Delivered), (few, Change::Delivered)]).await;
    let first = query("acme", &[("data.users.id", "u0")]);
    assert_eq!(ids(&store, &first).await, ["evt_2", "evt_1"]);
    let overflow = EventQuery { matches: vec![SearchKey::overflow()], ..first };
    assert_eq!(ids(&store, &overflow).await, ["evt_1"]);
}

pub(crate) async fn a_search_goes_on_where_it_stopped_while_events_come_and_go<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let event = |n: i64| about("acme", &format!("evt_{n:03}"), "s", "ann", T0 + n * DAY / 7);
    let lines: Vec<_> = (0..40).map(|n| (event(n), Change::Delivered)).collect();
    record(&store, "hook", &lines).await;
    let mut query = query("acme", &[("data.session", "s")]);
    query.limit = 7;
    let first = store.ledger.events(&query).await.unwrap();
    assert_eq!((first.items[0].id.as_str(), first.items.len()), ("evt_039", 7));
    // The last one that was shown goes, and a newer one comes.
    store.erasure.erase_events("acme", &["evt_033".to_owned()], T0).await.unwrap();
    record(&store, "hook", &[(event(41), Change::Delivered)]).await;
    query.cursor = first.next;
    let rest = ids(&store, &query).await;
    let expected: Vec<String> = (0..33).rev().map(|n| format!("evt_{n:03}")).collect();
    assert_eq!(rest, expected);
}

pub(crate) async fn events_are_filtered_by_state_and_destination<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let of = |id: &str, kind: &str| event_of("acme", id, kind, T0);
    let one = of("evt_1", "kyc.session.created");
    let two = of("evt_2", "kyc.session.done");
    let three = of("evt_3", "order.paid");
    let four = of("evt_4", "order.paid");
    append(&store, &[one.clone(), two.clone(), three.clone(), four]).await;
    let taken = take_fresh(&store, 4).await;
    let failed =
        vec![update(&one, "hook", dead("http_410")), update(&one, "mail~ann", dead("smtp_550"))];
    let mixed = vec![
        update(&two, "hook", Change::Delivered),
        update(&two, "mail~ann", waiting(T0)),
        update(&two, "chat", suppressed("duplicate")),
    ];
    let settled =
        [routed(&taken[0], failed), routed(&taken[1], mixed), routed(&taken[2], Vec::new())];
    store.log.settle(settled.to_vec()).await.unwrap();

    let all = EventQuery { tenant: "acme".into(), limit: 100, ..EventQuery::default() };
    let state = |status| EventQuery { status: Some(status), ..all.clone() };
    let to = |lane: &str| EventQuery { lane: Some(lane.into()), ..all.clone() };
    let kyc = TypeFilter::new(|kind| kind.starts_with("kyc."));
    let delivery = |kind| state(EventStatus::Delivery(kind));
    let cases: [(&str, EventQuery, &[&str]); 12] = [
        ("pending", state(EventStatus::Event(EventState::Pending)), &["evt_4"]),
        ("unrouted", state(EventStatus::Event(EventState::Unrouted)), &["evt_3"]),
        ("routed", state(EventStatus::Event(EventState::Routed)), &["evt_2", "evt_1"]),
        ("dead", delivery(StateKind::Dead), &["evt_1"]),
        ("waiting", delivery(StateKind::Waiting), &["evt_2"]),
        ("suppressed", delivery(StateKind::Suppressed), &["evt_2"]),
        ("delivered", delivery(StateKind::Delivered), &["evt_2"]),
        ("to mail", to("mail"), &["evt_2", "evt_1"]),
        ("to ann", to("mail~ann"), &["evt_2", "evt_1"]),
        ("to chat", to("chat"), &["evt_2"]),
        ("of a type", EventQuery { kind: Some(kyc), ..all.clone() }, &["evt_2", "evt_1"]),
        (
            "dead to hook",
            EventQuery { lane: Some("hook".into()), ..delivery(StateKind::Dead) },
            &["evt_1"],
        ),
    ];
    for (name, query, expected) in cases {
        for limit in [1, 100] {
            let query = EventQuery { limit, ..query.clone() };
            assert_eq!(ids(&store, &query).await, *expected, "{name}, {limit} a page");
            let oldest = EventQuery { oldest_first: true, ..query };
            let mut found = ids(&store, &oldest).await;
            found.reverse();
            assert_eq!(found, *expected, "{name}, the oldest first, {limit} a page");
        }
    }
    // A delivery in another state to that destination does not count.
    let none = EventQuery { lane: Some("hook".into()), ..delivery(StateKind::Waiting) };
    assert_eq!(ids(&store, &none).await, [""; 0]);
    park(&store, &lane("acme", "hook"), "evt_5", T0).await;
    assert_eq!(ids(&store, &none).await, ["evt_5"]);
}
