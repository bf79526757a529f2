//! The keyring over a store in memory, with a paused clock.

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
async fn a_key_authenticates_with_its_role_tenant_and_environment() {
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
    assert!(admitted.rate.is_none() && !keyring.is_empty());
    let other = Secret::generate(Environment::Test, false).unwrap();
    for wrong in ["", "Bearer", other.reveal(), &made.key.hint] {
        assert_eq!(keyring.admit(wrong).unwrap_err(), Denied::UnknownKey);
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_does_not_hold_the_key_itself() {
    let store = World::new().open();
    let made = keyring(&store).await.create(publisher()).await.unwrap();
    let kept = store.records.get("keys", &made.key.id).await.unwrap().unwrap();
    let kept = String::from_utf8(kept.doc.to_vec()).unwrap();
    assert!(!kept.contains(&made.secret.reveal()[12..24]), "{kept}");
    assert!(kept.contains(&made.key.hint));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_process_is_valid_at_once_and_unknown_keys_cost_the_store_little() {
    let world = World::new();
    let (here, there) = (keyring(&world.open()).await, keyring(&world.open()).await);
    let made = here.create(publisher()).await.unwrap();
    assert_eq!(there.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    assert!(there.admit_or_refresh(made.secret.reveal()).await.is_ok());

    let wrong = Secret::generate(Environment::Live, false).unwrap();
    let began = Instant::now();
    let guesses = (0..100).map(|_| there.admit_or_refresh(wrong.reveal()));
    for denied in futures::future::join_all(guesses).await {
        assert_eq!(denied.unwrap_err(), Denied::UnknownKey);
    }
    assert!(
        began.elapsed() <= 2 * MIN_REFRESH_INTERVAL,
        "one read must serve all: {:?}",
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
    assert!(there.admit(made.secret.reveal()).is_ok(), "a new key is valid within a second too");
    assert!(here.revoke(&made.key.id).await.unwrap());
    assert_eq!(here.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(there.admit(made.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    assert!(!here.revoke(&made.key.id).await.unwrap(), "it was already revoked");
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn known_keys_stay_valid_while_the_store_is_unavailable() {
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
async fn a_key_expires() {
    let store = World::new().open();
    let keyring = keyring(&store).await;
    let new = NewKey { ttl: Some(Duration::from_hours(1)), ..publisher() };
    let made = keyring.create(new).await.unwrap();
    tokio::time::sleep(Duration::from_mins(59)).await;
    assert!(keyring.admit(made.secret.reveal()).is_ok());
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(keyring.admit(made.secret.reveal()).unwrap_err(), Denied::Expired);
    let listed = keys::list(&*store.records, None).await.unwrap();
    assert_eq!(listed[0].expires_ms, Some(T0 + 3_600_000), "it is still listed");
}

#[tokio::test(start_paused = true)]
async fn a_portal_link_is_short_lived_and_is_deleted_afterwards() {
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
        assert!(matches!(keyring.create(wrong).await, Err(CreateError::Invalid(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_use_is_saved_at_most_once_a_minute() {
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
async fn each_key_has_its_own_rate_limit_and_keeps_it_when_keys_are_reloaded() {
    let store = World::new().open();
    let limit = RateLimit { per_second: 1.0, burst: 2 };
    let keyring = Keyring::load(&store, Clock::starting_at(T0), Some(limit)).await.unwrap();
    let (fast, slow) =
        (keyring.create(publisher()).await.unwrap(), keyring.create(publisher()).await.unwrap());
    let allowed =
        |created: &Created| keyring.admit(created.secret.reveal()).unwrap().rate.unwrap().allowed;
    assert!(allowed(&fast) && allowed(&fast) && !allowed(&fast));
    keyring.create(publisher()).await.unwrap();
    assert!(!allowed(&fast), "a change of another key must not refill this one");
    assert!(allowed(&slow), "other keys are not affected");
}

#[test]
fn a_key_cannot_create_a_more_powerful_one() {
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
    assert!(publisher().allowed_to(&test).is_err(), "a test key cannot create a live key");
}

#[tokio::test(start_paused = true)]
async fn a_portal_link_works_once_whichever_replica_it_reaches() {
    let world = World::new();
    let (here, there) = (keyring(&world.open()).await, keyring(&world.open()).await);
    let link = here.create(NewKey::portal(Role::Admin, "acme")).await.unwrap();
    let principal = there.admit_or_refresh(link.secret.reveal()).await.unwrap().principal;
    let (one, other) = tokio::join!(here.exchange(&principal), there.exchange(&principal));
    let made = [one.unwrap(), other.unwrap()];
    let made = made.into_iter().flatten().collect::<Vec<_>>();
    let [made] = &made[..] else { panic!("{made:?}") };
    assert_eq!(made.key.expires_ms, link.key.expires_ms, "it does not live longer than its link");
    here.refresh().await.unwrap();
    assert_eq!(here.admit(link.secret.reveal()).unwrap_err(), Denied::UnknownKey);
    let session = here.admit(made.secret.reveal()).unwrap().principal;
    assert_eq!((session.role, session.portal), (Role::Admin, true));
    assert_eq!(keys::list(&*world.open().records, None).await.unwrap().len(), 1, "no key is left");
}
