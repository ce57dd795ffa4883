//! [`Images`]: the search for machine images.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use scanner_policy::Region;

use super::error::failed;
use super::security_groups::tags_from_sdk;
use super::{Answer, Aws, AwsError, Tags};

/// How many images one answer holds; the rest follows in further ones. EC2 accepts more, but its answers get slow.
const PAGE: i32 = 200;

/// Which images are looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageQuery {
    /// Accounts, or `self` for that of the credentials.
    pub owners: Vec<String>,
    /// The values that are accepted, by filter (`DescribeImages`).
    pub filters: BTreeMap<String, Vec<String>>,
    /// Whether images whose deprecation date has passed are looked for too. The owner of an image gets it anyway.
    pub include_deprecated: bool,
}

/// A machine image (AMI), as EC2 has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineImage {
    /// Such as `ami-0123456789abcdef0`.
    pub id: String,
    /// The account it belongs to.
    pub owner: String,
    /// Its name, unique in the account and region.
    pub name: String,
    /// Such as `arm64`.
    pub architecture: String,
    /// When it was made (RFC 3339, UTC).
    pub creation_date: String,
    /// When it is or was deprecated (RFC 3339, UTC).
    pub deprecation_time: Option<String>,
    /// The device of its root volume.
    pub root_device_name: String,
    /// The snapshot and the size in GiB of each of its volumes, by device.
    pub volumes: BTreeMap<String, (Option<String>, Option<i32>)>,
    /// The image that EC2 made it from.
    pub source_image_id: Option<String>,
    /// Its tags, where it belongs to the account of the credentials: EC2 shows those of shared images to nobody else.
    pub tags: Tags,
}

/// The search for machine images.
pub trait Images: Send + Sync + 'static {
    /// All images that match, in no particular order.
    fn images(&self, region: &Region, query: &ImageQuery) -> impl Answer<Vec<MachineImage>>;
}

impl Images for Aws {
    async fn images(&self, region: &Region, query: &ImageQuery) -> Result<Vec<MachineImage>, AwsError> {
        let filters = query
            .filters
            .iter()
            .map(|(name, values)| Filter::builder().name(name).set_values(Some(values.clone())).build());
        let request = self
            .clients(region)
            .ec2
            .describe_images()
            .set_owners(Some(query.owners.clone()))
            .set_filters(Some(filters.collect()))
            .include_deprecated(query.include_deprecated)
            .max_results(PAGE);
        let mut pages = request.into_paginator().items().send();
        let mut images = Vec::new();
        while let Some(image) = pages.next().await {
            images.push(from_sdk(image.map_err(failed("ec2:DescribeImages"))?));
        }
        Ok(images)
    }
}

fn from_sdk(image: aws_sdk_ec2::types::Image) -> MachineImage {
    let mappings = image.block_device_mappings.unwrap_or_default().into_iter();
    let volumes = mappings.filter_map(|mapping| {
        let volume = mapping.ebs?;
        Some((mapping.device_name?, (volume.snapshot_id, volume.volume_size)))
    });
    MachineImage {
        id: image.image_id.unwrap_or_default(),
        owner: image.owner_id.unwrap_or_default(),
        name: image.name.unwrap_or_default(),
        architecture: image.architecture.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        creation_date: image.creation_date.unwrap_or_default(),
        deprecation_time: image.deprecation_time,
        root_device_name: image.root_device_name.unwrap_or_default(),
        volumes: volumes.collect(),
        source_image_id: image.source_image_id,
        tags: tags_from_sdk(image.tags),
    }
}
