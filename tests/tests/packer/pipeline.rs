//! The scheduled build of `examples/scheduled-image-build`: its script with stand-ins for Packer, Terraform, AWS's command line and the
//! scanner, which note that they were called. That the scanner of the example is applied is tested with the other examples.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use agentless_tests::image_template::{COMMIT, VERSION, folder};
use serde_json::{Value, json};
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

use crate::{repository, run};

const IMAGE: &str = "ami-0123456789abcdef0";
const PARAMETERS: &str =
    "--architecture arm64 --region eu-central-1 --parameter-prefix /agentless-scanner/image";

/// What an image that passes prints, as it comes from the console.
const PASSED: &str = "[   21.4] cloud-init[412]: done\r\n[   23.1] verify.sh[501]: ok 1 - the unit is active\r\n\
    [   23.2] verify.sh[501]: ok 2 - nothing listens # SKIP no network\r\n[   23.3] verify.sh[501]: 1..2\r\n";

#[test]
fn a_good_image_is_published_applied_and_promoted() {
    let pipeline = Pipeline::new();
    let output = pipeline.run(&[]);
    assert!(output.status.success(), "{}", told(&output));
    let calls = pipeline.calls();
    let expected = [
        "packer init",
        "packer build -color=false -only=*.arm64",
        "terraform init",
        "terraform output -json",
        "aws ec2 run-instances",
        "aws ec2 get-console-output",
        "aws ec2 terminate-instances --instance-ids i-0123456789abcdef0",
        &format!("scanner image publish {IMAGE} {PARAMETERS}"),
        &format!("terraform apply -input=false -auto-approve -no-color -var=image_id={IMAGE}"),
        "terraform output -raw scanner_name",
        &format!("scanner image promote {PARAMETERS} --after-refresh agentless-scanner"),
        "scanner image prune --yes --region eu-central-1 --parameter-prefix /agentless-scanner/image",
    ];
    assert_eq!(calls.len(), expected.len(), "{calls:#?}");
    for (call, expected) in calls.iter().zip(expected) {
        assert!(call.starts_with(expected), "{call} instead of {expected}");
    }
    let build = &calls[1];
    for given in [format!("-var=scanner_version={VERSION}"), "-var=region=eu-central-1".to_owned()] {
        assert!(build.contains(&given), "{build}");
    }
    assert_no_state_in_s3(&pipeline, true);

    // The first time there is no scanner: nothing whose settings an instance could have, and no refresh to wait for.
    let pipeline = Pipeline::new();
    fs::write(pipeline.path("outputs.json"), "{}").unwrap();
    let output = pipeline.run(&[("STATE_BUCKET", "example-state")]);
    assert!(output.status.success(), "{}", told(&output));
    let calls = pipeline.calls();
    assert!(!calls.iter().any(|call| call.starts_with("aws ec2")), "{calls:#?}");
    assert!(calls.contains(&format!("scanner image promote {PARAMETERS}")), "{calls:#?}");
    assert_no_state_in_s3(&pipeline, false);
}

