//! `/readyz` covers the whole path: each step that does not go on has a word of its own, and a
//! metric.

use crate::scene::Scene;
use crate::support::{PATIENCE, Redis, until};

#[test]
fn every_step_that_stops_has_its_own_word_and_its_metric_and_goes_on_by_itself() {
    let redis = Redis::start_durable();
    let scene = Scene::on(&redis);
    scene.tenant("acme", "");
    let router = scene.start();
    let code = || {
        let answer = router.get("/readyz");
        (answer.status == 503)
            .then(|| answer.json()["error"]["code"].as_str().expect("a code").to_owned())
    };
    let metric = |name: &str| {
        let text = router.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("fanfare_{name} ")));
        line.expect("the metric is there").to_owned()
    };
    let well = || code().is_none().then_some(());
    until(PATIENCE, well).expect("it is ready");
    assert_eq!(["appending", "reading", "settling", "serving"].map(metric), ["1.0"; 4]);
    for (permission, word, name) in [
        ("xadd", "not_appending", "appending"),
        ("xreadgroup", "not_reading", "reading"),
        ("zrangebyscore", "not_serving", "serving"),
    ] {
        redis.ask::<()>(&["ACL", "SETUSER", "default", &format!("-{permission}")]);
        let said = || (code().as_deref() == Some(word)).then_some(());
        until(PATIENCE, said).unwrap_or_else(|| panic!("{permission}: {:?}", code()));
        let shown = || (metric(name) == "0.0").then_some(());
        until(PATIENCE, shown).unwrap_or_else(|| panic!("{name} is not 0"));
        redis.ask::<()>(&["ACL", "SETUSER", "default", &format!("+{permission}")]);
        until(PATIENCE, well).unwrap_or_else(|| panic!("{permission} is back: {:?}", code()));
    }
}
