//! Secrets over a store in memory: sealed there, open here, and refused where a key is missing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use fanfare_store::memory::World;
use fanfare_store::{Store, StoreError};

const SECRET: &str = "whsec_a-secret-of-the-receiver";
const SERVES: Wanted<'_> = Wanted { serves: true, development: false, own_file: None };
const TOOL: Wanted<'_> = Wanted { serves: false, ..SERVES };

fn fields(channel: &str) -> &'static [&'static str] {
    if channel == "webhook" { &["secret", "previous_secrets"] } else { &[] }
}

async fn with(
    world: &Arc<World>,
    keys: &[MasterKey],
    wanted: Wanted<'_>,
) -> Result<(Store, Secrets), StoreError> {
    Secrets::set_up(world.open(), keys.to_vec(), fields, wanted).await
}

fn key() -> MasterKey {
    MasterKey::make().unwrap()
}

fn document(secret: &Value) -> Value {
    json!({
        "id": "acme", "name": "Acme", "routes": [],
        "destinations": [
            {"id": "hooks", "channel": "webhook", "secret": secret, "rate": "1/s",
             "previous_secrets": [{"secret": SECRET, "expires": 7}]},
            {"id": "mail", "channel": "email", "to": ["ann@acme.example"]},
        ],
    })
}

async fn put(store: &Store, id: &str, doc: &Value) -> Result<u64, StoreError> {
    store.directory.put(id, doc.to_string().into(), None).await
}

async fn doc(store: &Store, id: &str) -> Value {
    let (_, all) = store.directory.all().await.unwrap();
    let found = all.into_iter().find(|tenant| tenant.id == id).expect("it is there");
    serde_json::from_slice(&found.doc).unwrap()
}

