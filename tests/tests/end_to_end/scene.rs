//! What the tests have in common: a small disk of this machine, an instance that boots from it, and the scanner.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentless_tests::judge::Policy;
use agentless_tests::local_aws::{Fault, LocalAws, Options, RunningInstance};
use agentless_tests::machine_image::{self, Size};
use agentless_tests::process::{Finished, Program, Running};
use agentless_tests::{packages, programs};
use scanner_policy::{DelegateScope, Feature, PolicyDocument};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// A small disk image of this machine, made once.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<(TempDir, PathBuf)> = OnceCell::const_new();
    let (_, image) = IMAGE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let image = machine_image::build(folder.path(), Size::SMALL, &|| false)
                .expect("an image of this machine");
            (folder, image.path)
        })
        .await;
    image
}

/// A local AWS with one running instance.
pub(crate) struct Scene {
    pub(crate) aws: LocalAws,
    pub(crate) instance: RunningInstance,
}

impl Scene {
    pub(crate) async fn with_image(image: &Path) -> Self {
        let aws = LocalAws::start(Options::default()).await.expect("the local AWS starts");
        let network = aws.create_network().await.expect("a network");
        let instance = aws.run_instance(&network, image, true, &[]).await.expect("an instance");
        Self { aws, instance }
    }

    pub(crate) async fn new() -> Self {
        Self::with_image(image().await).await
    }

    /// Starts a scan of the instance.
    pub(crate) fn start_scan(&self, arguments: &[&str]) -> Running {
        let arguments = [&["scan", &self.instance.instance_id], arguments].concat();
        start_scanner(&self.aws.environment(), &arguments)
    }

    /// Scans the instance and returns how the scanner ended.
    pub(crate) async fn scan(&self, arguments: &[&str]) -> Finished {
        self.start_scan(arguments).wait().await.expect("the scanner ends")
    }

    /// The scan goes as if the fault were not there: complete, the right packages, and nothing left behind.
    pub(crate) async fn survives(&self, fault: Fault) {
        let told = format!("{fault:?}");
        self.aws.clear_calls();
        self.aws.inject(fault);
        let finished = self.scan(&["--format", "cyclonedx-json"]).await;
        self.aws.clear_faults();
        assert!(self.aws.calls().iter().any(|call| call.faulted), "nothing met {told}");
        assert_eq!(finished.code, Some(0), "{told}: {}", finished.stderr);
        let document: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let found = packages::in_bom(&document).expect("package URLs");
        assert_eq!(found, packages::installed_here().expect("dpkg-query"), "{told}");
        self.nothing_is_left(&told).await;
    }

    /// No snapshot of a scanner is left.
    pub(crate) async fn nothing_is_left(&self, after: &str) {
        let left =
            agentless_tests::leftovers::left_behind(&self.aws).await.expect("a look into the local AWS");
        assert!(left.is_empty(), "after {after}: {left:?}");
    }
}

/// What the delegate role of the scanned account permits, for its region and another one.
pub(crate) fn delegate_policy(features: &[Feature]) -> Policy {
    let scope = DelegateScope {
        regions: ["us-east-1", "eu-west-1"].map(|region| region.parse().expect("a region")).into(),
        account: "123456789012".parse().expect("an account"),
        kms_keys: Vec::new(),
    };
    let document = PolicyDocument::for_delegate(&scope, features).expect("a policy");
    Policy::from_json(&document.to_json()).expect("a policy")
}

/// Starts the scanner with nothing but this environment.
pub(crate) fn start_scanner(environment: &[(&str, String)], arguments: &[&str]) -> Running {
    let nowhere = [("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")];
    let mut whole: Vec<(&str, String)> = environment.to_vec();
    whole.extend(nowhere.map(|(name, value)| (name, value.to_owned())));
    // A machine without a metadata service must not cost seconds of waiting for it.
    if !environment.iter().any(|(name, _)| *name == "AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        whole.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
    }
    let program = Program {
        path: &programs::scanner().expect("the scanner builds"),
        directory: Path::new("/"),
        environment: &whole,
        time_limit: Duration::from_mins(5),
        interrupt: CancellationToken::new(),
    };
    program.start(arguments).expect("the scanner starts")
}

/// Runs the scanner to its end.
pub(crate) async fn run_scanner(environment: &[(&str, String)], arguments: &[&str]) -> Finished {
    start_scanner(environment, arguments).wait().await.expect("the scanner ends")
}
