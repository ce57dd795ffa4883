//! What tests put into the local AWS before the story begins: a network, a running instance, an image of the scanner.

use std::path::Path;

use aws_sdk_ec2::error::{DisplayErrorContext, SdkError};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, Filter, InstanceType, ResourceType, Tag,
    TagSpecification, VolumeType,
};

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{LayerVersionContentInput, PackageType, Runtime};

use super::LocalAws;

/// Why something could not be seeded.
#[derive(Debug, thiserror::Error)]
#[error("could not seed the local AWS: {0}")]
pub struct SeedError(String);

impl SeedError {
    pub(super) fn new(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

/// A network with two private subnets.
#[derive(Clone, Debug)]
pub struct Network {
    /// The VPC, 10.42.0.0/16.
    pub vpc_id: String,
    /// One subnet in each of two zones.
    pub subnet_ids: Vec<String>,
    /// A security group of the machines to scan.
    pub security_group_id: String,
}

/// What a function consists of.
#[derive(Clone, Debug)]
pub enum FunctionCode {
    /// A zip for Python 3.12.
    Python(Vec<u8>),
    /// The URI of a container image.
    Image(String),
}

/// An instance to scan.
#[derive(Clone, Debug)]
pub struct RunningInstance {
    /// `i-…`.
    pub instance_id: String,
    /// Its root volume, attached as `/dev/xvda`.
    pub volume_id: String,
}

impl LocalAws {
    /// Make a network with two private subnets and a security group.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn create_network(&self) -> Result<Network, SeedError> {
        let ec2 = self.harness_ec2();
        let vpc = ec2.create_vpc().cidr_block("10.42.0.0/16").send().await?;
        let vpc_id = named(vpc.vpc().and_then(|vpc| vpc.vpc_id()), "CreateVpc")?;
        let mut subnet_ids = Vec::new();
        for (zone, cidr) in [("a", "10.42.0.0/20"), ("b", "10.42.16.0/20")] {
            let zone = format!("{}{zone}", self.region());
            let subnet =
                ec2.create_subnet().vpc_id(&vpc_id).cidr_block(cidr).availability_zone(zone).send().await?;
            subnet_ids.push(named(subnet.subnet().and_then(|subnet| subnet.subnet_id()), "CreateSubnet")?);
        }
        let name = format!("hosts-{vpc_id}");
        let group = ec2.create_security_group().vpc_id(&vpc_id).group_name(name).description("Hosts to scan");
        let security_group_id = named(group.send().await?.group_id(), "CreateSecurityGroup")?;
        Ok(Network { vpc_id, subnet_ids, security_group_id })
    }

    /// Run an instance whose root volume holds the disk image `image`: as large as the image, rounded up to a GiB.
    ///
    /// # Errors
    /// When the image cannot be read or a call fails.
    pub async fn run_instance(
        &self,
        network: &Network,
        image: &Path,
        encrypted: bool,
        tags: &[(&str, &str)],
    ) -> Result<RunningInstance, SeedError> {
        let subnet = network.subnet_ids.first().cloned();
        let groups = Some(vec![network.security_group_id.clone()]);
        let config = self.harness_sdk_config();
        self.launch(&config, (subnet, groups), image, encrypted, tags).await
    }

    /// The same in the account of `config`, in its default network. See [`Self::sdk_config_of`].
    ///
    /// # Errors
    /// When the image cannot be read or a call fails.
    pub async fn run_instance_of(
        &self,
        config: &SdkConfig,
        image: &Path,
        encrypted: bool,
    ) -> Result<RunningInstance, SeedError> {
        self.launch(config, (None, None), image, encrypted, &[]).await
    }

    async fn launch(
        &self,
        config: &SdkConfig,
        (subnet, groups): (Option<String>, Option<Vec<String>>),
        image: &Path,
        encrypted: bool,
        tags: &[(&str, &str)],
    ) -> Result<RunningInstance, SeedError> {
        let ec2 = aws_sdk_ec2::Client::new(config);
        let length = std::fs::metadata(image)
            .map_err(|error| SeedError(format!("{}: {error}", image.display())))?
            .len();
        let gibibytes =
            i32::try_from(length.div_ceil(1 << 30).max(1)).map_err(|error| SeedError(error.to_string()))?;
        let ami = register(&ec2, "host", ArchitectureValues::X8664, &[], None).await?;
        let root = EbsBlockDevice::builder()
            .volume_size(gibibytes)
            .volume_type(VolumeType::Gp3)
            .encrypted(encrypted)
            .delete_on_termination(true);
        let tagged = |resource| specification(resource, tags);
        let launched = ec2
            .run_instances()
            .image_id(ami)
            .instance_type(InstanceType::T3Micro)
            .min_count(1)
            .max_count(1)
            .set_subnet_id(subnet)
            .set_security_group_ids(groups)
            .block_device_mappings(
                BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(root.build()).build(),
            )
            .set_tag_specifications(tagged(ResourceType::Instance))
            .send()
            .await?;
        let instance = launched.instances().first();
        let instance_id = named(instance.and_then(|instance| instance.instance_id()), "RunInstances")?;
        let attached = Filter::builder().name("attachment.instance-id").values(&instance_id).build();
        let volumes = ec2.describe_volumes().filters(attached).send().await?;
        let root = volumes.volumes().first().and_then(|volume| volume.volume_id());
        let volume_id = named(root, "DescribeVolumes")?;
        self.set_volume_content(&volume_id, image);
        Ok(RunningInstance { instance_id, volume_id })
    }

    /// Register an image, such as the scanner's own. Returns `ami-…`.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn register_image(
        &self,
        name: &str,
        architecture: ArchitectureValues,
        tags: &[(&str, &str)],
    ) -> Result<String, SeedError> {
        register(&self.harness_ec2(), name, architecture, tags, None).await
    }

