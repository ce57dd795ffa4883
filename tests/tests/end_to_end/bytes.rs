//! What a scan fetches.

use std::fs;

use serde_json::Value;

use crate::scene::Scene;

/// A dozen blocks hold a package database and the way to it. There is room for those of a machine with more packages.
#[tokio::test]
async fn the_packages_of_the_system_cost_few_blocks() {
    const MOST: u64 = 40;

    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let figures = folder.path().join("figures.json");
    let summary = figures.to_str().unwrap();
    let finished = scene.scan(&["--packages", "system", "--summary", summary]).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let figures: Value = serde_json::from_slice(&fs::read(&figures).unwrap()).unwrap();
    let fetched = figures["blocks_fetched"].as_u64().unwrap();
    assert!(fetched <= MOST, "{figures}");
}
