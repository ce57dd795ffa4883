//! What is wrong with a configuration as a whole.

use super::addressing::Space;
use super::number;
use super::schema::Model;
use super::wanted::{Egress, NAME_TAG, PART_TAG, TOKEN_TAG, slots};
use crate::sdk::{Diagnostic, Path, Value};

pub(super) fn zone_problem(config: &Model) -> Option<Diagnostic> {
    let zones = config.availability_zones.get()?;
    let problem = |detail: String| {
        Some(Diagnostic::error("Invalid availability zones", detail).at("availability_zones"))
    };
    if config.availability_zone_count.get().is_some_and(|count| *count != number(zones)) {
        let detail = "availability_zones names another number of zones. Leave availability_zone_count out.";
        return Some(
            Diagnostic::error("Contradicting zones", detail).at(Path::from("availability_zone_count")),
        );
    }
    if let Some(twice) = zones
        .iter()
        .enumerate()
        .find_map(|(index, zone)| zones.iter().skip(index + 1).any(|other| other == zone).then_some(zone))
    {
        return problem(format!("{twice:?} is there twice."));
    }
    let region = config.region.as_str()?;
    let stranger = zones.iter().find(|zone| !zone.starts_with(region))?;
    problem(format!("{stranger:?} is not in {region}."))
}

pub(super) fn flow_log_problem(config: &Model) -> Option<Diagnostic> {
    let logs = config.flow_logs.get()?;
    let problem = |detail: &str, name: &str| {
        let path = Path::from("flow_logs").attribute(name);
        Some(Diagnostic::error("Invalid flow log", detail).at(path))
    };
    match (logs.s3_arn.is_null(), logs.log_group_arn.is_null()) {
        (true, true) => problem("Give one destination: s3_arn or log_group_arn.", "s3_arn"),
        (false, false) => problem("Give only one destination: s3_arn or log_group_arn.", "s3_arn"),
        (true, false) if logs.role_arn.is_null() => {
            problem("With log_group_arn, role_arn is needed too: the role that writes to it.", "role_arn")
        }
        (false, true) if !logs.role_arn.is_null() => {
            problem("With s3_arn there is no role: the bucket's policy lets AWS write.", "role_arn")
        }
        _ => None,
    }
}

pub(super) fn space_problem(model: &Model) -> Option<Diagnostic> {
    let cidr = model.cidr_block.as_str().unwrap_or("10.0.0.0/16");
    if model.cidr_block.is_unknown() || model.egress.is_unknown() {
        return None;
    }
    let egress = Egress::from_name(model.egress.as_str().unwrap_or("nat"))?;
    let room = slots(Space::parse(cidr)?, egress);
    let (count, attribute) = match (&model.availability_zones, &model.availability_zone_count) {
        (Value::Known(zones), _) => (number(zones), "availability_zones"),
        (_, Value::Known(count)) => (*count, "availability_zone_count"),
        _ => return None,
    };
    let detail = format!(
        "{cidr} has room for {room} availability zones with egress {:?}, but {count} are asked for. Use a larger \
         cidr_block or fewer zones.",
        egress.name()
    );
    (count > i64::from(room)).then(|| Diagnostic::error("Not enough addresses", detail).at(attribute))
}

pub(super) fn tag_problem(config: &Model) -> Option<Diagnostic> {
    let tags = config.tags.get()?;
    let problem = |detail: String| Some(Diagnostic::error("Invalid tags", detail).at("tags"));
    if tags.contains_key(NAME_TAG) {
        return problem("The tag Name is the argument name.".to_owned());
    }
    if let Some(key) = [TOKEN_TAG, PART_TAG].into_iter().find(|key| tags.contains_key(*key)) {
        return problem(format!("The tag {key} is what this resource knows its parts by."));
    }
    (tags.len() > 47).then(|| {
        let detail = "AWS allows 50 tags, of which this resource needs three for itself.";
        Diagnostic::error("Too many tags", detail).at("tags")
    })
}
