//! Looks whether anything of a scanner is left in the local AWS.

use aws_sdk_ec2::error::DisplayErrorContext;
use aws_sdk_ec2::types::Filter;
use scanner_policy::tags;

use crate::local_aws::LocalAws;

/// The local AWS could not be looked into.
#[derive(Debug, thiserror::Error)]
#[error("could not look into the local AWS: {0}")]
pub struct LookError(String);

impl LookError {
    pub(crate) fn new<E: std::error::Error + 'static>(error: E) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }
}

/// Everything of a scanner that the local AWS still holds.
pub async fn left_behind(aws: &LocalAws) -> Result<Vec<String>, LookError> {
    let config = aws.harness_sdk_config();
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let mut left = Vec::new();

    let tagged = Filter::builder().name("tag-key").values(tags::SCANNER).build();
    let snapshots =
        ec2.describe_snapshots().owner_ids("self").filters(tagged).send().await.map_err(LookError::new)?;
    left.extend(
        snapshots.snapshots().iter().filter_map(|it| it.snapshot_id()).map(|id| format!("snapshot {id}")),
    );

    let templates = ec2.describe_launch_templates().send().await.map_err(LookError::new)?;
    left.extend(
        templates.launch_templates().iter().filter_map(|it| it.launch_template_id()).map(str::to_owned),
    );

    let groups = aws_sdk_autoscaling::Client::new(&config)
        .describe_auto_scaling_groups()
        .send()
        .await
        .map_err(LookError::new)?;
    let groups = groups.auto_scaling_groups().iter().filter_map(|it| it.auto_scaling_group_name());
    left.extend(groups.map(|name| format!("Auto Scaling group {name}")));

    let roles = aws_sdk_iam::Client::new(&config).list_roles().send().await.map_err(LookError::new)?;
    left.extend(
        roles
            .roles()
            .iter()
            .map(|role| format!("role {}", role.role_name()))
            .filter(|it| it.contains("scanner")),
    );

    let named = Filter::builder().name("group-name").values("agentless-scanner*").build();
    let groups = ec2.describe_security_groups().filters(named).send().await.map_err(LookError::new)?;
    left.extend(groups.security_groups().iter().filter_map(|it| it.group_id()).map(str::to_owned));
    Ok(left)
}
