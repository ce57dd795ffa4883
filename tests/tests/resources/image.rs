use agentless_tests::local_aws::{Effect, Fault};
use agentless_tests::terraform::Terraform;
use aws_sdk_ec2::types::ArchitectureValues;
use serde_json::json;

use crate::shared::{local_aws, terraform, text, unique};

const IMAGE: &str = "data.datadog_agentless_scanner_image.this";
const VERSION: &str = "DatadogAgentlessScannerVersion";

fn config(arguments: &str) -> String {
    format!("data \"datadog_agentless_scanner_image\" \"this\" {{\n{arguments}\n}}\n")
}

/// An image of a scanner, made at this time, that is told from those of other tests by a tag.
async fn scanner_image(build: &str, created: &str, deprecated: Option<&str>) -> String {
    let tags =
        [("build", build), (VERSION, "1.2.3"), ("DatadogAgentlessScannerCommit", "abcdef0"), ("Name", "it")];
    let aws = local_aws().await;
    let id = aws.register_image(build, ArchitectureValues::Arm64, &tags).await.expect("an image");
    aws.set_image_dates(&id, created, deprecated).await.expect("its dates");
    id
}

async fn looking_for(build: &str, more: &str) -> Terraform {
    terraform(&config(&format!("required_tags = {{ build = \"{build}\" }}\n{more}"))).await
}

#[tokio::test]
async fn the_newest_image_is_found() {
    let build = unique("build");
    scanner_image(&build, "2025-01-01T00:00:00.000Z", None).await;
    let newest = scanner_image(&build, "2025-03-01T00:00:00.000Z", Some("2099-01-01T00:00:00.000Z")).await;
    scanner_image(&build, "2025-02-01T00:00:00.000Z", None).await;
    let deprecated =
        scanner_image(&build, "2025-04-01T00:00:00.000Z", Some("2025-05-01T00:00:00.000Z")).await;
    // One that is no scanner's.
    let tags = [("build", build.as_str())];
    local_aws().await.register_image(&build, ArchitectureValues::Arm64, &tags).await.unwrap();

    let terraform = looking_for(&build, "").await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    for (name, value) in [
        ("id", newest.as_str()),
        ("arn", &format!("arn:aws:ec2:us-east-1::image/{newest}")),
        ("architecture", "arm64"),
        ("region", "us-east-1"),
        ("owner_id", "123456789012"),
        ("creation_date", "2025-03-01T00:00:00.000Z"),
        ("deprecation_time", "2099-01-01T00:00:00.000Z"),
        ("scanner_version", "1.2.3"),
        ("commit", "abcdef0"),
    ] {
        assert_eq!(text(&state, IMAGE, name), value, "{name}");
    }
    assert!(text(&state, IMAGE, "name").starts_with(&build));
    assert_eq!(state.attribute(IMAGE, "tags").unwrap()["Name"], json!("it"));
    assert_eq!(*state.attribute(IMAGE, "owners").unwrap(), json!(["self"]));
    assert!(!text(&state, IMAGE, "root_device_name").is_empty());

    let more = "include_deprecated = true";
    terraform.set_config(&config(&format!("required_tags = {{ build = \"{build}\" }}\n{more}"))).unwrap();
    terraform.apply().await.unwrap();
    assert_eq!(text(&terraform.state().await.unwrap(), IMAGE, "id"), deprecated);

    // The image that is built next shows in the next plan.
    let next = scanner_image(&build, "2025-06-01T00:00:00.000Z", None).await;
    terraform.apply().await.unwrap();
    assert_eq!(text(&terraform.state().await.unwrap(), IMAGE, "id"), next);
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn images_are_found_on_every_page() {
    let build = unique("build");
    let mut ids = Vec::new();
    for month in 1..=5 {
        ids.push(scanner_image(&build, &format!("2025-0{month}-01T00:00:00.000Z"), None).await);
    }
    let pages = Fault::on("ec2", "DescribeImages", Effect::SmallPages(1));
    local_aws().await.inject(pages.with_parameter("Filter.3.Value.1", &format!("{build}*")));
    let terraform =
        terraform(&config(&format!("name_prefix = \"{build}\"\nowners = [\"123456789012\"]"))).await;
    terraform.apply().await.unwrap();
    assert_eq!(Some(&text(&terraform.state().await.unwrap(), IMAGE, "id")), ids.last());
    let calls = local_aws().await.calls();
    let looked = calls.iter().filter(|call| {
        call.permission() == "ec2:DescribeImages"
            && call.parameters.get("Filter.3.Value.1") == Some(&format!("{build}*"))
    });
    assert!(looked.count() >= 5);
}

#[tokio::test]
async fn what_is_not_found_is_told() {
    let build = unique("build");
    let terraform = looking_for(&build, "").await;
    let failed = terraform.plan_fails().await.unwrap();
    for part in ["No scanner image found", "us-east-1", "arm64", &build] {
        assert!(failed.stderr.contains(part), "{}", failed.stderr);
    }
    scanner_image(&build, "2025-01-01T00:00:00.000Z", None).await;
    let arguments = |more: &str| config(&format!("required_tags = {{ build = \"{build}\" }}\n{more}"));
    for (more, said) in [
        ("architecture = \"x86_64\"", "No scanner image found"),
        ("architecture = \"sparc\"", "must be one of \"arm64\", \"x86_64\""),
        ("region = \"eu-west-1\"", "eu-west-1"),
        ("owners = [\"444455556666\"]", "Set name_prefix"),
        ("owners = [\"*\"]", "an account id of twelve digits"),
        ("max_age = \"a month\"", "a duration such as"),
        ("max_age = \"720h\"\nmax_age_action = \"fail\"", "The newest scanner image is too old"),
    ] {
        terraform.set_config(&arguments(more)).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        let stderr = failed.stderr.replace("\n│", "").replace("  ", " ");
        assert!(stderr.contains(said), "{more}: {}", failed.stderr);
    }
    terraform.set_config(&arguments("max_age = \"720h\"")).unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("Warning: The newest scanner image is too old"), "{}", plan.text);
}
