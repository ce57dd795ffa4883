//! Machine images: the filters that the data source uses.

use scanner_policy::Region;

use super::{ACCOUNT, FakeAws};
use crate::aws::{AwsError, ImageQuery, Images, MachineImage};

impl Images for FakeAws {
    async fn images(&self, _region: &Region, query: &ImageQuery) -> Result<Vec<MachineImage>, AwsError> {
        let mut world = self.call("ec2:DescribeImages")?;
        world.image_query = Some(query.clone());
        let owned = |image: &MachineImage| {
            query
                .owners
                .iter()
                .any(|owner| *owner == image.owner || owner == "self" && image.owner == ACCOUNT)
        };
        let matches = |image: &MachineImage| {
            query.filters.iter().all(|(name, values)| {
                let is = |actual: &str| {
                    values.iter().any(|value| match value.strip_suffix('*') {
                        Some(prefix) => actual.starts_with(prefix),
                        None => actual == value,
                    })
                };
                match name.as_str() {
                    "architecture" => is(&image.architecture),
                    "name" => is(&image.name),
                    "tag-key" => image.tags.keys().any(|key| is(key)),
                    _ => match name.strip_prefix("tag:") {
                        Some(key) => image.tags.get(key).is_some_and(|value| is(value)),
                        None => true,
                    },
                }
            })
        };
        Ok(world.images.iter().filter(|image| owned(image) && matches(image)).cloned().collect())
    }
}
