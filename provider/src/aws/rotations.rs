//! [`Rotations`]: the replacement of all instances of an Auto Scaling group, which EC2 calls an instance refresh.

use scanner_policy::Region;

use super::error::failed;
use super::{Answer, Aws, AwsError};

/// One rotation, as EC2 Auto Scaling has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rotation {
    /// Its id.
    pub id: String,
    /// Where it stands (EC2 Auto Scaling API Reference, `InstanceRefresh`: `Status`).
    pub status: String,
    /// Why it stands there, in AWS's words.
    pub reason: Option<String>,
    /// How much of it is done.
    pub percent: i32,
}

/// Rotations of Auto Scaling groups.
pub trait Rotations: Send + Sync + 'static {
    /// Starts to replace all instances of a group, as its maintenance policy says. Returns the id of the rotation.
    fn start_rotation(&self, region: &Region, group: &str) -> impl Answer<String>;
    /// Looks up the newest rotation of a group, or the one with this id.
    fn rotation(&self, region: &Region, group: &str, id: Option<&str>) -> impl Answer<Option<Rotation>>;
}

impl Rotations for Aws {
    async fn start_rotation(&self, region: &Region, group: &str) -> Result<String, AwsError> {
        const OPERATION: &str = "autoscaling:StartInstanceRefresh";
        let request =
            self.clients(region).autoscaling.start_instance_refresh().auto_scaling_group_name(group);
        let answer = request.send().await.map_err(failed(OPERATION))?;
        answer.instance_refresh_id.ok_or_else(|| AwsError::malformed(OPERATION, "instance refresh id"))
    }

    async fn rotation(
        &self,
        region: &Region,
        group: &str,
        id: Option<&str>,
    ) -> Result<Option<Rotation>, AwsError> {
        let answer = self
            .clients(region)
            .autoscaling
            .describe_instance_refreshes()
            .auto_scaling_group_name(group)
            .set_instance_refresh_ids(id.map(|id| vec![id.to_owned()]))
            .send()
            .await
            .map_err(failed("autoscaling:DescribeInstanceRefreshes"))?;
        // The newest comes first.
        Ok(answer.instance_refreshes.unwrap_or_default().into_iter().next().map(|refresh| Rotation {
            id: refresh.instance_refresh_id.unwrap_or_default(),
            status: refresh.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            reason: refresh.status_reason,
            percent: refresh.percentage_complete.unwrap_or_default(),
        }))
    }
}
