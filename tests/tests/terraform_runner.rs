//! The Terraform runner itself, with Terraform's built-in `terraform_data`: no provider is needed.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

use std::time::Duration;

use agentless_tests::local_aws::{LocalAws, Options};
use agentless_tests::process::ProcessError;
use agentless_tests::programs;
use agentless_tests::terraform::{Error, Terraform};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use tokio::net::unix::pipe;
use tokio::sync::OnceCell;

const CONFIG: &str = r#"
variable "value" {
  default = "one"
}
resource "terraform_data" "this" {
  input = var.value
}
output "value" {
  value = terraform_data.this.output
}
"#;
const THIS: &str = "terraform_data.this";

#[tokio::test]
async fn the_life_of_a_resource() {
    let mut terraform = configured(CONFIG).await;
    terraform.init().await.unwrap();
    terraform.plan().await.unwrap().expect_actions(THIS, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    assert_eq!(state.addresses(), [THIS]);
    assert_eq!(state.attribute(THIS, "output").unwrap(), "one");
    assert_eq!(state.output("value").unwrap(), &json!("one"));
    assert!(!state.is_tainted(THIS));

    terraform.set_variable("value", "two");
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(THIS, &["update"]).unwrap();
    let error = plan.assert_empty().unwrap_err().to_string();
    assert!(error.contains("1 to change"), "{error}");
    terraform.apply().await.unwrap();
    terraform.destroy().await.unwrap();
    assert!(terraform.state().await.unwrap().addresses().is_empty());
}

#[tokio::test]
async fn import_is_verified() {
    let terraform = configured("resource \"terraform_data\" \"this\" {}").await;
    terraform.init().await.unwrap();
    terraform.apply().await.unwrap();
    let id = terraform.state().await.unwrap().attribute(THIS, "id").unwrap().as_str().unwrap().to_owned();
    terraform.assert_import_verifies(THIS, &id, &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(THIS, &id).await.unwrap();
    let error = terraform.assert_import_verifies(THIS, "another", &[]).await.unwrap_err().to_string();
    assert!(error.contains("not imported as it was") && error.contains("id:"), "{error}");
    terraform.assert_import_verifies(THIS, "another", &["id"]).await.unwrap();
}

#[tokio::test]
async fn a_failure_shows_what_terraform_wrote() {
    let terraform = configured("resource \"terraform_data\" \"this\" {\n  nonsense = 1\n}").await;
    terraform.init().await.unwrap();
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("Unsupported argument"), "{}", failed.stderr);
    let Err(Error::Process(ProcessError::Ended { output, .. })) = terraform.apply().await else {
        panic!("it must fail")
    };
    assert!(output.contains("Unsupported argument"), "{output}");
}

#[tokio::test]
async fn an_interrupt_reaches_the_whole_process_group() {
    let terraform = configured(&blocking_config()).await;
    terraform.init().await.unwrap();
    let started = terraform.directory().join("started");
    mkfifo(&started, Mode::S_IRWXU).unwrap();
    let started = pipe::OpenOptions::new().open_receiver(&started).unwrap();
    let running = terraform.start_apply().unwrap();
    tokio::time::timeout(Duration::from_mins(1), started.readable())
        .await
        .expect("the provisioner starts")
        .unwrap();
    running.interrupt().unwrap();
    let finished = running.wait().await.unwrap().failure().unwrap();
    assert!(finished.stdout.contains("Interrupt received"), "{}{}", finished.stdout, finished.stderr);
    assert!(terraform.state().await.unwrap().is_tainted(THIS));
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn a_command_that_does_not_end_is_ended() {
    let mut terraform = configured(&blocking_config()).await;
    terraform.init().await.unwrap();
    terraform.set_time_limit(Duration::from_secs(3));
    let Err(Error::Process(ProcessError::TimedOut { limit, .. })) = terraform.apply().await else {
        panic!("it must not end")
    };
    assert_eq!(limit, Duration::from_secs(3));
}

#[tokio::test]
async fn nothing_of_the_users_environment_gets_in() {
    let provisioner = "provisioner \"local-exec\" {\n    command = \"env > environment\"\n  }";
    let terraform =
        configured(&format!("resource \"terraform_data\" \"this\" {{\n  {provisioner}\n}}")).await;
    terraform.init().await.unwrap();
    terraform.apply().await.unwrap();
    let environment = std::fs::read_to_string(terraform.directory().join("environment")).unwrap();
    assert!(environment.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"), "{environment}");
    assert!(environment.contains("AWS_CONFIG_FILE=/dev/null"), "{environment}");
    assert!(!environment.contains("CARGO"), "{environment}");
}

#[test]
fn the_programs_are_built() {
    assert!(programs::provider().unwrap().ends_with("terraform-provider-datadog-agentless"));
    assert!(programs::scanner().unwrap().ends_with("agentless-scanner"));
}

/// A resource whose creation announces itself through the pipe `started`, and then does not end by itself.
fn blocking_config() -> String {
    let command = "echo started > started; exec tail -f /dev/null";
    let provisioner = format!("provisioner \"local-exec\" {{\n    command = \"{command}\"\n  }}");
    format!("resource \"terraform_data\" \"this\" {{\n  {provisioner}\n}}")
}

async fn configured(config: &str) -> Terraform {
    static AWS: OnceCell<LocalAws> = OnceCell::const_new();
    let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
    let aws = AWS.get_or_init(start).await;
    // A block of its own: the provider is not required.
    Terraform::with_config(aws, &format!("terraform {{}}\n{config}")).expect("a working directory")
}
