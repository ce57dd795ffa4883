//! Scans in AWS by a scanner that has given up what it does not need.

use std::fs;

use serde_json::Value;

use crate::scene::Scene;

#[tokio::test]
async fn a_protected_scan_keeps_its_blocks_in_a_temporary_file() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (config, figures) = (folder.path().join("config.json"), folder.path().join("figures.json"));
    // Next to no block stays in memory.
    fs::write(&config, r#"{"sandbox": "required", "limits": {"block_cache_bytes": 0}}"#).unwrap();
    let [config, summary] = [&config, &figures].map(|path| path.to_str().unwrap());
    let finished = scene.scan(&["--config", config, "--summary", summary]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    // Nothing comes before the summary: no warning that protection is missing, or that a block could not be kept.
    assert!(finished.stderr.starts_with("Target "), "{}", finished.stderr);
    let figures: Value = serde_json::from_slice(&fs::read(&figures).unwrap()).unwrap();
    let number = |name: &str| figures[name].as_u64().unwrap();
    assert!(number("blocks_fetched") > 1, "{figures}");
    assert!(number("blocks_fetched") <= number("blocks_allocated"), "{figures}");
    assert!(number("analyser_peak_rss_bytes") > 1 << 20, "{figures}");
    scene.nothing_is_left("a protected scan").await;
}
