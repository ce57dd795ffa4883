//! Rotations that come a step further each time somebody looks.

use scanner_policy::Region;

use super::FakeAws;
use crate::aws::{AwsError, Rotation, Rotations};

impl Rotations for FakeAws {
    async fn start_rotation(&self, _region: &Region, _group: &str) -> Result<String, AwsError> {
        const OPERATION: &str = "autoscaling:StartInstanceRefresh";
        let mut world = self.call(OPERATION)?;
        if !world.rotations.is_empty() {
            return Err(AwsError::answered(OPERATION, "InstanceRefreshInProgress", "there is one"));
        }
        let id = world.id("refresh");
        let steps = [("Pending", 0), ("InProgress", 50), ("InProgress", 50), ("Successful", 100)];
        world.rotations = steps
            .map(|(status, percent)| Rotation {
                id: id.clone(),
                status: status.to_owned(),
                reason: None,
                percent,
            })
            .into();
        Ok(id)
    }

    async fn rotation(
        &self,
        _region: &Region,
        _group: &str,
        _id: Option<&str>,
    ) -> Result<Option<Rotation>, AwsError> {
        Ok(self.call("autoscaling:DescribeInstanceRefreshes")?.rotations.pop_front())
    }
}