#[test]
fn what_fails_promotes_nothing_and_says_what_to_do() {
    for (failing, advice, was_published) in [
        ("packer init", "There is no image", false),
        ("packer build", "There is no image", false),
        ("terraform init", "stays unused, until `agentless-scanner image prune`", false),
        ("terraform output -json", "Put right what Terraform says", false),
        ("aws ec2 run-instances", "did not pass on an instance, and is not published", false),
        ("scanner image publish", "is good, but not published", false),
        ("terraform apply", "`current` is as it was", true),
        ("scanner image promote", "Nothing has to be rolled back", true),
    ] {
        let pipeline = Pipeline::new();
        let output = pipeline.run(&[("FAIL", failing)]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{failing}: {told}");
        assert!(told.contains("no image was promoted") && told.contains(advice), "{failing}: {told}");
        let calls = pipeline.calls();
        assert!(calls.last().is_some_and(|last| last.starts_with(failing)), "{failing}: {calls:#?}");
        let published = calls.iter().any(|call| call.starts_with("terraform apply"));
        assert_eq!(published, was_published, "{failing}: {calls:#?}");
    }
    // Old images that stay cost little: the new one runs.
    let pipeline = Pipeline::new();
    let output = pipeline.run(&[("FAIL", "scanner image prune")]);
    assert!(output.status.success() && told(&output).contains("the next run tries again"));
}

#[test]
fn a_release_that_is_not_signed_runs_nowhere() {
    let pipeline = Pipeline::new();
    let program = pipeline.path(&format!("release/agentless-scanner_{VERSION}_linux_amd64"));
    let changed = fs::read_to_string(&program).unwrap() + "# changed\n";
    fs::write(&program, changed).unwrap();
    let output = pipeline.run(&[]);
    assert!(!output.status.success() && told(&output).contains("is not what the owner of the key"));
    assert!(pipeline.calls().is_empty());

    let pipeline = Pipeline::new();
    let output = pipeline.run(&[("RELEASE_PUBLIC_KEY", "")]);
    assert!(!output.status.success() && told(&output).contains("RELEASE_PUBLIC_KEY is not set"));
}

#[test]
fn the_instance_of_the_check_is_as_the_scanners_and_always_ended() {
    let cases = [
        (PASSED, "running", Ok(())),
        (
            "verify.sh[7]: ok 1 - a\nverify.sh[7]: not ok 2 - b\nverify.sh[7]: 1..2\n",
            "running",
            Err("1 of 2 checks passed"),
        ),
        // A line was lost on the way, or somebody else wrote a good end.
        ("verify.sh[7]: ok 1 - a\nverify.sh[7]: 1..2\n", "running", Err("1 of 2 checks passed")),
        ("verify.sh[7]: 1..0\n", "running", Err("no result of the checks")),
        ("verify.sh[7]: ok 1 - a\n", "running", Err("no result of the checks")),
        ("", "running", Err("no result of the checks")),
        ("verify.sh[7]: ok 1 - a\n", "terminated", Err("is terminated before its checks were done")),
    ];
    for (console, state, expected) in cases {
        let pipeline = Pipeline::new();
        fs::write(pipeline.path("console"), console).unwrap();
        let output = pipeline.run(&[("STATE", state)]);
        let told = told(&output);
        let calls = pipeline.calls();
        assert!(calls.iter().any(|call| call.starts_with("aws ec2 terminate-instances")), "{calls:#?}");
        match expected {
            Ok(()) => assert!(output.status.success(), "{told}"),
            Err(why) => {
                assert!(!output.status.success() && told.contains(why), "{console}: {told}");
                assert!(!calls.iter().any(|call| call.starts_with("scanner")), "{calls:#?}");
            }
        }
        let run = calls.iter().find(|call| call.starts_with("aws ec2 run-instances")).unwrap();
        for given in [
            &format!("--image-id {IMAGE}"),
            "--launch-template LaunchTemplateId=lt-0123456789abcdef0,Version=7",
            "--subnet-id subnet-0123456789abcdef0",
            "ResourceType=volume,Tags=[{Key=DatadogAgentlessScannerImage,Value=true}",
        ] {
            assert!(run.contains(given), "{run}");
        }
        let user_data = fs::read_to_string(pipeline.path("user-data")).unwrap();
        let user_data = user_data.strip_prefix("#cloud-config\n").unwrap();
        let user_data: Value = serde_json::from_str(user_data).unwrap();
        let files = user_data.get("write_files").and_then(Value::as_array).unwrap();
        assert_eq!(files[1], json!({"path": "/etc/agentless-scanner/verify", "content": ""}));
        let settings = files[0].get("content").and_then(Value::as_str).unwrap();
        // It is no member of the group, and completes no hooks.
        assert_eq!(serde_json::from_str::<Value>(settings).unwrap(), json!({"region": "eu-central-1"}));
    }
}

#[test]
fn the_workflow_may_do_little_and_calls_the_script() {
    let workflow = yaml("github-actions.yml");
    assert!(workflow["permissions"].as_hash().unwrap().is_empty());
    assert_eq!(workflow["on"]["schedule"][0]["cron"].as_str().unwrap().split(' ').count(), 5);
    assert_eq!(workflow["concurrency"]["cancel-in-progress"].as_bool(), Some(false));
    let job = &workflow["jobs"]["image"];
    let permissions: BTreeMap<_, _> = job["permissions"]
        .as_hash()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()))
        .collect();
    assert_eq!(permissions, BTreeMap::from([("contents", "read"), ("id-token", "write")]));
    let steps = job["steps"].as_vec().unwrap();
    for step in steps {
        let Some(action) = step["uses"].as_str() else { continue };
        let (_, commit) = action.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
    }
    let credentials = steps.iter().find(|step| step["with"]["role-to-assume"].as_str().is_some()).unwrap();
    assert!(credentials["with"]["aws-access-key-id"].is_badvalue());
    let last = steps.last().unwrap();
    assert_eq!(last["run"].as_str(), Some("examples/scheduled-image-build/pipeline.sh"));
    // The region comes with the credentials.
    for name in settings().iter().filter(|name| *name != "AWS_REGION") {
        assert!(!last["env"][name.as_str()].is_badvalue(), "the workflow gives no {name}");
    }
    // What GitHub would put into a shell's text, a name of a branch could put there.
    for step in steps {
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"));
    }
}