    /// Make an image of a volume, as its owner would. Returns `ami-…` and the `snap-…` that it consists of.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn image_of_volume(
        &self,
        volume: &str,
        tags: &[(&str, &str)],
    ) -> Result<(String, String), SeedError> {
        image_of_volume(&self.harness_sdk_config(), volume, tags).await
    }

    /// Publish a layer of functions. Returns the ARN of its version.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn publish_layer(&self, name: &str, zip: Vec<u8>) -> Result<String, SeedError> {
        publish_layer(&self.harness_sdk_config(), name, zip).await
    }

    /// Publish a version of a function, and let an alias point to it. Returns the version.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn publish_function(&self, name: &str, alias: &str) -> Result<String, SeedError> {
        publish_function(&self.harness_sdk_config(), name, alias).await
    }

    /// Create a function. Returns its ARN.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn create_function(
        &self,
        name: &str,
        code: FunctionCode,
        layers: &[String],
        tags: &[(&str, &str)],
    ) -> Result<String, SeedError> {
        create_function(&self.harness_sdk_config(), name, code, layers, tags).await
    }

    fn harness_ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.harness_sdk_config())
    }
}

/// Makes an image of a volume in the account and region of `config`, as its owner would. Returns `ami-…` and the `snap-…` that it
/// consists of.
///
/// # Errors
/// When a call fails.
pub async fn image_of_volume(
    config: &SdkConfig,
    volume: &str,
    tags: &[(&str, &str)],
) -> Result<(String, String), SeedError> {
    let ec2 = aws_sdk_ec2::Client::new(config);
    let made = ec2.create_snapshot().volume_id(volume).description("Of an image").send().await?;
    let snapshot = named(made.snapshot_id(), "CreateSnapshot")?;
    // The first look finds it complete.
    ec2.describe_snapshots().snapshot_ids(&snapshot).send().await?;
    let of = Some(snapshot.as_str());
    let image = register(&ec2, "backup", ArchitectureValues::X8664, tags, of).await?;
    Ok((image, snapshot))
}

