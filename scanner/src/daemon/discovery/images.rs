//! Images that the account owns, and those that its instances were started from.

use std::collections::{BTreeMap, BTreeSet};

use agentless_service::target::Kind;

use super::{DiscoverySettings, Found, Ground, Reason, is_there};
use crate::aws::AwsError;
use crate::aws::inventory::{Image, Instance, Inventory};

/// Chooses among the images that are owned or used. One that no longer exists, though instances were started from it, has
/// nothing to scan: they have.
pub(super) async fn find(
    inventory: &impl Inventory,
    ground: &Ground<'_>,
    settings: &DiscoverySettings,
    instances: &[Instance],
) -> Result<Found, AwsError> {
    let own = if settings.owned_images { inventory.own_images().await? } else { Vec::new() };
    let mut listed: BTreeMap<String, Image> =
        own.into_iter().map(|image| (image.id.clone(), image)).collect();
    if settings.used_images {
        let used = instances.iter().filter(|instance| is_there(instance));
        let used = used.filter_map(|instance| instance.image.clone());
        let more: BTreeSet<String> = used.filter(|id| !listed.contains_key(id)).collect();
        if !more.is_empty() {
            let images = inventory.images(&more).await?.into_iter();
            listed.extend(images.map(|image| (image.id.clone(), image)));
        }
    }
    let mut found = Found::default();
    for image in listed.values() {
        // Not ready yet: it is in the next survey.
        if image.state == "pending" {
            continue;
        }
        let arn = ground.arn_of_image(&image.id);
        match objection(image, ground) {
            Some(reason) => found.skip(arn, reason),
            None => found.targets.push(ground.target(Kind::Image, arn, &image.id, &image.tags)),
        }
    }
    Ok(found)
}

fn objection(image: &Image, ground: &Ground<'_>) -> Option<Reason> {
    if let Some(reason) = ground.tags.objection(&image.tags) {
        return Some(reason);
    }
    match image.product_codes.first() {
        _ if image.state != "available" => Some(Reason::State(image.state.clone())),
        _ if image.is_windows => Some(Reason::Windows),
        Some(code) => Some(Reason::ProductCode(code.clone())),
        None => (!image.has_snapshots).then_some(Reason::NoVolumes),
    }
}
