//! Amazon Machine Images.

use agentless_tests::judge::{self, Account, Disk, KeyValue, Policy};
use agentless_tests::packages;
use scanner_policy::{Feature, PolicyDocument, Scope, tags};
use serde_json::Value;

use crate::scene::{Scene, delegate_policy, run_scanner};

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[tokio::test]
async fn an_image_is_scanned_by_copies_with_exactly_the_permissions_for_images() {
    let scene = Scene::new().await;
    let (image, snapshot) = scene.aws.image_of_volume(&scene.instance.volume_id, &[]).await.unwrap();
    scene.aws.clear_calls();
    let arguments = ["scan", &image, "--packages", "system", "--format", "cyclonedx-json"];
    let finished = run_scanner(&scene.aws.environment(), &arguments).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(packages::in_bom(&document).unwrap(), packages::installed_here().unwrap());
    assert_eq!(document["metadata"]["component"]["name"], *image);
    scene.nothing_is_left("a scan of an image").await;
    // It is found with the same permissions.
    let arguments = ["discover", "--features", "images", "--json"];
    let finished = run_scanner(&scene.aws.environment(), &arguments).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    let mut ids = found["targets"].as_array().unwrap().iter().map(|target| &target["id"]);
    assert!(ids.any(|id| *id == *image), "{found}");

    // As if the image were encrypted: the local AWS checks no keys.
    let original = Disk { kms_key: Some(KEY.to_owned()), ..Disk::default() };
    let calls = scene.aws.calls();
    let account = Account {
        id: "123456789012".to_owned(),
        snapshots: [(snapshot.clone(), original)].into(),
        ..Account::default()
    };
    let account = account.with_snapshots_of(&calls);
    let scope = Scope {
        region: "us-east-1".parse().unwrap(),
        account: "123456789012".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    let policy = PolicyDocument::for_scanner(&scope, &[Feature::Images]).unwrap();
    let policy = Policy::from_json(&policy.to_json()).unwrap();
    let verdict = judge::judge(&policy, &calls, &account).unwrap();
    assert_eq!(verdict.denied, []);
    assert_eq!(verdict.needless, [""; 0]);
    // And with those of a delegate role, as if the image were another account's.
    let delegate = delegate_policy(&[Feature::Images]);
    let delegated = judge::judge(&delegate, &calls, &account).unwrap();
    assert_eq!((delegated.denied, delegated.needless), (Vec::new(), Vec::new()));

    // An opt-out on the image's snapshot is refused by IAM, whatever the scanner does.
    let copying = |check: &&judge::Authorization| check.resource.ends_with(&snapshot);
    let mut opted_out = verdict.authorizations.iter().find(copying).unwrap().clone();
    opted_out
        .context
        .insert(format!("aws:ResourceTag/{}", tags::SCANNER), KeyValue::One(tags::FALSE.to_owned()));
    assert!(!policy.allows(&opted_out).unwrap(), "{opted_out}");
    assert!(!delegate.allows(&opted_out).unwrap(), "{opted_out}");
}

#[tokio::test]
async fn an_image_whose_owner_opted_out_is_not_copied() {
    let scene = Scene::new().await;
    let opted_out = [(tags::SCANNER, tags::FALSE)];
    let (image, _) = scene.aws.image_of_volume(&scene.instance.volume_id, &opted_out).await.unwrap();
    scene.aws.clear_calls();
    let finished = run_scanner(&scene.aws.environment(), &["scan", &image]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("must not be scanned"), "{}", finished.stderr);
    assert!(scene.aws.calls().iter().all(|call| call.action == "DescribeImages"));
}
