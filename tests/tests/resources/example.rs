//! The examples, applied as a user would: each in an account of its own, which must be as before when it is destroyed.

mod account;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agentless_tests::terraform::{Installed, State, Terraform};
use serde_json::{Value as Json, json};

use self::account::Account;
use crate::shared::{local_aws, terraform, unique};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Every folder in `examples/` is applied, planned again without changes, and destroyed, all side by side. Whoever adds
/// one adds how it is applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_is_applied_and_destroyed() {
    let mut running = tokio::task::JoinSet::new();
    for folder in folders(&examples()) {
        match folder.as_str() {
            "quickstart" => running.spawn(quickstart()),
            "complete" => running.spawn(complete()),
            "single-region" => running.spawn(single_region()),
            "multi-region" => running.spawn(multi_region()),
            "existing-network" => running.spawn(existing_network()),
            "cross-account/both" => running.spawn(both_accounts()),
            "cross-account/scanner-account" => running.spawn(one_account_after_the_other()),
            "scheduled-image-build" => running.spawn(scheduled_image_build()),
            // Of another provider (`the_pipeline_of_codebuild_is_valid`); and with that of the scanner's account, on which it
            // depends.
            "scheduled-image-build/codebuild" | "cross-account/target-account" => continue,
            _ => panic!("no test applies examples/{folder}"),
        };
    }
    assert_eq!(running.len(), 8);
    let mut failed = 0;
    while let Some(ended) = running.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "see above");
}

