//! What there is to scan in one region of one account, and what of it is left alone and why.
//!
//! A survey has a part for each kind of target. One that fails costs itself alone, and says which permission it lacks: who
//! keeps a schedule goes on with what that part found before. Everything is in the same order whenever it is the same.

mod functions;
mod images;
mod instances;
mod remembered;
mod selection;
mod skipped;
#[cfg(test)]
mod tests;

use agentless_service::target::{Kind, Place, Target};
use scanner_policy::{Feature, Partition};

use crate::aws::inventory::{self, Inventory};
use crate::aws::{AwsError, Tags};

pub use remembered::{Memory, Remembering};
pub use selection::{ANY, TagSelection};
pub use skipped::{Reason, Skipped};

/// What to look for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiscoverySettings {
    /// The kinds of targets.
    pub features: Vec<Feature>,
    /// Which volumes of instances are scanned.
    pub volumes: Volumes,
    /// Whether instances are scanned that are stopped.
    pub stopped_instances: bool,
    /// Whether images are scanned that the account owns.
    pub owned_images: bool,
    /// Whether images are scanned that instances were started from.
    pub used_images: bool,
    /// Which tags targets must have, and must not have.
    pub tags: TagSelection,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            features: vec![Feature::Hosts],
            volumes: Volumes::All,
            stopped_instances: true,
            owned_images: true,
            used_images: true,
            tags: TagSelection::default(),
        }
    }
}

/// Which volumes of an instance are scanned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Volumes {
    /// All of them.
    #[default]
    All,
    /// The root volume alone.
    Root,
}

/// What there is to scan.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Survey {
    /// What is to be scanned, by kind and ARN.
    pub targets: Vec<Target>,
    /// What is not, by ARN. A volume stands here also where its instance is scanned without it.
    pub skipped: Vec<Skipped>,
    /// The kinds of which nothing is known, by kind: there is neither a target nor anything skipped of these.
    pub errors: Vec<PartError>,
}

/// Why nothing is known of one kind of targets.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what {}s there are in {place} is not known: {message}", kind.name())]
pub struct PartError {
    /// The kind.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// What AWS said, and the permission that is missing if that is the reason.
    pub message: String,
}

/// Looks for what there is to scan.
pub async fn survey(inventory: &impl Inventory, place: &Place, settings: &DiscoverySettings) -> Survey {
    let ground = Ground { place, partition: Partition::of_region(&place.region), tags: &settings.tags };
    let wants = |feature| settings.features.contains(&feature);
    let of_ec2 = async {
        let needs_instances = wants(Feature::Hosts) || (wants(Feature::Images) && settings.used_images);
        let listed = if needs_instances { inventory.instances().await } else { Ok(Vec::new()) };
        let listed = listed.map_err(|error| crate::chain(&error));
        let hosts = match &listed {
            _ if !wants(Feature::Hosts) => Ok(Found::default()),
            Ok(listed) => told(instances::find(inventory, &ground, settings, listed).await),
            Err(message) => Err(message.clone()),
        };
        let images = match &listed {
            _ if !wants(Feature::Images) => Ok(Found::default()),
            Ok(listed) => told(images::find(inventory, &ground, settings, listed).await),
            Err(message) => Err(message.clone()),
        };
        (hosts, images)
    };
    let of_lambda = async {
        if wants(Feature::Functions) {
            told(functions::find(inventory, &ground).await)
        } else {
            Ok(Found::default())
        }
    };
    let ((hosts, images), functions) = tokio::join!(of_ec2, of_lambda);

    let mut survey = Survey::default();
    for (kind, part) in [(Kind::Instance, hosts), (Kind::Image, images), (Kind::Function, functions)] {
        match part {
            Ok(found) => {
                survey.targets.extend(found.targets);
                survey.skipped.extend(found.skipped);
            }
            Err(message) => survey.errors.push(PartError { kind, place: place.clone(), message }),
        }
    }
    survey.targets.sort_by(|a, b| (a.kind, &a.arn).cmp(&(b.kind, &b.arn)));
    survey.targets.dedup_by(|a, b| a.arn == b.arn);
    survey.skipped.sort();
    survey.skipped.dedup();
    let (targets, skipped, errors) = (survey.targets.len(), survey.skipped.len(), survey.errors.len());
    tracing::debug!(%place, targets, skipped, errors, "surveyed");
    survey
}

fn told(part: Result<Found, AwsError>) -> Result<Found, String> {
    part.map_err(|error| crate::chain(&error))
}

/// What one part found.
#[derive(Debug, Default)]
struct Found {
    targets: Vec<Target>,
    skipped: Vec<Skipped>,
}

impl Found {
    fn skip(&mut self, arn: String, reason: Reason) {
        self.skipped.push(Skipped { arn, reason });
    }
}

/// Where a survey looks, and by which tags it chooses.
#[derive(Debug)]
struct Ground<'a> {
    place: &'a Place,
    partition: Partition,
    tags: &'a TagSelection,
}

impl Ground<'_> {
    fn target(&self, kind: Kind, arn: String, id: &str, tags: &Tags) -> Target {
        Target { arn, place: self.place.clone(), kind, id: id.to_owned(), tags: tags.clone() }
    }

    fn arn_of_instance(&self, id: &str) -> String {
        self.arn_of_ec2(&self.place.account, "instance", id)
    }

    fn arn_of_volume(&self, id: &str) -> String {
        self.arn_of_ec2(&self.place.account, "volume", id)
    }

    /// That of an image has no account, whoever owns it.
    fn arn_of_image(&self, id: &str) -> String {
        self.arn_of_ec2("", "image", id)
    }

    fn arn_of_ec2(&self, account: &str, kind: &str, id: &str) -> String {
        format!("arn:{}:ec2:{}:{account}:{kind}/{id}", self.partition.id(), self.place.region)
    }
}

/// Whether an instance is there, or will be again.
fn is_there(instance: &inventory::Instance) -> bool {
    !["terminated", "shutting-down"].contains(&instance.state.as_str())
}
