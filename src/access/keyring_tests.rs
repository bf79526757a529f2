//! Keys over a store in memory, with a paused clock.

use super::*;
use crate::access::{Environment, Role, keys};
use fanfare_store::memory::World;

const T0: Ms = 1_900_000_000_000;

async fn keyring(store: &Store) -> Arc<Keyring> {
    Keyring::load(store, Clock::starting_at(T0), None).await.unwrap()
}

fn publisher() -> NewKey {
    NewKey::new(Role::Publisher, Some("acme"))
}

#[tokio::test(start_paused = true)]
async fn a_key_lets_in_as_what_it_was_made_for() {
    let store = World::new().open();
    let keyring = keyring(&store).await;
    assert!(keyring.is_empty());
    let new = NewKey { environment: Environment::Test, label: "shop".into(), ..publisher() };
    let made = keyring.create(new).await.unwrap();
    let admitted = keyring.admit(made.secret.reveal()).unwrap();
    let expected = Principal {
        key_id: made.key.id.as_str().into(),
        role: Role::Publisher,
        tenant: Some("acme".into()),
        environment: Environment::Test,
        portal: false,
    };
    assert_eq!(*admitted.principal, expected);
    assert!(admitted.pace.is_none() && !keyring.is_empty());
    let other = Secret::make(Environment::Test, false).unwrap();
    for wrong in ["", "Bearer", other.reveal(), &made.key.hint] {
        assert_eq!(keyring.admit(wrong).unwrap_err(), Denied::UnknownKey);
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_holds_no_key() {
    let store = World::new().open();
    let made = keyring(&store).await.create(publisher()).await.unwrap();
    let kept = store.records.get("keys", &made.key.id).await.unwrap().unwrap();
    let kept = String::from_utf8(kept.doc.to_vec()).unwrap();
    assert!(!kept.contains(&made.secret.reveal()[12..24]), "{kept}");
    assert!(kept.contains(&made.key.hint));
}

#[tokio::test(start_paused = true)]
async fn a_key_made_beside_a_server_is_good_there_at_once_and_a_wrong_one_costs_the_store_little() {
    let world = World::new();
    let (here, there) = (keyring(&world.open()).await, keyring(&world.open()).await);
    let made = here.create(publisher()).await.unwrap();
    assert_eq!(there.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    assert!(there.admit_or_look(made.secret.reveal()).await.is_ok());

    let wrong = Secret::make(Environment::Live, false).unwrap();
    let began = Instant::now();
    let guesses = (0..100).map(|_| there.admit_or_look(wrong.reveal()));
    for denied in futures::future::join_all(guesses).await {
        assert_eq!(denied.unwrap_err(), Denied::UnknownKey);
    }
    assert!(
        began.elapsed() <= 2 * LOOK_AT_MOST_EVERY,
        "one look was for all: {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_refused_everywhere_within_a_second() {
    let world = World::new();
    let (here, there) = (world.open(), world.open());
    let (here, there) = (keyring(&here).await, keyring(&there).await);
    let stop = CancellationToken::new();
    let following = tokio::spawn(there.clone().follow(stop.clone()));
    let made = here.create(publisher()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(there.admit(made.secret.reveal()).is_ok(), "a new key is good within a second too");
    assert!(here.revoke(&made.key.id).await.unwrap());
    assert_eq!(here.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(there.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    assert!(!here.revoke(&made.key.id).await.unwrap(), "it is gone already");
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_known_keys_stay_good() {
    let world = World::new();
    let keyring = keyring(&world.open()).await;
    let made = keyring.create(publisher()).await.unwrap();
    world.faults.fail("records.version", 1_000);
    let following = tokio::spawn(keyring.clone().follow(CancellationToken::new()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(keyring.admit(made.secret.reveal()).is_ok());
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn a_key_ends_with_its_time() {
    let store = World::new().open();
    let keyring = keyring(&store).await;
    let new = NewKey { ttl: Some(Duration::from_hours(1)), ..publisher() };
    let made = keyring.create(new).await.unwrap();
    tokio::time::sleep(Duration::from_mins(59)).await;
    assert!(keyring.admit(made.secret.reveal()).is_ok());
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(keyring.admit(made.secret.reveal()).unwrap_err(), Denied::Expired);
    let listed = keys::list(&*store.records, None).await.unwrap();
    assert_eq!(listed[0].expires_ms, Some(T0 + 3_600_000), "it is still to be seen");
}

#[tokio::test(start_paused = true)]
async fn a_portal_link_is_short_lived_and_leaves_nothing() {
    let store = World::new().open();
    let keyring = keyring(&store).await;
    let made = keyring.create(NewKey::portal(Role::Admin, "acme")).await.unwrap();
    assert!(made.secret.reveal().starts_with("pl_live_"));
    assert!(keyring.admit(made.secret.reveal()).unwrap().principal.portal);
    tokio::time::sleep(Duration::from_mins(15)).await;
    assert!(keyring.admit(made.secret.reveal()).is_err());
    assert!(keys::list(&*store.records, None).await.unwrap().is_empty());

    let long = NewKey { ttl: Some(Duration::from_hours(25)), ..NewKey::portal(Role::Admin, "a") };
    let endless = NewKey { ttl: None, ..NewKey::portal(Role::Admin, "a") };
    for wrong in [long, endless, NewKey::portal(Role::Publisher, "a")] {
        assert!(matches!(keyring.create(wrong).await, Err(MakeError::Wrong(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_use_is_written_once_a_minute_at_most() {
    let store = World::new().open();
    let keyring = keyring(&store).await;
    let made = keyring.create(publisher()).await.unwrap();
    let idle = keyring.create(publisher()).await.unwrap();
    let version = async || store.records.version("key_uses").await.unwrap();
    let keys_version = store.records.version("keys").await.unwrap();
    let stop = CancellationToken::new();
    let following = tokio::spawn(keyring.clone().follow(stop.clone()));
    for _ in 0..180 {
        keyring.admit(made.secret.reveal()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((2..=3).contains(&version().await), "{} writes in 3 minutes", version().await);
    assert_eq!(store.records.version("keys").await.unwrap(), keys_version);
    stop.cancel();
    following.await.unwrap();
    let used = async |id: &str| keys::get(&*store.records, id).await.unwrap().unwrap().last_used_ms;
    let last = used(&made.key.id).await.unwrap();
    assert!((T0 + 179_000..=T0 + 180_000).contains(&last), "{}", last - T0);
    assert_eq!(used(&idle.key.id).await, None);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_pace_and_keeps_it_through_changes() {
    let store = World::new().open();
    let pace = Pace { per_second: 1.0, burst: 2 };
    let keyring = Keyring::load(&store, Clock::starting_at(T0), Some(pace)).await.unwrap();
    let (fast, slow) =
        (keyring.create(publisher()).await.unwrap(), keyring.create(publisher()).await.unwrap());
    let allowed = |made: &Made| keyring.admit(made.secret.reveal()).unwrap().pace.unwrap().allowed;
    assert!(allowed(&fast) && allowed(&fast) && !allowed(&fast));
    keyring.create(publisher()).await.unwrap();
    assert!(!allowed(&fast), "a change of another key is no new allowance");
    assert!(allowed(&slow), "another key does not suffer");
}

#[test]
fn nobody_makes_a_wider_key_than_its_own() {
    let by = |role, tenant: Option<&str>| Principal {
        key_id: "key_1".into(),
        role,
        tenant: tenant.map(Into::into),
        environment: Environment::Live,
        portal: false,
    };
    let admin = by(Role::Admin, Some("acme"));
    assert!(publisher().allowed_to(&admin).is_ok());
    let foreign = NewKey::new(Role::Reader, Some("globex"));
    assert_eq!(foreign.allowed_to(&admin), Err(Denied::no_tenant("globex")));
    let operator = NewKey::new(Role::Operator, None);
    assert!(operator.allowed_to(&admin).is_err());
    assert!(operator.allowed_to(&by(Role::Operator, None)).is_ok());
    for small in [by(Role::Publisher, Some("acme")), by(Role::Reader, Some("acme"))] {
        assert!(publisher().allowed_to(&small).is_err());
    }
    assert!(publisher().allowed_to(&Principal { portal: true, ..admin.clone() }).is_err());
    let test = Principal { environment: Environment::Test, ..admin };
    assert!(publisher().allowed_to(&test).is_err(), "a test key makes no live key");
}
