//! [`LaunchTemplates`]: launch templates, their numbered versions, and the images that they launch.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataEndpointState, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateInstanceNetworkInterfaceSpecificationRequest, LaunchTemplateTagSpecificationRequest,
    RequestLaunchTemplateData, ResourceType, ResponseLaunchTemplateData, ShutdownBehavior, VolumeType,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use scanner_policy::Region;

use super::error::failed;
use super::security_groups::{specifications, tags_from_sdk, tags_to_sdk};
use super::{Answer, Aws, AwsError, Tags};

/// A launch template, as EC2 has it, without what its versions say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchTemplate {
    /// Such as `lt-0123456789abcdef0`.
    pub id: String,
    /// Its name, unique in the region.
    pub name: String,
    /// Its own tags; those of what it launches are in [`TemplateContent::tags`].
    pub tags: Tags,
}

/// One version of a launch template, as an Auto Scaling group refers to it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TemplateRef {
    /// The template's id.
    pub id: String,
    /// A number, or `$Latest` or `$Default`.
    pub version: String,
}

/// What a version of a launch template says about the instances.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateContent {
    /// The AMI: its id, or `resolve:ssm:` and the parameter of Systems Manager that has the id.
    pub image_id: String,
    /// Such as `t4g.medium`.
    pub instance_type: String,
    /// The instance profile that gives the instances their role.
    pub instance_profile_arn: String,
    /// The security groups of their network interface.
    pub security_group_ids: BTreeSet<String>,
    /// Whether they get a public address, or may get one because only their subnet decides.
    pub public_address: bool,
    /// The key pair for SSH.
    pub key_name: Option<String>,
    /// Their metadata service.
    pub metadata: MetadataOptions,
    /// The volume that they boot from.
    pub root_volume: RootVolume,
    /// What cloud-init reads, as text.
    pub user_data: String,
    /// Of the instances and their volumes.
    pub tags: Tags,
}

/// How the instance metadata service answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataOptions {
    /// `required` makes it version 2 only.
    pub http_tokens: String,
    /// How many network hops an answer survives.
    pub hop_limit: i32,
}

/// The root volume.
#[derive(Clone, Debug, PartialEq)]
pub struct RootVolume {
    /// The device that the image names as its root.
    pub device_name: String,
    /// In GiB.
    pub size: i32,
    /// Such as `gp3`.
    pub volume_type: String,
    /// Whether it is encrypted, and with it every other volume of the template.
    pub encrypted: bool,
    /// With which key; none is the account's default for EBS.
    pub kms_key_id: Option<String>,
}

/// An AMI.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The device of its root volume, such as `/dev/sda1`.
    pub root_device_name: String,
    /// The size of its root volume in GiB, where it says so. No instance can have a smaller one.
    pub root_volume_size: Option<i32>,
    /// Such as `arm64`.
    pub architecture: Option<String>,
    /// Such as `available`.
    pub state: Option<String>,
    /// When it is or was deprecated (RFC 3339, UTC).
    pub deprecation_time: Option<String>,
}

/// Launch templates, their versions, and images.
pub trait LaunchTemplates: Send + Sync + 'static {
    /// Looks an image up.
    fn image(&self, region: &Region, id: &str) -> impl Answer<Option<Image>>;
    /// The architectures of an instance type, such as `arm64`.
    fn architectures(&self, region: &Region, instance_type: &str) -> impl Answer<Option<BTreeSet<String>>>;
    /// Makes a launch template with version 1, and returns its id.
    fn create_template(
        &self,
        region: &Region,
        name: &str,
        content: &TemplateContent,
        tags: &Tags,
    ) -> impl Answer<String>;
    /// Makes a new version, which takes nothing from the ones before, and returns its number.
    fn create_version(&self, region: &Region, id: &str, content: &TemplateContent) -> impl Answer<i64>;
    /// Makes a version the template's default: what it launches where no version is named.
    fn put_default_version(&self, region: &Region, id: &str, version: i64) -> impl Answer<()>;
    /// Looks a template up by its name.
    fn template_named(&self, region: &Region, name: &str) -> impl Answer<Option<LaunchTemplate>>;
    /// What a version says.
    fn content(&self, region: &Region, version: &TemplateRef) -> impl Answer<Option<TemplateContent>>;
    /// The id of the image that a version launches, where it names one by a parameter as well.
    fn resolved_image(&self, region: &Region, version: &TemplateRef) -> impl Answer<Option<String>>;
    /// Sets tags of a template and removes others by key.
    fn tag_template(&self, region: &Region, id: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Removes a template with all its versions. That it is gone already is a success.
    fn delete_template(&self, region: &Region, id: &str) -> impl Answer<()>;
}