#[test]
fn codebuild_calls_the_script_with_the_environment_of_its_project() {
    let buildspec = yaml("buildspec.yml");
    let commands = buildspec["phases"]["build"]["commands"].as_vec().unwrap();
    let last = commands.last().and_then(Yaml::as_str).unwrap();
    assert!(last.ends_with("examples/scheduled-image-build/pipeline.sh"), "{last}");
    let project = fs::read_to_string(example().join("codebuild/main.tf")).unwrap();
    let project: hcl_edit::structure::Body = project.parse().unwrap();
    let locals = project.get_blocks("locals").next().unwrap();
    let environment = locals.body.get_attribute("environment").unwrap().value.to_string();
    for name in settings().iter().filter(|name| *name != "AWS_REGION") {
        let is_given = last.contains(&format!("{name}=")) || environment.contains(&format!("{name} "));
        assert!(is_given, "CodeBuild gives no {name}");
    }
    // The example's own variables without a default.
    let variables = fs::read_to_string(example().join("variables.tf")).unwrap();
    let variables: hcl_edit::structure::Body = variables.parse().unwrap();
    for variable in variables.get_blocks("variable").filter(|it| !it.body.has_attribute("default")) {
        let name = variable.labels.first().unwrap().as_str();
        let is_given = name == "image_id" || environment.contains(&format!("TF_VAR_{name} "));
        assert!(is_given, "CodeBuild gives no {name}");
    }
}

#[test]
fn the_scripts_are_clean() {
    run(Command::new("shellcheck").args(["pipeline.sh", "boot-check.sh"]).current_dir(example()));
}

/// The settings that the script demands.
fn settings() -> Vec<String> {
    let script = fs::read_to_string(example().join("pipeline.sh")).expect("a file");
    let line = script.lines().find_map(|line| line.trim().strip_prefix("for name in ")).expect("the names");
    line.trim_end_matches("; do").split(' ').map(str::to_owned).collect()
}

fn yaml(name: &str) -> Yaml {
    let text = fs::read_to_string(example().join(name)).expect("a file");
    YamlLoader::load_from_str(&text).expect("YAML").remove(0)
}

