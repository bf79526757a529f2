//! `fanfare bench` says in one object what it measured. How fast it was is nobody's concern here.

use serde_json::Value;
use tempfile::tempdir;

use crate::scene::said;

const CASES: &str = "limit_hyper,limit_reqwest,naive_redis,drain_redis,drain_embedded,fanout_10,\
                     rest_redis,rest_embedded";

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "asks /proc")]
fn a_bench_tells_figures_by_case_and_ratios_between_them_and_draws_these() {
    let dir = tempdir().unwrap();
    let plot = dir.path().join("ratios.svg");
    let drawn = plot.display().to_string();
    let told =
        said(&["bench", "--quick", "--rounds", "2", "--only", CASES, "--json", "--plot", &drawn]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let told: Value = serde_json::from_str(&told.out).expect("one object");
    assert_eq!((&told["rounds"], &told["skipped"]), (&2.into(), &Value::Array(Vec::new())));
    let figure = |case: &str, name: &str| told["cases"][case][name].as_f64().unwrap_or_default();
    for case in CASES.split(',').filter(|case| !case.starts_with("rest")) {
        assert!(figure(case, "per_s") > 0.0, "{case}: {told}");
    }
    for rate in ["open_100_p50_ms", "open_1000_p99_ms"] {
        assert!(figure("limit_hyper", rate) > 0.0, "{told}");
    }
    for case in ["drain_redis", "drain_embedded", "fanout_10"] {
        for name in ["settled_per_s", "cpu_s_per_1000_fanfare", "peak_mib_fanfare", "ready_ms"] {
            assert!(figure(case, name) > 0.0, "{case}, {name}: {told}");
        }
        let ratio = told["ratios"][format!("{case}/limit_reqwest")].as_f64();
        assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{case}: {told}");
    }
    for case in ["rest_redis", "rest_embedded"] {
        for name in ["ready_ms", "ready_many_ms", "resident_mib", "idle_cpu_percent", "binary_mib"]
        {
            assert!(figure(case, name) > 0.0, "{case}, {name}: {told}");
        }
        assert_eq!(told["ratios"][format!("{case}/limit_reqwest")], Value::Null);
    }
    let picture = std::fs::read_to_string(plot).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("drain_redis"));
}
