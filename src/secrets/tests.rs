//! Secrets over a store in memory: encrypted in the store, decrypted for its users, and refused if
//! a key is missing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use fanfare_store::memory::World;
use fanfare_store::{Store, StoreError};

const SECRET: &str = "whsec_a-secret-of-the-receiver";
const SERVES: KeyPolicy<'_> = KeyPolicy { serves: true, development: false, own_file: None };
const TOOL: KeyPolicy<'_> = KeyPolicy { serves: false, ..SERVES };

fn fields(channel: &str) -> &'static [&'static str] {
    if channel == "webhook" { &["secret", "previous_secrets"] } else { &[] }
}

async fn with(
    world: &Arc<World>,
    keys: &[MasterKey],
    policy: KeyPolicy<'_>,
) -> Result<(Store, Secrets), StoreError> {
    Secrets::set_up(world.open(), keys.to_vec(), fields, policy).await
}

fn key() -> MasterKey {
    MasterKey::generate().unwrap()
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
    let found = store.directory.get(id).await.unwrap().expect("it is there");
    serde_json::from_slice(&found.doc).unwrap()
}

fn why(refused: Result<(Store, Secrets), StoreError>) -> String {
    match refused {
        Err(StoreError::Secrets(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[tokio::test]
async fn secrets_are_encrypted_in_the_store_and_decrypted_when_read() {
    let world = World::new();
    let (store, _) = with(&world, &[key()], SERVES).await.unwrap();
    let written = document(&json!(SECRET));
    put(&store, "acme", &written).await.unwrap();
    assert_eq!(doc(&store, "acme").await, written);
    let kept = doc(&world.open(), "acme").await;
    assert!(!kept.to_string().contains(SECRET), "{kept}");
    assert!(kept["destinations"][0]["previous_secrets"]["$sealed"].is_string());
    assert_eq!(kept["destinations"][1], written["destinations"][1], "nothing else is encrypted");
    assert_eq!(kept["destinations"][0]["rate"], "1/s");
}

#[tokio::test]
async fn a_server_with_a_wrong_key_or_none_does_not_start() {
    let world = World::new();
    let right = key();
    let (store, _) = with(&world, std::slice::from_ref(&right), SERVES).await.unwrap();
    let wrong = key();
    for before_and_after in 0..2 {
        let reason = why(with(&world, std::slice::from_ref(&wrong), SERVES).await);
        assert!(reason.contains(right.id()) && reason.contains(wrong.id()), "{reason}");
        assert!(!reason.contains(&right.reveal()) && !reason.contains(&wrong.reveal()), "{reason}");
        assert!(why(with(&world, std::slice::from_ref(&wrong), TOOL).await).contains(right.id()));
        for development in [true, false] {
            let reason = why(with(&world, &[], KeyPolicy { development, ..SERVES }).await);
            assert!(reason.contains(right.id()), "{reason}");
        }
        if before_and_after == 0 {
            put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
        }
    }
    assert!(with(&world, &[right], SERVES).await.is_ok());
}

#[tokio::test]
async fn a_server_without_a_key_starts_only_in_development() {
    let world = World::new();
    let reason = why(with(&world, &[], SERVES).await);
    assert!(reason.contains("fanfare secrets new-key"), "{reason}");
    // A tool cannot write secrets either.
    let (tool, _) = with(&world, &[], TOOL).await.unwrap();
    let refused = put(&tool, "acme", &document(&json!(SECRET))).await;
    assert!(matches!(refused, Err(StoreError::Secrets(_))), "{refused:?}");
    put(&tool, "globex", &json!({"destinations": [{"id": "m", "channel": "email"}]}))
        .await
        .unwrap();

    let (store, secrets) =
        with(&world, &[], KeyPolicy { development: true, ..SERVES }).await.unwrap();
    assert!(secrets.are_plain());
    put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
    let (tool, _) = with(&world, &[], TOOL).await.unwrap();
    put(&tool, "acme", &document(&json!("whsec_another"))).await.unwrap();
}

#[tokio::test]
async fn a_tool_without_the_key_passes_encrypted_secrets_through() {
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
async fn unencrypted_secrets_are_encrypted_at_the_next_start() {
    let world = World::new();
    put(&world.open(), "acme", &document(&json!(SECRET))).await.unwrap();
    let (store, secrets) = with(&world, &[key()], SERVES).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)), "it can be read meanwhile");
    let done = secrets.reseal().await.unwrap();
    assert_eq!((done.documents, done.left), (1, 0));
    assert_eq!(secrets.inspect().await.unwrap().plain, 0);
    assert!(!doc(&world.open(), "acme").await.to_string().contains(SECRET));
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    assert_eq!(secrets.reseal().await.unwrap().documents, 0, "once is enough");
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_no_longer_needed() {
    let world = World::new();
    let (old, new) = (key(), key());
    let (before, _) = with(&world, std::slice::from_ref(&old), SERVES).await.unwrap();
    for tenant in ["acme", "globex"] {
        put(&before, tenant, &document(&json!(SECRET))).await.unwrap();
    }
    assert!(
        with(&world, std::slice::from_ref(&new), SERVES).await.is_err(),
        "the old key is still needed"
    );
    let (store, secrets) = with(&world, &[new.clone(), old.clone()], SERVES).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    let done = secrets.reseal().await.unwrap();
    assert_eq!((done.documents, done.left), (2, 0));
    let inspected = secrets.inspect().await.unwrap();
    assert_eq!(inspected.secrets, [(new.id().to_owned(), 4)].into());
    let (store, _) = with(&world, std::slice::from_ref(&new), SERVES).await.unwrap();
    assert_eq!(doc(&store, "globex").await, document(&json!(SECRET)));
    assert!(why(with(&world, &[old], SERVES).await).contains(new.id()));
}

#[tokio::test]
async fn a_server_that_still_encrypts_with_the_old_key_loses_nothing() {
    let world = World::new();
    let (old, new) = (key(), key());
    let (late, _) = with(&world, &[old.clone(), new.clone()], SERVES).await.unwrap();
    let (_, secrets) = with(&world, &[new.clone(), old.clone()], SERVES).await.unwrap();
    secrets.reseal().await.unwrap();
    put(&late, "acme", &document(&json!(SECRET))).await.unwrap();
    // The check values no longer have the old key, but the document does.
    assert!(why(with(&world, std::slice::from_ref(&new), SERVES).await).contains(old.id()));
    let (_, secrets) = with(&world, &[new.clone(), old], SERVES).await.unwrap();
    assert_eq!(secrets.reseal().await.unwrap().left, 0);
    assert!(with(&world, &[new], SERVES).await.is_ok());
}

#[tokio::test]
async fn a_start_reads_no_document_unless_a_key_was_forgotten() {
    let (world, key) = (World::new(), key());
    let (store, _) = with(&world, std::slice::from_ref(&key), SERVES).await.unwrap();
    for n in 0..20 {
        put(&store, &format!("t{n}"), &document(&json!(SECRET))).await.unwrap();
    }
    // Any read of a document or of the feed would fail.
    for call in ["directory.get", "directory.list", "directory.changed_since"] {
        world.faults.fail(call, 1_000);
    }
    assert!(with(&world, &[key], SERVES).await.is_ok());
}

#[tokio::test]
async fn an_encrypted_secret_cannot_be_moved_and_does_not_affect_other_tenants() {
    let world = World::new();
    let (store, secrets) = with(&world, &[key()], SERVES).await.unwrap();
    for tenant in ["acme", "globex"] {
        put(&store, tenant, &document(&json!(SECRET))).await.unwrap();
    }
    // As an attacker would who can write to the store but not decrypt.
    let stolen = doc(&world.open(), "acme").await["destinations"][0]["secret"].clone();
    put(&world.open(), "mallory", &document(&stolen)).await.unwrap();
    let read = doc(&store, "mallory").await;
    assert!(!read["destinations"][0]["secret"].is_string(), "it does not decrypt there");
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)), "others are not affected");
    assert_eq!(secrets.reseal().await.unwrap().left, 1, "and it is reported");
    // Nor can a server be asked to store it.
    let refused = put(&store, "eve", &document(&stolen)).await;
    assert!(matches!(refused, Err(StoreError::Secrets(_))), "{refused:?}");
}

#[tokio::test]
async fn an_embedded_store_creates_a_key_file_unless_it_has_a_key() {
    let (dir, world) = (tempfile::tempdir().unwrap(), World::new());
    let path = dir.path().join("master.key");
    let own = |serves| KeyPolicy { serves, development: false, own_file: Some(&path) };
    let (store, secrets) = with(&world, &[], own(false)).await.unwrap();
    assert_eq!(secrets.created_key_file(), Some(&*path), "a tool may come first");
    put(&store, "acme", &document(&json!(SECRET))).await.unwrap();
    let (store, secrets) = with(&world, &[], own(true)).await.unwrap();
    assert_eq!(secrets.created_key_file(), None);
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));

    // A key that is passed replaces it.
    let given = key();
    let (_, secrets) = with(&world, std::slice::from_ref(&given), own(true)).await.unwrap();
    secrets.reseal().await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let reason = why(with(&world, &[], own(true)).await);
    assert!(reason.contains(given.id()), "no other key is created in its place: {reason}");
    assert!(!path.exists());
    let (store, _) = with(&world, &[given], own(true)).await.unwrap();
    assert_eq!(doc(&store, "acme").await, document(&json!(SECRET)));
    assert!(!path.exists(), "and none is created beside a key that is passed");
}
