//! A region of the local AWS in which the provider has made a scanner, and what an instance of it would be given.

use std::path::{Path, PathBuf};

use agentless_tests::local_aws::{InstanceMetadata, LocalAws, Options, RunningInstance};
use agentless_tests::machine_image::{self, Size};
use agentless_tests::terraform::Terraform;
use aws_sdk_ec2::types::ArchitectureValues;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::network::{ARCHIVE, GATEWAY, METADATA, Network, SECURITY};

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) aws: LocalAws,
    /// What there is to scan.
    pub(crate) target: RunningInstance,
    /// With the user data of the launch template.
    pub(crate) metadata: InstanceMetadata,
    pub(crate) network: Network,
}

impl Scene {
    /// No two tests have the same region.
    pub(crate) async fn new(region: &'static str) -> Self {
        static AWS: OnceCell<LocalAws> = OnceCell::const_new();
        let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
        let options = Options { region, ..Options::default() };
        let aws = AWS.get_or_init(start).await.share(options).expect("a local AWS of its own");
        let made = aws.create_network().await.expect("a network");
        let target = aws.run_instance(&made, disk().await, true, &[]).await.expect("an instance");
        let image = aws.register_image("scanner", ArchitectureValues::Arm64, &[]).await.expect("an image");

        let name = format!("scanner-{region}");
        let mut terraform = Terraform::with_example(&aws, "quickstart").expect("a working directory");
        terraform.set_variable("name", &name);
        terraform.set_variable("region", region);
        terraform.set_variable("vpc_id", &made.vpc_id);
        terraform.set_variable("subnet_ids", format!("{:?}", made.subnet_ids));
        terraform.set_variable("image_id", &image);
        terraform.init().await.expect("terraform init");
        terraform.apply().await.expect("terraform apply");
        let state = terraform.state().await.expect("a state");
        let user_data = state.attribute("datadog_agentless_scanner.this", "user_data").expect("user data");
        let user_data = user_data.as_str().expect("a text");

        let metadata = aws.instance_metadata(&name).await.expect("instance metadata");
        metadata.set_user_data(user_data);
        metadata.trust_cloud_init();
        metadata.set_target_state("InService");
        let mut network = Network::new();
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        network.forward((METADATA, 80), address(metadata.endpoint()));
        network.forward((GATEWAY, 443), address(&aws.endpoint()));
        network.forward((ARCHIVE, 443), "archive.ubuntu.com:443".to_owned());
        network.forward((SECURITY, 443), "security.ubuntu.com:443".to_owned());
        Self { aws, target, metadata, network }
    }

    /// What the instance's group was told, as `hook result`.
    pub(crate) fn told(&self) -> Vec<String> {
        let calls = self.aws.calls().into_iter().filter(|call| call.action == "CompleteLifecycleAction");
        let told = calls.map(|call| {
            let of = |name: &str| call.parameters.get(name).map_or("", String::as_str).to_owned();
            format!("{} {}", of("LifecycleHookName"), of("LifecycleActionResult"))
        });
        told.collect()
    }
}

/// A small disk image of this machine, made once.
async fn disk() -> &'static Path {
    static DISK: OnceCell<(TempDir, PathBuf)> = OnceCell::const_new();
    let make = || async {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = machine_image::build(folder.path(), Size::SMALL, &|| false);
        (folder, image.expect("an image of this machine").path)
    };
    &DISK.get_or_init(make).await.1
}