async fn quickstart() {
    let account = Account::new(&["us-east-1"]).await;
    let network = account.network("us-east-1").await;
    let mut terraform = account.terraform("quickstart");
    terraform.set_variable("region", "us-east-1");
    terraform.set_variable("vpc_id", &network.vpc_id);
    terraform.set_variable("subnet_ids", json!(network.subnet_ids).to_string());
    terraform.set_variable("image_id", account.image("us-east-1").await);
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    assert_eq!(state.addresses().len(), 3);
    assert!(output(&state, "policy").contains("ebs:GetSnapshotBlock"));
    // What shows that nothing is left shows what is there: role, profile, group, template, scaling group, instance.
    assert!(account.inventory().await.len() >= before.len() + 6);
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

async fn single_region() {
    let account = Account::new(&["eu-west-2"]).await;
    let named = account.image("eu-west-2").await;
    let mut terraform = account.terraform("single-region");
    terraform.set_variable("region", "eu-west-2");
    terraform.set_variable("image_id", named.as_str());
    terraform.set_variable("datadog_api_key", KEY);
    terraform.set_variable("secret_recovery_days", "0");
    terraform.set_variable("tags", r#"{"team":"security"}"#);
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    assert_eq!(output(&state, "image_id"), named);
    assert_eq!(state.output("nat_addresses").and_then(Json::as_array).map(Vec::len), Some(1));
    assert!(output(&state, "policy").contains(&output(&state, "secret_arn")));
    let stored = fs::read_to_string(terraform.directory().join("terraform.tfstate")).expect("a state");
    assert!(!stored.contains(KEY), "the API key is in the state");

    // On other days the key is not there, and without a name it is the newest image that is taken.
    terraform.unset_variable("datadog_api_key");
    terraform.unset_variable("image_id");
    let newest = account.image("eu-west-2").await;
    let state = applied(&terraform).await;
    assert_eq!(output(&state, "image_id"), newest);
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

/// The same in GovCloud and in China, where no ARN begins with `arn:aws:`.
#[tokio::test]
async fn an_example_is_applied_in_other_partitions() {
    for (region, partition) in [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")] {
        let account = Account::new(&[region]).await;
        let image = account.image(region).await;
        let mut terraform = account.terraform("single-region");
        terraform.set_variable("region", region);
        terraform.set_variable("image_id", image);
        terraform.set_variable("datadog_api_key", KEY);
        terraform.set_variable("secret_recovery_days", "0");
        let before = account.inventory().await;
        let state = applied(&terraform).await;
        for name in ["secret_arn", "policy"] {
            let said = output(&state, name);
            assert!(said.contains(&format!("arn:{partition}:")) && !said.contains("arn:aws:"), "{said}");
        }
        let stored = fs::read_to_string(terraform.directory().join("terraform.tfstate")).expect("a state");
        let foreign = stored.split('"').find(|text| text.contains("arn:aws:"));
        assert_eq!(foreign, None, "{region}");
        terraform.destroy().await.expect("terraform destroy");
        account.assert_as(&before).await;
    }
}

async fn multi_region() {
    let regions = ["eu-central-1", "us-west-2"];
    let account = Account::new(&regions).await;
    let mut terraform = account.terraform("multi-region");
    let [named, found] = [account.image(regions[0]).await, account.image(regions[1]).await];
    let of_regions = json!({regions[0]: {"image_id": named}, regions[1]: {"cidr_block": "10.43.0.0/20"}});
    terraform.set_variable("regions", of_regions.to_string());
    terraform.set_variable("datadog_api_key", KEY);
    terraform.set_variable("secret_recovery_days", "0");
    terraform.set_variable("egress", "endpoints");
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    let scanners = state.output("scanners").expect("an output").clone();
    for (region, image) in regions.into_iter().zip([named, found]) {
        let told = |name: &str| scanners.pointer(&format!("/{region}/{name}")).and_then(Json::as_str);
        assert_eq!(told("image_id"), Some(image.as_str()));
        let scanner = told("scanner_arn").unwrap_or_default();
        assert!(scanner.contains(region), "{scanner}");
    }

    // A region that is left out goes, and the other one stays.
    terraform.set_variable("regions", json!({regions[1]: {"cidr_block": "10.43.0.0/20"}}).to_string());
    let state = applied(&terraform).await;
    let left = state.output("scanners").expect("an output");
    assert_eq!(left.get(regions[1]), scanners.get(regions[1]));
    assert_eq!(left.get(regions[0]), None);
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

async fn existing_network() {
    let account = Account::new(&["eu-west-1"]).await;
    let network = account.network("eu-west-1").await;
    let mut terraform = account.terraform("existing-network");
    terraform.set_variable("region", "eu-west-1");
    terraform.set_variable("vpc_id", &network.vpc_id);
    terraform.set_variable("subnet_ids", json!(network.subnet_ids).to_string());
    terraform.set_variable("egress_cidr_blocks", r#"["10.42.0.0/16"]"#);
    terraform.set_variable("egress_prefix_list_ids", r#"["pl-0123456789abcdef0"]"#);
    terraform.set_variable("image_id", account.image("eu-west-1").await);
    terraform.set_variable("report_bucket", "example-package-lists");
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    assert!(output(&state, "policy").contains("example-package-lists/package-lists/"));
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

async fn complete() {
    const DELEGATE: &str = "arn:aws:iam::444455556666:role/agentless-scanner-delegate";
    let account = Account::new(&["eu-west-3"]).await;
    let mut terraform = account.terraform("complete");
    let key = format!("arn:aws:kms:eu-west-3:{}:key/1234abcd-12ab-34cd-56ef-1234567890ab", account.id);
    terraform.set_variable("region", "eu-west-3");
    terraform.set_variable("image_id", account.image("eu-west-3").await);
    terraform.set_variable("datadog_api_key", KEY);
    terraform.set_variable("secret_recovery_days", "0");
    terraform.set_variable("report_bucket", "example-package-lists");
    terraform.set_variable("report_kms_key_arn", &key);
    terraform.set_variable("tasks_url", "https://example.com/tasks.json");
    terraform.set_variable("tasks_public_key", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
    terraform.set_variable("delegate_role_arn", DELEGATE);
    terraform.set_variable("external_id", "agreed-id");
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    let configuration = configuration(&output(&state, "user_data"));
    let told = |pointer: &str| configuration.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
    // All of the settings but what is for an instance of one's own making: files of it.
    let keys: BTreeSet<_> =
        configuration.as_object().expect("an object").keys().map(String::as_str).collect();
    for key in [
        "accounts",
        "discovery_minutes",
        "exclude_tags",
        "features",
        "hosts",
        "images",
        "include_tags",
        "incremental",
        "lifecycle",
        "limits",
        "log_level",
        "queue",
        "rate_limits",
        "region",
        "regions",
        "sandbox",
        "scan_interval_hours",
        "scan_own_account",
        "scan_timeout_minutes",
        "scanner_id",
        "sinks",
        "snapshot_timeout_minutes",
        "spool",
        "status",
        "tasks",
    ] {
        assert!(keys.contains(key), "{key} is not in {keys:?}");
    }
    // What the settings name is what the role permits.
    let policy = output(&state, "policy");
    assert_eq!(told("/accounts/0/delegate_role_arn").as_deref(), Some(DELEGATE));
    assert_eq!(told("/sinks/s3/kms_key_arn").as_deref(), Some(key.as_str()));
    let group = format!("autoScalingGroupName/{}", told("/lifecycle/group").expect("a group"));
    let objects =
        ["bucket", "prefix"].map(|part| told(&format!("/sinks/s3/{part}")).expect("a text")).join("/");
    let secret = told("/sinks/datadog/api_key").expect("a handle");
    let secret = secret.trim_start_matches("ENC[").trim_end_matches(']');
    for named in [DELEGATE, &key, &group, &objects, secret, "autoscaling:CompleteLifecycleAction"] {
        assert!(policy.contains(named), "{named} is not in {policy}");
    }
    // Whoever has no other account leaves the role out.
    terraform.unset_variable("delegate_role_arn");
    terraform.unset_variable("external_id");
    let state = applied(&terraform).await;
    assert!(!output(&state, "policy").contains("sts:AssumeRole"));
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

/// The file that cloud-init writes for the scanner.
fn configuration(user_data: &str) -> Json {
    let document = user_data.strip_prefix("#cloud-config\n").expect("cloud-config");
    let document: Json = serde_json::from_str(document).expect("JSON, which is YAML");
    let file = document.pointer("/write_files/0").expect("a file");
    assert_eq!(file.get("path"), Some(&json!("/etc/agentless-scanner/config.yaml")));
    serde_json::from_str(file.get("content").and_then(Json::as_str).expect("a text")).expect("JSON as well")
}

/// As the pipeline does every day: each image is a version of the launch template, and a bad one leaves all as it was.
async fn scheduled_image_build() {
    let account = Account::new(&["eu-south-1"]).await;
    let network = account.network("eu-south-1").await;
    let name = unique("scheduled");
    let mut terraform = account.terraform("scheduled-image-build");
    terraform.set_variable("name", &name);
    terraform.set_variable("region", "eu-south-1");
    terraform.set_variable("vpc_id", &network.vpc_id);
    terraform.set_variable("subnet_ids", json!(network.subnet_ids).to_string());
    terraform.set_variable("report_bucket", "example-package-lists");
    let [first, good, bad] = [
        account.image("eu-south-1").await,
        account.image("eu-south-1").await,
        account.image("eu-south-1").await,
    ];
    terraform.set_variable("image_id", &first);
    let before = account.inventory().await;
    let state = applied(&terraform).await;
    assert_eq!(output(&state, "launch_template_version"), "1");
    assert_eq!(network.subnet_ids.first(), Some(&output(&state, "subnet_id")));
    // What `boot-check.sh` changes in it.
    let settings = configuration(&output(&state, "user_data"));
    assert_eq!(settings.pointer("/lifecycle/group"), Some(&json!(name)));

    terraform.set_variable("image_id", &good);
    let state = applied(&terraform).await;
    assert_eq!(output(&state, "image_id"), good);
    assert_eq!(output(&state, "launch_template_version"), "2");

    local_aws()
        .await
        .let_instance_refreshes_of_group_fail(&name, Some("no such boot device"))
        .await
        .expect("moto");
    terraform.set_variable("image_id", &bad);
    let failed = terraform.apply_fails().await.expect("a failure");
    let told = failed.stderr.replace(['│', '╵'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("was rolled back"), "{told}");
    let state = terraform.state().await.expect("a state");
    assert_eq!(
        state.attribute("datadog_agentless_scanner.this", "image_id").expect("an image"),
        &json!(good)
    );
    local_aws().await.let_instance_refreshes_of_group_fail(&name, None).await.expect("moto");
    terraform.destroy().await.expect("terraform destroy");
    account.assert_as(&before).await;
}

/// The rest of that example is of the provider `hashicorp/aws`, against which it is checked where that is installed. It is HCL
/// everywhere, and its files are formatted (`the_examples_of_the_pages_are_valid`).
#[tokio::test]
async fn the_pipeline_of_codebuild_is_valid() {
    const AWS: &str = "registry.terraform.io/hashicorp/aws";
    let folder = examples().join("scheduled-image-build/codebuild");
    for file in ["main.tf", "variables.tf", "outputs.tf"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let body: hcl_edit::structure::Body = text.parse().unwrap();
        assert!(body.blocks().count() > 1, "{file}");
    }
    let mirrors = Installed::implied_mirrors();
    let Some(mirror) =
        mirrors.iter().find(|mirror| Installed::find(AWS, std::slice::from_ref(mirror)).is_some())
    else {
        eprintln!("{AWS} is in none of {mirrors:?}: its resources are not checked");
        return;
    };
    let terraform = Terraform::with_example(local_aws().await, "scheduled-image-build/codebuild").unwrap();
    terraform.set_mirror(mirror).unwrap();
    terraform.init().await.unwrap();
    terraform.run(&["validate", "-no-color"]).await.unwrap().success().unwrap();
}

/// Whoever may work in both accounts.
async fn both_accounts() {
    let (scanner, target) = (Account::new(&["eu-west-1"]).await, Account::new(&["eu-west-1"]).await);
    let mut terraform =
        Terraform::with_example(local_aws().await, "cross-account/both").expect("a working directory");
    terraform.set_variable("region", "eu-west-1");
    terraform.set_variable("scanner_account_role_arn", scanner.administrator());
    terraform.set_variable("target_account_role_arn", target.administrator());
    terraform.set_variable("external_id", "agreed-id");
    terraform.set_variable("image_id", scanner.image("eu-west-1").await);
    terraform.set_variable("datadog_api_key", KEY);
    terraform.set_variable("secret_recovery_days", "0");
    let before = (scanner.inventory().await, target.inventory().await);
    let state = applied(&terraform).await;
    let delegate = output(&state, "delegate_role_arn");
    assert!(delegate.contains(&target.id), "{delegate}");
    assert!(output(&state, "scanner_role_arn").contains(&scanner.id));
    // Each side names the other, and the scanner's own account is not scanned.
    let policy = output(&state, "scanner_policy");
    assert!(policy.contains(&delegate) && !policy.contains("ec2:CreateSnapshot"), "{policy}");
    let trust = state
        .attribute("datadog_agentless_scanner_delegate_role.this", "assume_role_policy")
        .expect("a policy");
    assert!(trust.as_str().unwrap_or_default().contains(&output(&state, "scanner_role_arn")), "{trust}");
    terraform.destroy().await.expect("terraform destroy");
    scanner.assert_as(&before.0).await;
    target.assert_as(&before.1).await;
}

/// The scanner's account first, then the other one with what the first told.
async fn one_account_after_the_other() {
    let (scanner, target) = (Account::new(&["eu-north-1"]).await, Account::new(&["eu-north-1"]).await);
    let mut first = scanner.terraform("cross-account/scanner-account");
    first.set_variable("region", "eu-north-1");
    first.set_variable("target_account_ids", json!([target.id]).to_string());
    first.set_variable("external_id", "agreed-id");
    first.set_variable("image_id", scanner.image("eu-north-1").await);
    first.set_variable("datadog_api_key", KEY);
    first.set_variable("secret_recovery_days", "0");
    let before = (scanner.inventory().await, target.inventory().await);
    let state = applied(&first).await;

    let mut second = target.terraform("cross-account/target-account");
    second.set_variable("regions", r#"["eu-north-1"]"#);
    second.set_variable("scanner_role_arns", json!([output(&state, "scanner_role_arn")]).to_string());
    second.set_variable("external_id", output(&state, "external_id"));
    let delegate = applied(&second).await;
    assert!(output(&state, "policy").contains(&output(&delegate, "delegate_role_arn")));
    assert!(output(&delegate, "trust_policy").contains("agreed-id"));

    second.destroy().await.expect("terraform destroy");
    first.destroy().await.expect("terraform destroy");
    scanner.assert_as(&before.0).await;
    target.assert_as(&before.1).await;
}

/// Mistakes in the variables are told when planning, each with the variable's name.
#[tokio::test]
async fn the_variables_of_examples_are_checked() {
    type Variables = &'static [(&'static str, &'static str)];
    const REGION: (&str, &str) = ("region", "eu-central-1");
    const IMAGE: (&str, &str) = ("image_id", "ami-0123456789abcdef0");
    const VPC: (&str, &str) = ("vpc_id", "vpc-0123456789abcdef0");
    const SUBNETS: (&str, &str) = ("subnet_ids", r#"["subnet-0123456789abcdef0"]"#);
    const EGRESS: (&str, &str) = ("egress_cidr_blocks", r#"["10.0.0.0/16"]"#);
    const BUCKET: (&str, &str) = ("report_bucket", "example-package-lists");
    const BUCKET_KEY: (&str, &str) = (
        "report_kms_key_arn",
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    );
    const TASKS: (&str, &str) = ("tasks_url", "https://example.com/tasks.json");
    const TASKS_KEY: (&str, &str) =
        ("tasks_public_key", "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
    const ROLES: (&str, &str) =
        ("scanner_role_arns", r#"["arn:aws:iam::111122223333:role/agentless-scanner"]"#);
    let examples: [(&str, Variables, Variables); 6] = [
        (
            "single-region",
            &[REGION, IMAGE],
            &[("region", "eu-central-1a"), ("features", r#"["volumes"]"#), ("secret_recovery_days", "3")],
        ),
        (
            "multi-region",
            &[("regions", r#"{"eu-central-1":{}}"#)],
            &[("regions", "{}"), ("regions", r#"{"frankfurt":{}}"#), ("datadog_api_key_version", "0")],
        ),
        (
            "existing-network",
            &[REGION, IMAGE, VPC, SUBNETS, EGRESS, BUCKET],
            &[("egress_cidr_blocks", "[]"), ("subnet_ids", r#"["vpc-1"]"#), ("report_prefix", "lists")],
        ),
        (
            "complete",
            &[REGION, IMAGE, BUCKET, BUCKET_KEY, TASKS, TASKS_KEY],
            &[
                ("tasks_url", "http://example.com/tasks.json"),
                ("tasks_public_key", "0123456789abcdef"),
                ("report_kms_key_arn", "alias/reports"),
                ("delegate_role_arn", "delegate"),
            ],
        ),
        (
            "scheduled-image-build",
            &[REGION, IMAGE, VPC, SUBNETS, BUCKET],
            &[("image_id", "candidate"), ("bake_time", "0"), ("subnet_ids", "[]"), ("region", "frankfurt")],
        ),
        (
            "cross-account/target-account",
            &[ROLES, ("regions", r#"["eu-central-1"]"#)],
            &[("scanner_role_arns", r#"["*"]"#), ("external_id", "two words")],
        ),
    ];
    for (folder, given, mistakes) in examples {
        let mut terraform = Terraform::with_example(local_aws().await, folder).unwrap();
        terraform.init().await.unwrap();
        for (variable, value) in mistakes {
            for (variable, value) in given {
                terraform.set_variable(variable, value);
            }
            terraform.set_variable(variable, value);
            let failed = terraform.plan_fails().await.unwrap();
            let block = format!("variable \"{variable}\"");
            assert!(failed.stderr.contains("Invalid value for variable"), "{folder}: {}", failed.stderr);
            assert!(failed.stderr.contains(&block), "{folder}: {}", failed.stderr);
            terraform.unset_variable(variable);
        }
    }
}

/// Every folder says what it makes, needs and costs, and how it is applied and destroyed; modules are used by an example.
#[test]
fn every_example_has_a_readme() {
    let examples = examples();
    let overview = fs::read_to_string(examples.join("README.md")).unwrap();
    let applied = folders(&examples);
    for folder in applied.iter().cloned().chain(["modules/region".to_owned()]) {
        let readme = fs::read_to_string(examples.join(&folder).join("README.md")).unwrap();
        for heading in ["## What it makes", "## What it needs", "## What it costs", "## Apply and destroy"] {
            assert!(readme.contains(heading), "{folder}/README.md has no {heading:?}");
        }
        assert!(overview.contains(&format!("({folder})")), "examples/README.md does not name {folder}");
        for file in ["variables.tf", "outputs.tf"] {
            let text = fs::read_to_string(examples.join(&folder).join(file)).unwrap();
            let blocks = text.matches("\nvariable \"").count() + text.matches("\noutput \"").count() + 1;
            assert_eq!(text.matches("\n  description = ").count(), blocks, "{folder}/{file}");
        }
    }
    for module in fs::read_dir(examples.join("modules")).unwrap() {
        let module = format!("modules/{}\"", module.unwrap().file_name().to_string_lossy());
        let used = applied.iter().any(|folder| {
            let config = fs::read_to_string(examples.join(folder).join("main.tf")).unwrap();
            config.contains(&module)
        });
        assert!(used, "no example uses {module}");
    }
}

/// What the Registry's pages show is formatted and valid. It names things that do not exist, so it is not applied.
#[tokio::test]
async fn the_examples_of_the_pages_are_valid() {
    let examples = examples();
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

/// Initialised and applied, with nothing left to do.
async fn applied(terraform: &Terraform) -> State {
    terraform.init().await.expect("terraform init");
    terraform.apply().await.expect("terraform apply");
    terraform.assert_empty_plans().await.expect("a plan without changes");
    terraform.state().await.expect("a state")
}

fn output(state: &State, name: &str) -> String {
    state.output(name).and_then(Json::as_str).expect("an output that is a text").to_owned()
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The folders with a configuration of their own, by their path: all but those of the Registry's pages and the modules.
fn folders(examples: &Path) -> BTreeSet<String> {
    const OTHERS: [&str; 6] =
        ["actions", "data-sources", "ephemeral-resources", "modules", "provider", "resources"];
    let mut found = BTreeSet::new();
    let mut waiting: Vec<PathBuf> = vec![examples.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir()
                && !name.starts_with('.')
                && !(folder == examples && OTHERS.contains(&name.as_str()))
            {
                waiting.push(path);
            } else if path.extension().is_some_and(|it| it == "tf") {
                let relative = folder.strip_prefix(examples).expect("below the examples");
                found.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    found
}
