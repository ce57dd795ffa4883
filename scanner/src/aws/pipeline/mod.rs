//! What the verbs `agentless-scanner image …` ask of AWS, with the credentials of the pipeline that runs them: images, what
//! uses them, and the parameters that point to them.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types;
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::{Call, actions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::config::once;
use super::ec2::{next_page, tags_of, time_of};
use super::{AwsError, Home};

pub use model::{
    Group, GroupInstance, ImageSnapshot, MachineImage, Parameter, Refresh, Started, TemplateRef,
    TemplateVersion,
};

/// The images of a region and what points to them, as a trait that tests can stand in for.
pub trait ImageCloud: Send + Sync {
    /// The account of the credentials.
    fn account(&self) -> impl Future<Output = Result<String, AwsError>> + Send;

    /// Looks an image up, of whichever account.
    fn image(&self, id: &str) -> impl Future<Output = Result<Option<MachineImage>, AwsError>> + Send;

    /// Every image of the account, disabled and deprecated ones as well.
    fn images(&self) -> impl Future<Output = Result<Vec<MachineImage>, AwsError>> + Send;

    /// The account's snapshots that carry this tag with this value.
    fn snapshots_with(
        &self,
        tag: &str,
        value: &str,
    ) -> impl Future<Output = Result<Vec<ImageSnapshot>, AwsError>> + Send;

    /// The instances, ended ones aside, that were started from these images.
    fn instances_from(
        &self,
        images: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<Started>, AwsError>> + Send;

    /// Every Auto Scaling group.
    fn groups(&self) -> impl Future<Output = Result<Vec<Group>, AwsError>> + Send;

    /// The latest instance refresh of a group.
    fn latest_refresh(&self, group: &str) -> impl Future<Output = Result<Option<Refresh>, AwsError>> + Send;

    /// The default and the latest version of every launch template.
    fn main_versions(&self) -> impl Future<Output = Result<Vec<TemplateVersion>, AwsError>> + Send;

    /// The versions of a launch template from one number to another, as far as there are.
    fn versions(
        &self,
        template: &str,
        first: i64,
        last: i64,
    ) -> impl Future<Output = Result<Vec<TemplateVersion>, AwsError>> + Send;

    /// The parameters of these names that exist.
    fn parameters(
        &self,
        names: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Parameter>, AwsError>> + Send;

    /// Sets a parameter to the id of an image. Systems Manager checks that later, and then drops what it does not accept.
    fn point(&self, name: &str, image: &str) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Takes the protection from deregistration away.
    fn disable_protection(&self, image: &str) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Deregisters an image.
    fn deregister(&self, image: &str) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Deletes a snapshot.
    fn delete_snapshot_of_image(&self, snapshot: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// Parameters that point to images have this type: Systems Manager then refuses what is no image.
pub const IMAGE_DATA_TYPE: &str = "aws:ec2:image";

/// What a launch template has before the name of a parameter.
pub const BY_PARAMETER: &str = "resolve:ssm:";

/// How many values a filter may have ("Filter" of the EC2 API reference).
const FILTER_VALUES: usize = 200;

/// How many parameters are asked for at once (`GetParameters`).
const PARAMETERS: usize = 10;

/// [`ImageCloud`] for one region of the account of the credentials.
#[derive(Clone, Debug)]
pub struct ImageAws {
    home: Arc<Home>,
    ec2: aws_sdk_ec2::Client,
    scaling: aws_sdk_autoscaling::Client,
    ssm: aws_sdk_ssm::Client,
}

impl ImageAws {
    /// With the identity of `home`.
    pub fn new(home: Arc<Home>) -> Self {
        let (config, gate) = (&home.config, || home.sender.interceptor());
        let ec2 = aws_sdk_ec2::config::Builder::from(config).interceptor(gate()).retry_config(once());
        let scaling =
            aws_sdk_autoscaling::config::Builder::from(config).interceptor(gate()).retry_config(once());
        let ssm = aws_sdk_ssm::config::Builder::from(config).interceptor(gate()).retry_config(once());
        Self {
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            scaling: aws_sdk_autoscaling::Client::from_conf(scaling.build()),
            ssm: aws_sdk_ssm::Client::from_conf(ssm.build()),
            home,
        }
    }

    /// As the sender's, with a refusal in terms of the role that runs the verbs.
    async fn send<T, E, F>(&self, call: Call, request: impl FnMut() -> F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.home.sender.send(call, request).await.map_err(|error| match error {
            AwsError::Denied { call, detail } => AwsError::DeniedToPipeline { call, detail },
            error => error,
        })
    }

    async fn all_versions(
        &self,
        request: aws_sdk_ec2::operation::describe_launch_template_versions::builders::DescribeLaunchTemplateVersionsFluentBuilder,
    ) -> Result<Vec<TemplateVersion>, AwsError> {
        let (mut versions, mut page) = (Vec::new(), None);
        loop {
            let request = request.clone().set_next_token(page);
            let call = actions::EC2_DESCRIBE_LAUNCH_TEMPLATE_VERSIONS;
            let answer = self.send(call, || request.clone().send()).await?;
            versions.extend(answer.launch_template_versions().iter().filter_map(version));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(versions);
            }
        }
    }
}

impl ImageCloud for ImageAws {
    async fn account(&self) -> Result<String, AwsError> {
        self.home.account().await.map(str::to_owned)
    }

    async fn image(&self, id: &str) -> Result<Option<MachineImage>, AwsError> {
        let request = self.ec2.describe_images().image_ids(id).include_disabled(true);
        match self.send(actions::EC2_DESCRIBE_IMAGES, || request.clone().send()).await {
            Ok(answer) => Ok(answer.images().iter().map(machine_image).find(|image| image.id == id)),
            Err(AwsError::NotFound { .. }) => Ok(None),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn images(&self) -> Result<Vec<MachineImage>, AwsError> {
        let (mut images, mut page) = (Vec::new(), None);
        loop {
            let request = self
                .ec2
                .describe_images()
                .owners("self")
                .include_deprecated(true)
                .include_disabled(true)
                .set_next_token(page);
            let call = actions::EC2_DESCRIBE_IMAGES;
            let answer = self.send(call, || request.clone().send()).await?;
            images.extend(answer.images().iter().map(machine_image));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(images);
            }
        }
    }

    async fn snapshots_with(&self, tag: &str, value: &str) -> Result<Vec<ImageSnapshot>, AwsError> {
        let tagged = types::Filter::builder().name(format!("tag:{tag}")).values(value).build();
        let (mut snapshots, mut page) = (Vec::new(), None);
        loop {
            let request =
                self.ec2.describe_snapshots().owner_ids("self").filters(tagged.clone()).set_next_token(page);
            let call = actions::EC2_DESCRIBE_SNAPSHOTS;
            let answer = self.send(call, || request.clone().send()).await?;
            snapshots.extend(answer.snapshots().iter().filter_map(|snapshot| {
                Some(ImageSnapshot {
                    id: snapshot.snapshot_id()?.to_owned(),
                    started: snapshot.start_time().and_then(time_of),
                    tags: tags_of(snapshot.tags()),
                })
            }));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(snapshots);
            }
        }
    }

    async fn instances_from(&self, images: &BTreeSet<String>) -> Result<Vec<Started>, AwsError> {
        let images: Vec<String> = images.iter().cloned().collect();
        let states = ["pending", "running", "shutting-down", "stopping", "stopped"].map(str::to_owned);
        let living =
            types::Filter::builder().name("instance-state-name").set_values(Some(states.into())).build();
        let mut started = Vec::new();
        for images in images.chunks(FILTER_VALUES) {
            let of = types::Filter::builder().name("image-id").set_values(Some(images.to_vec())).build();
            let mut page = None;
            loop {
                let request = self
                    .ec2
                    .describe_instances()
                    .filters(of.clone())
                    .filters(living.clone())
                    .set_next_token(page);
                let call = actions::EC2_DESCRIBE_INSTANCES;
                let answer = self.send(call, || request.clone().send()).await?;
                let instances = answer.reservations().iter().flat_map(types::Reservation::instances);
                started.extend(instances.filter_map(|instance| {
                    Some(Started {
                        instance: instance.instance_id()?.to_owned(),
                        image: instance.image_id()?.to_owned(),
                        launched: instance.launch_time().and_then(time_of),
                    })
                }));
                page = next_page(answer.next_token());
                if page.is_none() {
                    break;
                }
            }
        }
        Ok(started)
    }

    async fn groups(&self) -> Result<Vec<Group>, AwsError> {
        let (mut groups, mut page) = (Vec::new(), None);
        loop {
            let request = self.scaling.describe_auto_scaling_groups().set_next_token(page);
            let call = actions::AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS;
            let answer = self.send(call, || request.clone().send()).await?;
            groups.extend(answer.auto_scaling_groups().iter().map(group));
            page = next_page(answer.next_token());
            if page.is_none() {
                return Ok(groups);
            }
        }
    }

    async fn latest_refresh(&self, group: &str) -> Result<Option<Refresh>, AwsError> {
        let request =
            self.scaling.describe_instance_refreshes().auto_scaling_group_name(group).max_records(1);
        let call = actions::AUTOSCALING_DESCRIBE_INSTANCE_REFRESHES;
        let answer = self.send(call, || request.clone().send()).await?;
        let latest = answer.instance_refreshes().first();
        Ok(latest.map(|refresh| Refresh {
            id: refresh.instance_refresh_id().unwrap_or_default().to_owned(),
            status: refresh.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: refresh.status_reason().map(str::to_owned),
            template: refresh
                .desired_configuration()
                .and_then(scaling::DesiredConfiguration::launch_template)
                .map(template_ref),
        }))
    }

    async fn main_versions(&self) -> Result<Vec<TemplateVersion>, AwsError> {
        let request = self.ec2.describe_launch_template_versions().versions("$Default").versions("$Latest");
        self.all_versions(request).await
    }

    async fn versions(
        &self,
        template: &str,
        first: i64,
        last: i64,
    ) -> Result<Vec<TemplateVersion>, AwsError> {
        let request = self.ec2.describe_launch_template_versions().launch_template_id(template);
        let request = request.min_version(first.max(1).to_string()).max_version(last.to_string());
        match self.all_versions(request).await {
            // A group can outlive its template.
            Err(AwsError::NotFound { .. }) => Ok(Vec::new()),
            answer => answer,
        }
    }

    async fn parameters(&self, names: &[String]) -> Result<BTreeMap<String, Parameter>, AwsError> {
        let mut found = BTreeMap::new();
        for names in names.chunks(PARAMETERS) {
            let request = self.ssm.get_parameters().set_names(Some(names.to_vec()));
            let call = actions::SSM_GET_PARAMETERS;
            let answer = self.send(call, || request.clone().send()).await?;
            found.extend(answer.parameters().iter().filter_map(|parameter| {
                let value = Parameter {
                    value: parameter.value()?.to_owned(),
                    data_type: parameter.data_type().unwrap_or_default().to_owned(),
                    changed: parameter.last_modified_date().and_then(time_of),
                };
                Some((parameter.name()?.to_owned(), value))
            }));
        }
        Ok(found)
    }

    async fn point(&self, name: &str, image: &str) -> Result<(), AwsError> {
        let request = self
            .ssm
            .put_parameter()
            .name(name)
            .value(image)
            .r#type(ParameterType::String)
            .data_type(IMAGE_DATA_TYPE)
            .overwrite(true);
        self.send(actions::SSM_PUT_PARAMETER, || request.clone().send()).await.map(drop)
    }

    async fn disable_protection(&self, image: &str) -> Result<(), AwsError> {
        let request = self.ec2.disable_image_deregistration_protection().image_id(image);
        let call = actions::EC2_DISABLE_IMAGE_DEREGISTRATION_PROTECTION;
        self.send(call, || request.clone().send()).await.map(drop)
    }

    async fn deregister(&self, image: &str) -> Result<(), AwsError> {
        let request = self.ec2.deregister_image().image_id(image);
        let call = actions::EC2_DEREGISTER_IMAGE;
        match self.send(call, || request.clone().send()).await {
            // The answer to an attempt before was lost.
            Err(AwsError::NotFound { .. }) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn delete_snapshot_of_image(&self, snapshot: &str) -> Result<(), AwsError> {
        let request = self.ec2.delete_snapshot().snapshot_id(snapshot);
        let call = actions::EC2_DELETE_SNAPSHOT;
        match self.send(call, || request.clone().send()).await {
            Err(AwsError::NotFound { .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// An image that was deregistered not long ago is known by its id, and by nothing else.
fn is_gone(error: &AwsError) -> bool {
    matches!(error, AwsError::Refused { detail, .. } if detail.starts_with("InvalidAMIID.Unavailable"))
}

fn machine_image(image: &types::Image) -> MachineImage {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let time = |text: Option<&str>| text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let volumes = image.block_device_mappings().iter().filter_map(types::BlockDeviceMapping::ebs);
    MachineImage {
        id: text(image.image_id()),
        name: text(image.name()),
        owner: text(image.owner_id()),
        state: image.state().map_or("in an unknown state", types::ImageState::as_str).to_owned(),
        architecture: text(image.architecture().map(types::ArchitectureValues::as_str)),
        created: time(image.creation_date()),
        deprecated: time(image.deprecation_time()),
        launched: time(image.last_launched_time()),
        imds: image.imds_support().map(|support| support.as_str().to_owned()),
        protection: text(image.deregistration_protection()),
        snapshots: volumes
            .filter_map(|volume| Some((volume.snapshot_id()?.to_owned(), volume.encrypted())))
            .collect(),
        tags: tags_of(image.tags()),
    }
}

fn version(version: &types::LaunchTemplateVersion) -> Option<TemplateVersion> {
    let data = version.launch_template_data()?;
    Some(TemplateVersion {
        template: version.launch_template_id()?.to_owned(),
        name: version.launch_template_name().unwrap_or_default().to_owned(),
        number: version.version_number()?,
        is_default: version.default_version().unwrap_or_default(),
        image: data.image_id().unwrap_or_default().to_owned(),
        is_scanner: (data.tag_specifications().iter())
            .flat_map(types::LaunchTemplateTagSpecification::tags)
            .any(|tag| tag.key() == Some(scanner_policy::tags::SCANNER_ID)),
    })
}

fn group(group: &scaling::AutoScalingGroup) -> Group {
    let mixed = group
        .mixed_instances_policy()
        .and_then(scaling::MixedInstancesPolicy::launch_template)
        .into_iter()
        .flat_map(|mixed| {
            let others = mixed.overrides().iter().filter_map(|other| other.launch_template_specification());
            mixed.launch_template_specification().into_iter().chain(others)
        });
    Group {
        name: group.auto_scaling_group_name().unwrap_or_default().to_owned(),
        templates: group.launch_template().into_iter().chain(mixed).map(template_ref).collect(),
        desired: group.desired_capacity().unwrap_or_default(),
        instances: (group.instances().iter())
            .map(|instance| GroupInstance {
                id: instance.instance_id().unwrap_or_default().to_owned(),
                state: instance.lifecycle_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
                healthy: instance.health_status() == Some("Healthy"),
                template: instance.launch_template().map(template_ref),
            })
            .collect(),
    }
}

fn template_ref(template: &scaling::LaunchTemplateSpecification) -> TemplateRef {
    TemplateRef {
        template: template.launch_template_id().unwrap_or_default().to_owned(),
        // What Auto Scaling takes where nothing is said.
        version: template.version().unwrap_or("$Default").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::*;

    async fn cloud(answers: impl IntoIterator<Item = (u16, String)>) -> (Script, ImageAws) {
        let script = Script::new(answers);
        let home = Arc::new(script.home().await);
        (script, ImageAws::new(home))
    }

    fn refused(status: u16, code: &str) -> (u16, String) {
        let error = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
        (status, format!("<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_no_failure() {
        let codes = ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"];
        let gone = || codes.map(|code| refused(400, code));
        let (_, cloud) =
            cloud(gone().into_iter().chain(gone()).chain([refused(400, "InvalidSnapshot.NotFound")])).await;
        for _ in codes {
            assert_eq!(cloud.image("ami-1").await.unwrap(), None);
        }
        for _ in codes {
            cloud.deregister("ami-1").await.unwrap();
        }
        cloud.delete_snapshot_of_image("snap-1").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_names_the_pipelines_policy() {
        let (_, cloud) = cloud([refused(403, "UnauthorizedOperation")]).await;
        let error = cloud.deregister("ami-1").await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, AwsError::DeniedToPipeline { call: "ec2:DeregisterImage", .. }), "{told}");
        assert!(told.contains("permissions --image-pipeline"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn parameters_are_asked_for_by_tens_and_set_as_images() {
        let found = r#"{"Parameters":[{"Name":"/a","Value":"ami-1","DataType":"aws:ec2:image"}],"InvalidParameters":["/b"]}"#;
        let (script, cloud) = cloud([
            (200, found.to_owned()),
            (200, r#"{"Parameters":[]}"#.to_owned()),
            (200, r#"{"Version":1}"#.to_owned()),
        ])
        .await;
        let names: Vec<String> = (0..12).map(|number| format!("/{number}")).collect();
        let parameters = cloud.parameters(&names).await.unwrap();
        assert_eq!(parameters["/a"].value, "ami-1");
        cloud.point("/a", "ami-2").await.unwrap();
        let asked = script.asked();
        assert_eq!(asked.len(), 3);
        for part in [r#""DataType":"aws:ec2:image""#, r#""Overwrite":true"#, r#""Value":"ami-2""#] {
            assert!(asked[2].body.contains(part), "{}", asked[2].body);
        }
    }
}
