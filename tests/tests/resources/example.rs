//! The examples, applied as a user would.

use std::fs;
use std::path::{Path, PathBuf};

use agentless_tests::terraform::Terraform;

use crate::scanner::{assert_gone, group_named};
use crate::shared::{image, local_aws, network, terraform, unique};

#[tokio::test]
async fn the_quickstart_is_applied_and_destroyed() {
    let (name, network) = (unique("quickstart"), network().await);
    let mut terraform = Terraform::with_example(local_aws().await, "quickstart").unwrap();
    terraform.set_variable("name", &name);
    terraform.set_variable("region", "us-east-1");
    terraform.set_variable("vpc_id", &network.vpc_id);
    terraform.set_variable("subnet_ids", format!("{:?}", network.subnet_ids));
    terraform.set_variable("image_id", image().await);
    terraform.init().await.unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    assert_eq!(state.addresses().len(), 3);
    let policy = state.output("policy").and_then(serde_json::Value::as_str).unwrap();
    assert!(policy.contains("ebs:GetSnapshotBlock"), "{policy}");
    assert_eq!(group_named(&name).await.unwrap().instances().len(), 1);
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
    local_aws().await.assert_no_unimplemented();
}

/// What the Registry's pages show is formatted and valid. It names things that do not exist, so it is not applied.
#[tokio::test]
async fn the_examples_of_the_pages_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let of = |kind: &str, file: &str| -> Vec<PathBuf> {
        let folders = fs::read_dir(examples.join(kind)).unwrap();
        folders.map(|entry| entry.unwrap().path().join(file)).collect()
    };
    let mut files = of("resources", "resource.tf");
    files.extend(of("data-sources", "data-source.tf"));
    assert_eq!(files.len(), 8);
    files.push(examples.join("provider/provider.tf"));
    for file in files {
        let config = fs::read_to_string(&file).unwrap();
        let terraform = Terraform::with_config(local_aws().await, &config).unwrap();
        terraform.init().await.unwrap();
        terraform.run(&["validate", "-no-color"]).await.unwrap().success().unwrap();
    }
    let examples = examples.to_string_lossy().into_owned();
    let terraform = terraform("").await;
    terraform.run(&["fmt", "-check", "-recursive", "-diff", &examples]).await.unwrap().success().unwrap();
}