fn example() -> PathBuf {
    repository().join("examples/scheduled-image-build")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_no_state_in_s3(pipeline: &Pipeline, is_local: bool) {
    assert_eq!(pipeline.path("example/backend_override.tf").exists(), !is_local);
    let calls = pipeline.calls();
    let init = calls.iter().find(|call| call.starts_with("terraform init")).expect("an init");
    assert_eq!(init.contains("-backend-config=use_lockfile=true"), !is_local, "{init}");
}

/// A copy of the example, with a signed release and programs that only note what they are asked.
struct Pipeline {
    folder: TempDir,
    public_key: String,
}

impl Pipeline {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["example", "release", "bin"] {
            fs::create_dir(path(name)).expect("a folder");
        }
        for script in ["pipeline.sh", "boot-check.sh"] {
            fs::copy(example().join(script), path("example").join(script)).expect("a copy");
        }
        for (name, text) in [
            ("bin/packer", PACKER.to_owned()),
            ("bin/terraform", TERRAFORM.to_owned()),
            ("bin/aws", AWS.to_owned()),
            ("bin/uname", "#!/bin/sh\necho x86_64\n".to_owned()),
            (&format!("release/agentless-scanner_{VERSION}_linux_amd64"), SCANNER.to_owned()),
        ] {
            fs::write(path(name), text).expect("a file");
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        fs::write(path("console"), PASSED).expect("a file");
        let outputs = json!({
            "launch_template_id": {"value": "lt-0123456789abcdef0"},
            "launch_template_version": {"value": "7"},
            "subnet_id": {"value": "subnet-0123456789abcdef0"},
            "user_data": {"value": USER_DATA},
        });
        fs::write(path("outputs.json"), outputs.to_string()).expect("a file");

        let file = format!("agentless-scanner_{VERSION}_linux_amd64");
        let [secret, public] = ["release.key", "release.pub"].map(path);
        run(Command::new("minisign").args(["-G", "-W", "-s"]).arg(&secret).arg("-p").arg(&public));
        let mut sign = Command::new("minisign");
        sign.arg("-S").arg("-s").arg(&secret).arg("-m").arg(path("release").join(&file));
        run(sign.arg("-t").arg(format!("file:{file}")));
        let sums = Command::new("sha256sum").arg(&file).current_dir(path("release")).output().expect("a sum");
        fs::write(path("release").join(format!("{file}.sha256")), sums.stdout).expect("a file");
        let public_key =
            fs::read_to_string(public).expect("a key").lines().last().expect("a line").to_owned();
        Self { folder, public_key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, more: &[(&str, &str)]) -> Output {
        let system = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.path("example/pipeline.sh"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:{system}", self.path("bin").display()))
            .env("TEST_FOLDER", self.folder.path())
            .env("AWS_REGION", "eu-central-1")
            .env("ARCHITECTURE", "arm64")
            .env("SCANNER_VERSION", VERSION)
            .env("RELEASE_FOLDER", self.path("release"))
            .env("RELEASE_PUBLIC_KEY", &self.public_key)
            .env("GIT_COMMIT", COMMIT)
            .env("BUILD_VARIABLES", self.path("build.pkrvars.hcl"))
            .env("PACKER_FOLDER", folder())
            .env("BOOT_CHECK_ATTEMPTS", "2")
            .env("BOOT_CHECK_PAUSE", "0");
        command.envs(more.iter().copied()).output().expect("it starts")
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|call| !call.starts_with("aws ec2 describe")).map(str::to_owned).collect()
    }
}

/// As the provider makes it.
const USER_DATA: &str = "#cloud-config\n{\"write_files\":[{\"path\":\"/etc/agentless-scanner/config.yaml\",\
    \"content\":\"{\\\"region\\\":\\\"eu-central-1\\\",\\\"lifecycle\\\":{\\\"group\\\":\\\"agentless-scanner\\\"}}\"}]}\n";

const PACKER: &str = r#"#!/bin/bash
echo "packer $*" >>"$TEST_FOLDER/calls"
case "packer $*" in "${FAIL:-none}"*) exit 1 ;; esac
for argument; do
    case $argument in -var=output_folder=*) output=${argument#-var=output_folder=} ;; esac
done
[ "$1" = init ] || echo '{"builds": [{"artifact_id": "eu-central-1:ami-0ffffffffffffffff"},
    {"artifact_id": "eu-central-1:ami-0123456789abcdef0,us-west-2:ami-0fedcba9876543210"}]}' >"$output/manifest.json"
"#;

const TERRAFORM: &str = r#"#!/bin/bash
echo "terraform $*" >>"$TEST_FOLDER/calls"
case "terraform $*" in "${FAIL:-none}"*) exit 1 ;; esac
case "$*" in
"output -json") cat "$TEST_FOLDER/outputs.json" ;;
"output -raw scanner_name") echo agentless-scanner ;;
esac
"#;

const AWS: &str = r#"#!/bin/bash
echo "aws $*" >>"$TEST_FOLDER/calls"
case "aws $*" in "${FAIL:-none}"*) exit 1 ;; esac
for argument; do
    case $argument in file://*) cp "${argument#file://}" "$TEST_FOLDER/user-data" ;; esac
done
case "$2" in
run-instances) echo i-0123456789abcdef0 ;;
get-console-output) cat "$TEST_FOLDER/console" ;;
describe-instances) echo "${STATE:-running}" ;;
esac
"#;

const SCANNER: &str = r#"#!/bin/bash
echo "scanner $*" >>"$TEST_FOLDER/calls"
case "scanner $*" in "${FAIL:-none}"*) exit 1 ;; esac
"#;