/// Publishes a layer of functions there. Returns the ARN of its version.
///
/// # Errors
/// When a call fails.
pub async fn publish_layer(config: &SdkConfig, name: &str, zip: Vec<u8>) -> Result<String, SeedError> {
    let content = LayerVersionContentInput::builder().zip_file(Blob::new(zip)).build();
    let lambda = aws_sdk_lambda::Client::new(config);
    let published = lambda.publish_layer_version().layer_name(name).content(content).send().await?;
    named(published.layer_version_arn(), "PublishLayerVersion")
}

/// Publishes a version of a function there, and lets an alias point to it. Returns the version.
///
/// # Errors
/// When a call fails.
pub async fn publish_function(config: &SdkConfig, name: &str, alias: &str) -> Result<String, SeedError> {
    let lambda = aws_sdk_lambda::Client::new(config);
    let published = lambda.publish_version().function_name(name).send().await?;
    let version = named(published.version(), "PublishVersion")?;
    lambda.create_alias().function_name(name).name(alias).function_version(&version).send().await?;
    Ok(version)
}

/// Creates a function there. Returns its ARN.
///
/// # Errors
/// When a call fails.
pub async fn create_function(
    config: &SdkConfig,
    name: &str,
    code: FunctionCode,
    layers: &[String],
    tags: &[(&str, &str)],
) -> Result<String, SeedError> {
    let role = format!("function-{name}");
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let iam = aws_sdk_iam::Client::new(config);
    let role = iam.create_role().role_name(role).assume_role_policy_document(trust).send().await?;
    let role = role.role().map(|role| role.arn().to_owned());
    let request = aws_sdk_lambda::Client::new(config)
        .create_function()
        .function_name(name)
        .set_role(role)
        .set_layers(Some(layers.to_vec()))
        .set_tags(Some(tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()));
    let request = match code {
        FunctionCode::Python(zip) => request
            .runtime(Runtime::Python312)
            .handler("handler.handle")
            .code(aws_sdk_lambda::types::FunctionCode::builder().zip_file(Blob::new(zip)).build()),
        FunctionCode::Image(uri) => request
            .package_type(PackageType::Image)
            .code(aws_sdk_lambda::types::FunctionCode::builder().image_uri(uri).build()),
    };
    named(request.send().await?.function_arn(), "CreateFunction")
}

async fn register(
    ec2: &aws_sdk_ec2::Client,
    name: &str,
    architecture: ArchitectureValues,
    tags: &[(&str, &str)],
    snapshot: Option<&str>,
) -> Result<String, SeedError> {
    let root = snapshot.map(|snapshot| {
        let volume = EbsBlockDevice::builder().snapshot_id(snapshot).build();
        vec![BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(volume).build()]
    });
    let registered = ec2
        .register_image()
        .set_block_device_mappings(root)
        // Names are unique in an account and region.
        .name(format!("{name}-{}", uuid::Uuid::new_v4().simple()))
        .architecture(architecture)
        .root_device_name(ROOT_DEVICE)
        .virtualization_type("hvm")
        .set_tag_specifications(specification(ResourceType::Image, tags))
        .send()
        .await?;
    named(registered.image_id(), "RegisterImage")
}

fn specification(resource: ResourceType, tags: &[(&str, &str)]) -> Option<Vec<TagSpecification>> {
    if tags.is_empty() {
        return None;
    }
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
    Some(vec![TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()])
}

/// What a reply names.
pub(crate) fn named(id: Option<&str>, action: &str) -> Result<String, SeedError> {
    id.map(str::to_owned).ok_or_else(|| SeedError(format!("{action} returned no id")))
}

impl<E: std::error::Error + 'static, R: std::fmt::Debug> From<SdkError<E, R>> for SeedError {
    fn from(error: SdkError<E, R>) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }
}

const ROOT_DEVICE: &str = "/dev/xvda";
