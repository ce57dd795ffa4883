//! What the tests have in common: a region of its own for each in one local AWS, an instance to scan, and the service's machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use agentless_tests::leftovers;
use agentless_tests::local_aws::{
    Effect, Fault, Hold, InstanceMetadata, LocalAws, Network, Options, RunningInstance,
};
use agentless_tests::machine_image::{self, Size};
use agentless_tests::service::{Machine, eventually};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Has a region be one test's alone. Snapshots of another one's scanners would be taken for what this one's left.
pub(crate) fn claim(region: &'static str) {
    static CLAIMED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let is_free = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).insert(region);
    assert!(is_free, "another test has the region {region}");
}

/// A region of the local AWS with a running instance.
pub(crate) struct Scene {
    pub(crate) aws: LocalAws,
    pub(crate) instance: RunningInstance,
    network: Network,
}

impl Scene {
    /// No two tests have the same region: what one leaves behind is not another's.
    pub(crate) async fn new(region: &'static str) -> Self {
        Self::with_disk(region, image().await).await
    }

    /// The same, with another disk.
    pub(crate) async fn with_disk(region: &'static str, disk: &Path) -> Self {
        static AWS: OnceCell<LocalAws> = OnceCell::const_new();
        claim(region);
        let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
        let options = Options { region, ..Options::default() };
        let aws = AWS.get_or_init(start).await.share(options).expect("a local AWS of its own");
        let network = aws.create_network().await.expect("a network");
        let instance = aws.run_instance(&network, disk, true, &[]).await.expect("an instance");
        Self { aws, instance, network }
    }

    /// One more instance.
    pub(crate) async fn another(&self, disk: &Path) -> RunningInstance {
        self.aws.run_instance(&self.network, disk, true, &[]).await.expect("an instance")
    }

    /// EC2 behind the service's back.
    pub(crate) fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.aws.harness_sdk_config())
    }

    /// A machine with the account's key, and a service with these keys beside the sink for files.
    pub(crate) fn machine(&self, keys: &str) -> Machine {
        let machine = Machine::with_key(&self.aws).expect("a machine");
        configure(&machine, keys);
        machine
    }

    /// What an instance knows of itself.
    pub(crate) async fn metadata(&self) -> InstanceMetadata {
        let role = format!("worker-{}", self.aws.region());
        let iam = aws_sdk_iam::Client::new(&self.aws.harness_sdk_config());
        let role = iam.create_role().role_name(role).assume_role_policy_document(NOBODY);
        let role = role.send().await.expect("a role");
        let name = role.role().map(|role| role.role_name().to_owned()).expect("its name");
        self.aws.instance_metadata(&name).await.expect("instance metadata")
    }

    /// Every read of a block stops until it is released.
    pub(crate) fn hold(&self) -> Hold {
        let hold = Hold::new();
        self.aws.inject(Fault::on("ebs", "GetSnapshotBlock", Effect::HoldRequest(hold.clone())));
        hold
    }

    /// What the instance's group was told, as `hook result`, a heartbeat as `hook heartbeat`.
    pub(crate) fn told(&self) -> Vec<String> {
        let calls = self.aws.calls().into_iter().filter(|call| call.service == "autoscaling");
        let told = calls.map(|call| {
            let hook = call.parameters.get("LifecycleHookName").map_or("", String::as_str);
            let result = call.parameters.get("LifecycleActionResult").map_or("heartbeat", String::as_str);
            format!("{hook} {result}")
        });
        told.collect()
    }

    /// The snapshots of scanners, and whatever else they left.
    pub(crate) async fn left(&self) -> Vec<String> {
        leftovers::left_behind(&self.aws).await.expect("a look into the local AWS")
    }

    /// Waits until there is nothing of a scanner.
    pub(crate) async fn until_nothing_is_left(&self) {
        let look = || async { self.left().await.is_empty().then_some(()) };
        eventually("nothing is left", look).await.expect("a sweep");
    }
}

/// Writes the configuration of a machine: these keys, and a sink for files.
pub(crate) fn configure(machine: &Machine, keys: &str) {
    let files = format!("  files: {{directory: {}}}\n", machine.path(LISTS).display());
    let keys = if keys.contains("sinks:\n") {
        keys.replace("sinks:\n", &format!("sinks:\n{files}"))
    } else {
        format!("{keys}sinks:\n{files}")
    };
    machine.configure(&keys).expect("a configuration");
}

/// A small disk image of this machine, made once.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<(TempDir, PathBuf)> = OnceCell::const_new();
    let make = || async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = machine_image::build(folder.path(), Size::SMALL, &|| false);
        (folder, image.expect("an image of this machine").path)
    };
    &IMAGE.get_or_init(make).await.1
}

/// A copy of that image, as sparse as it is, for a test that changes it.
pub(crate) async fn copy_of_image(to: &Path) {
    copy(image().await, to);
}

/// A copy of a disk image, as sparse as it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["--sparse=always", "--reflink=auto"]).args([from, to]).status();
    assert!(copied.expect("cp").success());
}

/// Skips a test that needs root, where that is allowed: not on CI. What for is `what`.
pub(crate) fn is_root_for(what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let set = |name: &str, to: &str| std::env::var_os(name).is_some_and(|value| value == to);
    assert!(
        set("AGENTLESS_TESTS_WITHOUT_ROOT", "1") && !set("CI", "true"),
        "this test needs root {what}; AGENTLESS_TESTS_WITHOUT_ROOT=1 leaves it out"
    );
    eprintln!("left out: needs root {what}");
    false
}

/// The newest list of packages on a machine.
pub(crate) fn only_list(machine: &Machine) -> Option<serde_json::Value> {
    let lists = machine.lists(LISTS).ok()?;
    let [only] = &lists[..] else { return None };
    serde_json::from_slice(&std::fs::read(only).ok()?).ok()
}

/// Where the sink for files writes on each machine.
pub(crate) const LISTS: &str = "lists";
/// A trust policy: the local AWS evaluates none.
pub(crate) const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