fn why(refused: Result<(Store, Secrets), StoreError>) -> String {
    match refused {
        Err(StoreError::Secrets(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn what_is_kept_is_sealed_and_what_is_read_is_open() {
    let world = World::new();
    let (store, _) = with(&world, &[key()], SERVES).await.unwrap();
    let written = document(&json!(SECRET));
    put(&store, "acme", &written).await.unwrap();
    assert_eq!(doc(&store, "acme").await, written);
    let kept = doc(&world.open(), "acme").await;
    assert!(!kept.to_string().contains(SECRET), "{kept}");
    assert!(kept["destinations"][0]["previous_secrets"]["$sealed"].is_string());
    assert_eq!(kept["destinations"][1], written["destinations"][1], "nothing else is hidden");
    assert_eq!(kept["destinations"][0]["rate"], "1/s");
}

#[tokio::test]
async fn a_start_with_the_wrong_key_or_none_is_refused() {
    let world = World::new();
    let right = key();
    let (store, _) = with(&world, std::slice::from_ref(&right), SERVES).await.unwrap();
    let wrong = key();
    for before_and_after in 0..2 {
        let told = why(with(&world, std::slice::from_ref(&wrong), SERVES).await);
        assert!(told.contains(right.id()) && told.contains(wrong.id()), "{told}");
        assert!(!told.contains(&right.reveal()) && !told.contains(&wrong.reveal()), "{told}");
        assert!(why(with(&world, std::slice::from_ref(&wrong), TOOL).await).contains(right.id()));
        for development in [true, false] {
            let told = why(with(&world, &[], Wanted { development, ..SERVES }).await);
            assert!(told.contains(right.id()), "{told}");
        }
        if before_and_after == 0 {
            put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
        }
    }
    assert!(with(&world, &[right], SERVES).await.is_ok());
}

#[tokio::test]
async fn without_a_key_nothing_is_served_outside_development() {
    let world = World::new();
    let told = why(with(&world, &[], SERVES).await);
    assert!(told.contains("fanfare secrets new-key"), "{told}");
    // Nor does a tool write what would have to be encrypted.
    let (tool, _) = with(&world, &[], TOOL).await.unwrap();
    let refused = put(&tool, "acme", &document(&json!(SECRET))).await;
    assert!(matches!(refused, Err(StoreError::Secrets(_))), "{refused:?}");
    put(&tool, "globex", &json!({"destinations": [{"id": "m", "channel": "email"}]}))
        .await
        .unwrap();

    let (store, secrets) = with(&world, &[], Wanted { development: true, ..SERVES }).await.unwrap();
    assert!(secrets.are_plain());
    put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
    let (tool, _) = with(&world, &[], TOOL).await.unwrap();
    put(&tool, "acme", &document(&json!("whsec_another"))).await.unwrap();
}

#[tokio::test]
async fn a_tool_without_the_key_passes_on_what_is_sealed() {
    let world = World::new();
    let (store, _) = with(&world, &[key()], SERVES).await.unwrap();
    put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
    let (tool, _) = with(&world, &[], TOOL).await.unwrap();
    let mut changed = doc(&tool, "acme").await;
    assert!(!changed.to_string().contains(SECRET));
    changed["held"] = json!(["hooks"]);
    put(&tool, "acme", &changed).await.unwrap();
    let read = doc(&store, "acme").await;
    assert_eq!(
        (&read["held"][0], &read["destinations"][0]["secret"]),
        (&json!("hooks"), &json!(SECRET))
    );
}

#[tokio::test]
async fn what_stood_in_the_clear_is_sealed_at_the_next_start() {
    let world = World::new();
    put(&world.open(), "acme", &document(&json!(SECRET))).await.unwrap();
    let (store, secrets) = with(&world, &[key()], SERVES).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)), "it is read meanwhile");
    let done = secrets.reseal().await.unwrap();
    assert_eq!((done.documents, done.left, done.plain), (1, 0, 0));
    assert!(!doc(&world.open(), "acme").await.to_string().contains(SECRET));
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    assert_eq!(secrets.reseal().await.unwrap().documents, 0, "once is enough");
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_not_needed_any_more() {
    let world = World::new();
    let (old, new) = (key(), key());
    let (before, _) = with(&world, std::slice::from_ref(&old), SERVES).await.unwrap();
    for tenant in ["acme", "globex"] {
        put(&before, tenant, &document(&json!(SECRET))).await.unwrap();
    }
    assert!(
        with(&world, std::slice::from_ref(&new), SERVES).await.is_err(),
        "not without the old one"
    );
    let (store, secrets) = with(&world, &[new.clone(), old.clone()], SERVES).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    let done = secrets.reseal().await.unwrap();
    assert_eq!((done.documents, done.left), (2, 0));
    assert_eq!(done.secrets, [(new.id().to_owned(), 4)].into());
    let (store, _) = with(&world, std::slice::from_ref(&new), SERVES).await.unwrap();
    assert_eq!(doc(&store, "globex").await, document(&json!(SECRET)));
    assert!(why(with(&world, &[old], SERVES).await).contains(new.id()));
}

#[tokio::test]
async fn a_server_that_still_seals_with_the_old_key_loses_nothing() {
    let world = World::new();
    let (old, new) = (key(), key());
    let (late, _) = with(&world, &[old.clone(), new.clone()], SERVES).await.unwrap();
    let (_, secrets) = with(&world, &[new.clone(), old.clone()], SERVES).await.unwrap();
    secrets.reseal().await.unwrap();
    put(&late, "acme", &document(&json!(SECRET))).await.unwrap();
    // The check forgot the old key; the document did not.
    assert!(why(with(&world, std::slice::from_ref(&new), SERVES).await).contains(old.id()));
    let (_, secrets) = with(&world, &[new.clone(), old], SERVES).await.unwrap();
    assert_eq!(secrets.reseal().await.unwrap().left, 0);
    assert!(with(&world, &[new], SERVES).await.is_ok());
}

#[tokio::test]
async fn a_sealed_secret_cannot_be_moved_and_costs_nobody_else_anything() {
    let world = World::new();
    let (store, secrets) = with(&world, &[key()], SERVES).await.unwrap();
    for tenant in ["acme", "globex"] {
        put(&store, tenant, &document(&json!(SECRET))).await.unwrap();
    }
    // As somebody who can write to the store, but not decrypt, would.
    let stolen = doc(&world.open(), "acme").await["destinations"][0]["secret"].clone();
    put(&world.open(), "mallory", &document(&stolen)).await.unwrap();
    let read = doc(&store, "mallory").await;
    assert!(!read["destinations"][0]["secret"].is_string(), "it does not open there");
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)), "others go on");
    assert_eq!(secrets.reseal().await.unwrap().left, 1, "and is told of");
    // Nor by asking the server to keep it.
    let refused = put(&store, "eve", &document(&stolen)).await;
    assert!(matches!(refused, Err(StoreError::Secrets(_))), "{refused:?}");
}

#[tokio::test]
async fn a_store_of_its_own_makes_a_key_unless_another_is_there() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::new());
    let path = dir.path().join("master.key");
    let own = |serves| Wanted { serves, development: false, own_file: Some(&path) };
    let (store, secrets) = with(&world, &[], own(false)).await.unwrap();
    assert_eq!(secrets.made(), Some(&*path), "a tool may come first");
    put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
    let (store, secrets) = with(&world, &[], own(true)).await.unwrap();
    assert_eq!(secrets.made(), None);
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));

    // A key that is given takes over from it.
    let given = key();
    let (_, secrets) = with(&world, std::slice::from_ref(&given), own(true)).await.unwrap();
    secrets.reseal().await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let told = why(with(&world, &[], own(true)).await);
    assert!(told.contains(given.id()), "no other key is made in its place: {told}");
    assert!(!path.exists());
    let (store, _) = with(&world, &[given], own(true)).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    assert!(!path.exists(), "nor is one made beside a given one");
}
