//! Instances with their volumes.

use std::collections::BTreeSet;

use agentless_service::target::Kind;

use super::{DiscoverySettings, Found, Ground, Reason, Volumes};
use crate::aws::AwsError;
use crate::aws::inventory::{Instance, Inventory};
use crate::target::ebs::is_opted_out;

/// Chooses among the instances of the list. One that is on its way from one state to another is in the next survey.
pub(super) async fn find(
    inventory: &impl Inventory,
    ground: &Ground<'_>,
    settings: &DiscoverySettings,
    listed: &[Instance],
) -> Result<Found, AwsError> {
    let mut found = Found::default();
    if listed.is_empty() {
        return Ok(found);
    }
    let volumes = inventory.attached_volumes().await?.into_iter();
    let opted_out: BTreeSet<String> =
        volumes.filter(|volume| is_opted_out(&volume.tags)).map(|volume| volume.id).collect();
    for instance in listed {
        if !["running", "stopped"].contains(&instance.state.as_str()) {
            continue;
        }
        let arn = ground.arn_of_instance(&instance.id);
        if let Some(reason) = objection(instance, ground, settings) {
            found.skip(arn, reason);
            continue;
        }
        let volumes = chosen(instance, settings.volumes);
        let left_out: Vec<_> = volumes.iter().filter(|&&volume| opted_out.contains(volume)).collect();
        for volume in &left_out {
            found.skip(ground.arn_of_volume(volume), Reason::OptedOut);
        }
        if left_out.len() == volumes.len() {
            found.skip(arn, Reason::VolumesOptedOut);
        } else {
            found.targets.push(ground.target(Kind::Instance, arn, &instance.id, &instance.tags));
        }
    }
    Ok(found)
}

fn objection(instance: &Instance, ground: &Ground<'_>, settings: &DiscoverySettings) -> Option<Reason> {
    if let Some(reason) = ground.tags.objection(&instance.tags) {
        return Some(reason);
    }
    match (settings.volumes, instance.volumes.is_empty()) {
        _ if instance.state == "stopped" && !settings.stopped_instances => Some(Reason::Stopped),
        _ if instance.is_windows => Some(Reason::Windows),
        (_, true) => Some(Reason::NoVolumes),
        (Volumes::Root, false) if chosen(instance, Volumes::Root).is_empty() => Some(Reason::NoRootVolume),
        _ => None,
    }
}

/// The ids of the volumes that are to be scanned.
fn chosen(instance: &Instance, which: Volumes) -> Vec<&str> {
    let is_root = |device: &String| Some(device) == instance.root_device.as_ref();
    let volumes = instance.volumes.iter().filter(|(device, _)| which == Volumes::All || is_root(device));
    volumes.map(|(_, id)| id.as_str()).collect()
}
