//! What there is to scan: instances, functions and images, spread evenly over regions and scanners.

use std::collections::BTreeMap;
use std::path::Path;

use agentless_service::target::Kind;
use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, Filter, InstanceType, ResourceType, Tag,
    TagSpecification, VolumeType,
};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, LayerVersionContentInput, PackageType, Runtime};
use bytes::Bytes;
use futures_util::future::try_join_all;

use super::{Load, LoadError, Size, io};
use crate::local_aws::{ACCOUNT, LocalAws, SeedError, named};
use crate::tools;

/// Everything that is to be scanned.
#[derive(Debug, Default)]
pub struct Fleet {
    /// By region, kind and scanner.
    pub targets: Vec<Target>,
}

/// One of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its ARN.
    pub arn: String,
    /// What it is.
    pub kind: Kind,
    /// The scanner whose it is, from 0.
    pub scanner: usize,
    /// How its package lists' folder is called.
    pub folder: String,
}

/// The tag by which scanners know their own.
pub(super) const TAG: &str = "scanned-by";
/// The role of all functions.
const ROLE: &str = "load-functions";
const ROOT_DEVICE: &str = "/dev/xvda";
/// The most values of a filter.
const FILTER_VALUES: usize = 200;

/// One region, and what it is filled with.
struct Site<'a> {
    aws: &'a LocalAws,
    region: &'static str,
    /// Which one it is, and of how many.
    place: (usize, usize),
    size: Size,
    scanners: usize,
    disk: &'a Path,
    code: &'a Code,
    role: &'a str,
    config: SdkConfig,
}

/// What functions consist of.
struct Code {
    zip: Vec<u8>,
    /// The URI of an image, and the region that it names.
    image: (String, &'static str),
}

impl Fleet {
    /// Makes it.
    pub(super) async fn seed(load: &Load<'_>, disk: &Path) -> Result<Self, LoadError> {
        let aws = load.aws;
        let code = Code::new(aws)?;
        let role = role(aws).await?;
        let site = |(number, region): (usize, &'static str)| {
            let config = aws.harness_sdk_config();
            let config = config.into_builder().region(Region::from_static(region)).build();
            let (size, scanners) = (load.size, load.scanners);
            let place = (number, load.regions.len());
            Site { aws, region, place, size, scanners, disk, code: &code, role: &role, config }
        };
        let sites: Vec<_> = load.regions.iter().copied().enumerate().map(site).collect();
        let filled = try_join_all(sites.iter().map(Site::fill)).await?;
        Ok(Self { targets: filled.into_iter().flatten().collect() })
    }
}

impl Site<'_> {
    async fn fill(&self) -> Result<Vec<Target>, SeedError> {
        let mut targets = self.instances().await?;
        targets.extend(self.images().await?);
        targets.extend(self.functions().await?);
        Ok(targets)
    }

    /// The numbers of this region's part of something, with the scanner of each.
    fn part(&self, of: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let ((here, regions), scanners) = (self.place, self.scanners);
        let part = (0..of).filter(move |number| number % regions == here);
        part.map(move |number| (number, (number / regions) % scanners))
    }

    /// One request for the instances of a scanner, as a group would start them.
    async fn instances(&self) -> Result<Vec<Target>, SeedError> {
        let ec2 = aws_sdk_ec2::Client::new(&self.config);
        let image = self.register("load-host", None, None).await?;
        let mut counts: BTreeMap<usize, i32> = BTreeMap::new();
        for (_, scanner) in self.part(self.size.instances) {
            *counts.entry(scanner).or_default() += 1;
        }
        let mut targets = Vec::new();
        for (scanner, count) in counts {
            let root = EbsBlockDevice::builder().volume_size(1).volume_type(VolumeType::Gp3);
            let root = BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(root.build()).build();
            let launched = ec2
                .run_instances()
                .image_id(&image)
                .instance_type(InstanceType::T3Micro)
                .min_count(count)
                .max_count(count)
                .block_device_mappings(root)
                .tag_specifications(tagged(ResourceType::Instance, scanner))
                .send()
                .await?;
            let ids: Vec<_> = launched.instances().iter().filter_map(|it| it.instance_id()).collect();
            for ids in ids.chunks(FILTER_VALUES) {
                let ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
                let attached = Filter::builder().name("attachment.instance-id").set_values(ids).build();
                let volumes = ec2.describe_volumes().filters(attached).send().await?;
                for volume in volumes.volumes().iter().filter_map(|volume| volume.volume_id()) {
                    self.aws.set_volume_content(volume, self.disk);
                }
            }
            targets.extend(ids.iter().map(|id| {
                let arn = format!("arn:aws:ec2:{}:{ACCOUNT}:instance/{id}", self.region);
                self.target(Kind::Instance, arn, scanner, id)
            }));
        }
        Ok(targets)
    }