impl LaunchTemplates for Aws {
    async fn image(&self, region: &Region, id: &str) -> Result<Option<Image>, AwsError> {
        // One that is disabled or deprecated is there, and is told as that.
        let request = self.clients(region).ec2.describe_images().image_ids(id);
        let request = request.include_disabled(true).include_deprecated(true);
        let answer = match request.send().await.map_err(failed("ec2:DescribeImages")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(answer.images.unwrap_or_default().into_iter().next().map(image_from_sdk))
    }

    async fn architectures(
        &self,
        region: &Region,
        instance_type: &str,
    ) -> Result<Option<BTreeSet<String>>, AwsError> {
        let request = self.clients(region).ec2.describe_instance_types().instance_types(instance_type.into());
        let answer = match request.send().await.map_err(failed("ec2:DescribeInstanceTypes")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = answer.instance_types.unwrap_or_default().into_iter().next();
        Ok(found.map(|found| {
            let supported = found.processor_info.and_then(|processor| processor.supported_architectures);
            supported.unwrap_or_default().iter().map(|kind| kind.as_str().to_owned()).collect()
        }))
    }

    async fn create_template(
        &self,
        region: &Region,
        name: &str,
        content: &TemplateContent,
        tags: &Tags,
    ) -> Result<String, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplate";
        let answer = self
            .clients(region)
            .ec2
            .create_launch_template()
            .launch_template_name(name)
            .launch_template_data(to_sdk(content))
            .set_tag_specifications(specifications(ResourceType::LaunchTemplate, tags))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        let id = answer.launch_template.and_then(|template| template.launch_template_id);
        id.ok_or_else(|| AwsError::malformed(OPERATION, "launch template id"))
    }

    async fn create_version(
        &self,
        region: &Region,
        id: &str,
        content: &TemplateContent,
    ) -> Result<i64, AwsError> {
        const OPERATION: &str = "ec2:CreateLaunchTemplateVersion";
        let request = self.clients(region).ec2.create_launch_template_version().launch_template_id(id);
        let answer = request.launch_template_data(to_sdk(content)).send().await.map_err(failed(OPERATION))?;
        let number = answer.launch_template_version.and_then(|version| version.version_number);
        number.ok_or_else(|| AwsError::malformed(OPERATION, "version number"))
    }

    async fn put_default_version(&self, region: &Region, id: &str, version: i64) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.modify_launch_template().launch_template_id(id);
        let request = request.default_version(version.to_string());
        request.send().await.map_err(failed("ec2:ModifyLaunchTemplate"))?;
        Ok(())
    }

