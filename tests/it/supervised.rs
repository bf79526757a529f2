//! What systemd, Docker and Kubernetes rely on: health, and a reload that never ends the server.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::scene::{Scene, said};
use crate::support::{PATIENCE, start_fanfare, until};

#[test]
fn health_distinguishes_ready_unready_and_absent_servers() {
    let scene = Scene::embedded();
    let mut server = scene.start();
    let address = server.address().to_string();
    assert_eq!(said(&["health", "--listen", &address]).ok(), "ready: embedded store, 0 tenants\n");
    let json = said(&["health", "--server", &server.url(""), "--json"]).ok_json();
    assert_eq!(json["data"]["store"], "embedded");
    // The settings of the server lead to it, too.
    let settings = scene.file("there.toml", format!("listen = \"{address}\"\n"));
    said(&["health", "--config", &settings]).ok();

    // Without its file, the server answers, and is not ready.
    fs::remove_file(Path::new(scene.store()).join("fanfare.db")).expect("the store's file");
    let not_ready = until(PATIENCE, || {
        let health = said(&["health", "--listen", &address]);
        (health.code != Some(0)).then_some(health)
    });
    let why = not_ready.expect("the server notices").refused(1);
    assert!(why.contains("is not ready"), "{why}");

    server.kill9();
    let why = said(&["health", "--listen", &address]).refused(3);
    assert!(why.contains("cannot reach the server"), "{why}");
}

#[test]
fn a_reload_without_tenant_files_does_not_end_the_server() {
    let scene = Scene::embedded();
    let ready = scene.path("ready");
    let mut server = start_fanfare(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--store",
        scene.store(),
        "--ready-file",
        &ready.display().to_string(),
    ]);
    let address =
        until(PATIENCE, || fs::read_to_string(&ready).ok().filter(|text| !text.is_empty()));
    let address = address.expect("it is ready");
    for _ in 0..3 {
        server.signal(Signal::SIGHUP);
        said(&["health", "--listen", &address]).ok();
    }
    assert!(server.exited().is_none());
    server.signal(Signal::SIGTERM);
    let output = server.output();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("SIGHUP loads nothing"), "{log}");
}