    async fn images(&self) -> Result<Vec<Target>, SeedError> {
        let ec2 = aws_sdk_ec2::Client::new(&self.config);
        let zone = format!("{}a", self.region);
        let volume = ec2.create_volume().availability_zone(zone).size(1).send().await?;
        let volume = named(volume.volume_id(), "CreateVolume")?;
        self.aws.set_volume_content(&volume, self.disk);
        let mut targets = Vec::new();
        for (number, scanner) in self.part(self.size.images) {
            let made = ec2.create_snapshot().volume_id(&volume).description("Of an image").send().await?;
            let snapshot = named(made.snapshot_id(), "CreateSnapshot")?;
            // The first look finds it complete.
            ec2.describe_snapshots().snapshot_ids(&snapshot).send().await?;
            let name = format!("load-{number}");
            let id = self.register(&name, Some(&snapshot), Some(scanner)).await?;
            let arn = format!("arn:aws:ec2:{}::image/{id}", self.region);
            targets.push(self.target(Kind::Image, arn, scanner, &id));
        }
        Ok(targets)
    }

    async fn register(
        &self,
        name: &str,
        snapshot: Option<&str>,
        scanner: Option<usize>,
    ) -> Result<String, SeedError> {
        let root = snapshot.map(|snapshot| {
            let volume = EbsBlockDevice::builder().snapshot_id(snapshot).build();
            vec![BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(volume).build()]
        });
        let registered = aws_sdk_ec2::Client::new(&self.config)
            .register_image()
            .set_block_device_mappings(root)
            .name(name)
            .architecture(ArchitectureValues::X8664)
            .root_device_name(ROOT_DEVICE)
            .virtualization_type("hvm")
            .set_tag_specifications(scanner.map(|scanner| vec![tagged(ResourceType::Image, scanner)]))
            .send()
            .await?;
        named(registered.image_id(), "RegisterImage")
    }

    async fn functions(&self) -> Result<Vec<Target>, SeedError> {
        let lambda = aws_sdk_lambda::Client::new(&self.config);
        let zip = || Blob::new(self.code.zip.clone());
        let content = LayerVersionContentInput::builder().zip_file(zip()).build();
        let layer = lambda.publish_layer_version().layer_name("load-tools").content(content).send().await?;
        let layer = named(layer.layer_version_arn(), "PublishLayerVersion")?;
        let mut targets = Vec::new();
        for (number, scanner) in self.part(self.size.functions) {
            let name = format!("load-{number}");
            let request =
                lambda.create_function().function_name(&name).role(self.role).tags(TAG, value(scanner));
            let request = if number % 10 == 9 {
                let uri = self.code.image.0.replace(self.code.image.1, self.region);
                let code = FunctionCode::builder().image_uri(uri).build();
                request.package_type(PackageType::Image).code(code)
            } else {
                let code = FunctionCode::builder().zip_file(zip()).build();
                let layers = (number % 5 == 0).then(|| vec![layer.clone()]);
                let request = request.runtime(Runtime::Python312).handler("handler.handle");
                request.code(code).set_layers(layers)
            };
            let made = request.send().await?;
            let arn = format!("{}:$LATEST", named(made.function_arn(), "CreateFunction")?);
            targets.push(self.target(Kind::Function, arn, scanner, &format!("{name}.LATEST")));
        }
        Ok(targets)
    }

    fn target(&self, kind: Kind, arn: String, scanner: usize, name: &str) -> Target {
        let folder = format!("{ACCOUNT}/{}/{}/{name}", self.region, kind.name());
        Target { arn, kind, scanner, folder }
    }
}

impl Code {
    /// A Python package, packed as a zip, and as the layer of a container image.
    fn new(aws: &LocalAws) -> Result<Self, LoadError> {
        let folder = tempfile::tempdir().map_err(io("make a temporary folder"))?;
        let name = "requests-2.32.3.dist-info";
        let package = folder.path().join(name);
        std::fs::create_dir(&package).map_err(io("make a folder"))?;
        let metadata = "Metadata-Version: 2.1\nName: requests\nVersion: 2.32.3\n";
        std::fs::write(package.join("METADATA"), metadata).map_err(io("write a file"))?;
        let (zip, layer) = (folder.path().join("code.zip"), folder.path().join("layer.tar.gz"));
        let python = tools::find("python3", "install the Debian package `python3`")?;
        let (module, create) = (Path::new("-m"), Path::new("-c"));
        tools::run(&python, [module, Path::new("zipfile"), create, &zip, &package])?;
        let tar = tools::find("tar", "install the Debian package `tar`")?;
        tools::run(&tar, [Path::new("-czf"), &layer, Path::new("-C"), folder.path(), Path::new(name)])?;
        let layer = Bytes::from(std::fs::read(&layer).map_err(io("read a file"))?);
        let zip = std::fs::read(&zip).map_err(io("read a file"))?;
        Ok(Self { zip, image: (aws.push_image("load/functions", &[layer]), aws.region()) })
    }
}

async fn role(aws: &LocalAws) -> Result<String, SeedError> {
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let made = iam.create_role().role_name(ROLE).assume_role_policy_document(trust).send().await?;
    named(made.role().map(aws_sdk_iam::types::Role::arn), "CreateRole")
}

fn tagged(resource: ResourceType, scanner: usize) -> TagSpecification {
    let tag = Tag::builder().key(TAG).value(value(scanner)).build();
    TagSpecification::builder().resource_type(resource).tags(tag).build()
}

/// The value of a scanner's tag.
pub(super) fn value(scanner: usize) -> String {
    format!("scanner-{scanner}")
}