    async fn template_named(&self, region: &Region, name: &str) -> Result<Option<LaunchTemplate>, AwsError> {
        let request = self.clients(region).ec2.describe_launch_templates().launch_template_names(name);
        let answer = match request.send().await.map_err(failed("ec2:DescribeLaunchTemplates")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(answer.launch_templates.unwrap_or_default().into_iter().next().map(|template| LaunchTemplate {
            id: template.launch_template_id.unwrap_or_default(),
            name: template.launch_template_name.unwrap_or_default(),
            tags: tags_from_sdk(template.tags),
        }))
    }

    async fn content(
        &self,
        region: &Region,
        version: &TemplateRef,
    ) -> Result<Option<TemplateContent>, AwsError> {
        let request = self.clients(region).ec2.describe_launch_template_versions();
        let request = request.launch_template_id(&version.id).versions(&version.version);
        let answer = match request.send().await.map_err(failed("ec2:DescribeLaunchTemplateVersions")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let version = answer.launch_template_versions.unwrap_or_default().into_iter().next();
        Ok(version.and_then(|version| version.launch_template_data).map(from_sdk))
    }

    async fn resolved_image(
        &self,
        region: &Region,
        version: &TemplateRef,
    ) -> Result<Option<String>, AwsError> {
        let request = self.clients(region).ec2.describe_launch_template_versions().resolve_alias(true);
        let request = request.launch_template_id(&version.id).versions(&version.version);
        let answer = request.send().await.map_err(failed("ec2:DescribeLaunchTemplateVersions"))?;
        let version = answer.launch_template_versions.unwrap_or_default().into_iter().next();
        Ok(version.and_then(|version| version.launch_template_data).and_then(|data| data.image_id))
    }

    async fn tag_template(
        &self,
        region: &Region,
        id: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        self.tag_ec2(region, id, set, remove).await
    }

    async fn delete_template(&self, region: &Region, id: &str) -> Result<(), AwsError> {
        let request = self.clients(region).ec2.delete_launch_template().launch_template_id(id);
        match request.send().await.map_err(failed("ec2:DeleteLaunchTemplate")) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

/// What Ubuntu's and most other images name their root device, for an image that does not say.
pub const DEFAULT_ROOT_DEVICE: &str = "/dev/sda1";

fn image_from_sdk(image: aws_sdk_ec2::types::Image) -> Image {
    let root_device_name = image.root_device_name.unwrap_or_else(|| DEFAULT_ROOT_DEVICE.to_owned());
    let mut devices = image.block_device_mappings.unwrap_or_default().into_iter();
    let root = devices.find(|device| device.device_name.as_ref() == Some(&root_device_name));
    let root_volume_size = root.and_then(|device| device.ebs).and_then(|volume| volume.volume_size);
    Image {
        root_device_name,
        root_volume_size,
        architecture: image.architecture.map(|kind| kind.as_str().to_owned()),
        state: image.state.map(|state| state.as_str().to_owned()),
        deprecation_time: image.deprecation_time,
    }
}

fn to_sdk(content: &TemplateContent) -> RequestLaunchTemplateData {
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(content.root_volume.size)
        .volume_type(VolumeType::from(content.root_volume.volume_type.as_str()))
        .encrypted(content.root_volume.encrypted)
        .set_kms_key_id(content.root_volume.kms_key_id.clone())
        .delete_on_termination(true);
    let device = LaunchTemplateBlockDeviceMappingRequest::builder()
        .device_name(&content.root_volume.device_name)
        .ebs(volume.build());
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .associate_public_ip_address(content.public_address)
        .delete_on_termination(true)
        .set_groups(Some(content.security_group_ids.iter().cloned().collect()));
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .http_tokens(LaunchTemplateHttpTokensState::from(content.metadata.http_tokens.as_str()))
        .http_put_response_hop_limit(content.metadata.hop_limit);
    let profile =
        LaunchTemplateIamInstanceProfileSpecificationRequest::builder().arn(&content.instance_profile_arn);
    let mut data = RequestLaunchTemplateData::builder()
        .image_id(&content.image_id)
        .instance_type(content.instance_type.as_str().into())
        .iam_instance_profile(profile.build())
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .network_interfaces(interface.build())
        .block_device_mappings(device.build())
        .metadata_options(metadata.build())
        .set_key_name(content.key_name.clone())
        .user_data(BASE64_STANDARD.encode(&content.user_data));
    if !content.tags.is_empty() {
        for kind in [ResourceType::Instance, ResourceType::Volume] {
            let tags = Some(tags_to_sdk(&content.tags));
            data = data.tag_specifications(
                LaunchTemplateTagSpecificationRequest::builder().resource_type(kind).set_tags(tags).build(),
            );
        }
    }
    data.build()
}

fn from_sdk(data: ResponseLaunchTemplateData) -> TemplateContent {
    let interfaces = data.network_interfaces.unwrap_or_default();
    // Where the template says nothing, the subnet decides.
    let public_address = interfaces.is_empty()
        || interfaces.iter().any(|interface| interface.associate_public_ip_address != Some(false));
    let of_interfaces = interfaces.into_iter().flat_map(|interface| interface.groups.unwrap_or_default());
    let groups = of_interfaces.chain(data.security_group_ids.unwrap_or_default());
    let devices = data.block_device_mappings.unwrap_or_default();
    let encrypted =
        devices.iter().filter_map(|device| device.ebs()).all(|volume| volume.encrypted == Some(true));
    let device = devices.into_iter().find(|device| device.ebs.is_some());
    let (device_name, volume) = device.map(|device| (device.device_name, device.ebs)).unwrap_or_default();
    let metadata = data.metadata_options;
    let mut tags = data.tag_specifications.unwrap_or_default().into_iter();
    let of_instances = tags.rfind(|tags| tags.resource_type == Some(ResourceType::Instance));
    TemplateContent {
        image_id: data.image_id.unwrap_or_default(),
        instance_type: data.instance_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        instance_profile_arn: data.iam_instance_profile.and_then(|profile| profile.arn).unwrap_or_default(),
        security_group_ids: groups.collect(),
        public_address,
        key_name: data.key_name,
        // Where the template says nothing, EC2 also answers without a token, over one hop.
        metadata: MetadataOptions {
            http_tokens: metadata
                .as_ref()
                .and_then(|metadata| metadata.http_tokens())
                .map_or("optional", LaunchTemplateHttpTokensState::as_str)
                .to_owned(),
            hop_limit: metadata.and_then(|metadata| metadata.http_put_response_hop_limit).unwrap_or(1),
        },
        root_volume: RootVolume {
            device_name: device_name.unwrap_or_default(),
            size: volume.as_ref().and_then(|volume| volume.volume_size).unwrap_or_default(),
            volume_type: volume
                .as_ref()
                .and_then(|volume| volume.volume_type())
                .map(|kind| kind.as_str().to_owned())
                .unwrap_or_default(),
            encrypted: encrypted && volume.is_some(),
            kms_key_id: volume.and_then(|volume| volume.kms_key_id),
        },
        user_data: data.user_data.map(|text| decoded(&text)).unwrap_or_default(),
        tags: tags_from_sdk(of_instances.and_then(|specification| specification.tags)),
    }
}

/// User data as text; what is neither Base64 nor text was not written here and differs from all that is.
fn decoded(user_data: &str) -> String {
    let bytes = BASE64_STANDARD.decode(user_data).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_else(|_| user_data.to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{
        LaunchTemplateBlockDeviceMapping, LaunchTemplateEbsBlockDevice,
        LaunchTemplateInstanceNetworkInterfaceSpecification,
    };

    use super::*;

    fn interface(public: Option<bool>, group: &str) -> LaunchTemplateInstanceNetworkInterfaceSpecification {
        LaunchTemplateInstanceNetworkInterfaceSpecification::builder()
            .set_associate_public_ip_address(public)
            .groups(group)
            .build()
    }

    fn volume(encrypted: Option<bool>) -> LaunchTemplateBlockDeviceMapping {
        let volume = LaunchTemplateEbsBlockDevice::builder().set_encrypted(encrypted).volume_size(30).build();
        LaunchTemplateBlockDeviceMapping::builder().ebs(volume).build()
    }

    #[test]
    fn a_template_that_says_nothing_promises_nothing() {
        let content = from_sdk(ResponseLaunchTemplateData::builder().build());
        assert!(content.public_address, "the subnet decides");
        assert!(!content.root_volume.encrypted);
        assert_eq!(content.metadata.http_tokens, "optional");
        let silent =
            ResponseLaunchTemplateData::builder().network_interfaces(interface(None, "sg-1")).build();
        assert!(from_sdk(silent).public_address, "the subnet decides");
    }

    #[test]
    fn an_image_tells_the_size_of_its_root_volume() {
        use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice};
        let device = |name: &str, size| {
            let volume = EbsBlockDevice::builder().volume_size(size).build();
            BlockDeviceMapping::builder().device_name(name).ebs(volume).build()
        };
        let image = aws_sdk_ec2::types::Image::builder()
            .root_device_name("/dev/xvda")
            .block_device_mappings(device("/dev/xvdb", 500))
            .block_device_mappings(device("/dev/xvda", 8));
        let image = image_from_sdk(image.build());
        assert_eq!((image.root_device_name.as_str(), image.root_volume_size), ("/dev/xvda", Some(8)));
        let silent = image_from_sdk(aws_sdk_ec2::types::Image::builder().build());
        assert_eq!(silent.root_volume_size, None);
    }

    #[test]
    fn every_interface_and_volume_counts() {
        let data = ResponseLaunchTemplateData::builder()
            .network_interfaces(interface(Some(false), "sg-1"))
            .block_device_mappings(volume(Some(true)));
        let content = from_sdk(data.clone().build());
        assert!(!content.public_address && content.root_volume.encrypted);

        let wider = data
            .network_interfaces(interface(Some(true), "sg-2"))
            .block_device_mappings(volume(None))
            .security_group_ids("sg-3");
        let content = from_sdk(wider.build());
        assert!(content.public_address && !content.root_volume.encrypted);
        assert_eq!(content.security_group_ids, ["sg-1", "sg-2", "sg-3"].map(str::to_owned).into());
    }
}
