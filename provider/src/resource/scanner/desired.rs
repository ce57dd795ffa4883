//! What AWS is to be told: the plan as a launch template and the settings of a group.

use scanner_policy::{Region, tags};

use super::schema::{Hardening, Model};
use super::user_data::{LIMIT, ScannerConfig};
use crate::aws::{GroupSettings, Image, MetadataOptions, RootVolume, Tags, TemplateContent, TemplateRef};
use crate::sdk::{Diagnostic, Value};

/// What the launch template is to say.
pub(super) fn content(plan: &Model, image: Image) -> TemplateContent {
    let hardening = Hardening::required();
    let key_name = hardening.key_name.known().filter(|name| !name.is_empty());
    TemplateContent {
        image_id: plan.image_id.clone().unwrap_or_default(),
        instance_type: plan.instance_type.clone().unwrap_or_default(),
        instance_profile_arn: plan.instance_profile_arn.clone().unwrap_or_default(),
        security_group_ids: plan.security_group_ids.clone().unwrap_or_default(),
        public_address: hardening.public_address.unwrap_or_default(),
        key_name,
        metadata: MetadataOptions {
            http_tokens: hardening.http_tokens.unwrap_or_default(),
            hop_limit: hardening.http_put_response_hop_limit.unwrap_or_default(),
        },
        root_volume: RootVolume {
            device_name: image.root_device_name,
            size: plan.root_volume_size.unwrap_or_default(),
            volume_type: hardening.root_volume_type.unwrap_or_default(),
            encrypted: hardening.root_volume_encrypted.unwrap_or_default(),
            kms_key_id: plan.root_volume_kms_key_id.clone().known(),
        },
        user_data: plan.user_data.clone().unwrap_or_default(),
        tags: launched_tags(plan),
    }
}

/// The tags of instances and volumes: those of the scanner, and its name.
fn launched_tags(plan: &Model) -> Tags {
    let name = plan.name.clone().unwrap_or_default();
    let mut launched = Tags::from([("Name".to_owned(), name.clone()), (tags::SCANNER_ID.to_owned(), name)]);
    launched.extend(plan.tags_all.clone().unwrap_or_default());
    launched
}

/// The plan with what could not be planned because the region was not known.
pub(super) fn complete(plan: Model, region: &Region) -> Result<Model, Diagnostic> {
    let user_data = user_data(&plan, region)?;
    Ok(Model { id: plan.name.clone(), region: region.to_string().into(), user_data, ..plan })
}

/// What cloud-init is to read; unknown until all that goes into it is known.
///
/// # Errors
/// It is larger than EC2 accepts.
pub(super) fn user_data(model: &Model, region: &Region) -> Result<Value<String>, Diagnostic> {
    let settings = model.settings.clone().unwrap_or_default();
    let (Some(name), Some(level), Some(hours)) =
        (model.name.as_str(), settings.log_level.as_str(), settings.scan_interval_hours.get())
    else {
        return Ok(Value::Unknown);
    };
    let text = ScannerConfig::new(name, region, level, *hours).to_user_data();
    if text.len() > LIMIT {
        let detail =
            format!("The scanner's configuration takes {} bytes, and EC2 accepts {LIMIT}.", text.len());
        return Err(Diagnostic::error("User data is too large", detail).at("settings"));
    }
    Ok(text.into())
}

/// The desired capacity that nobody configured: what it is, as far as the bounds allow.
pub(super) fn left_alone(prior: Option<&Model>, planned: &Model) -> Value<i32> {
    let (Some(min), Some(max)) = (planned.min_size.get(), planned.max_size.get()) else {
        return Value::Unknown;
    };
    let now = prior.and_then(|prior| prior.desired_capacity.get()).unwrap_or(min);
    // Not `clamp`, which panics where the bounds contradict each other; validation tells the user.
    (*now).max(*min).min(*max).into()
}

/// Whether what instances are launched with changes, or what the group launches is not one pinned version of ours.
pub(super) fn needs_version(prior: &Model, plan: &Model) -> bool {
    let is_pinned =
        prior.launch_template_version.as_str().is_some_and(|version| version.parse::<u64>().is_ok());
    !is_pinned
        || prior.launch_template_id.is_null()
        || prior.image_id != plan.image_id
        || prior.instance_type != plan.instance_type
        || prior.instance_profile_arn != plan.instance_profile_arn
        || prior.security_group_ids != plan.security_group_ids
        || prior.root_volume_size != plan.root_volume_size
        || prior.root_volume_kms_key_id != plan.root_volume_kms_key_id
        || prior.user_data != plan.user_data
        || prior.tags_all != plan.tags_all
        || of_template(&prior.hardening) != of_template(&plan.hardening)
}

/// The part of the hardening that launch templates carry.
fn of_template(hardening: &Value<Hardening>) -> Hardening {
    Hardening {
        min_healthy_percentage: Value::Null,
        max_healthy_percentage: Value::Null,
        ..hardening.clone().unwrap_or_default()
    }
}

/// How the group is to be set.
pub(super) fn group_settings(
    plan: &Model,
    template: TemplateRef,
    desired_capacity: Option<i32>,
) -> GroupSettings {
    let hardening = Hardening::required();
    GroupSettings {
        template: Some(template),
        subnet_ids: plan.subnet_ids.clone().unwrap_or_default(),
        min_size: plan.min_size.unwrap_or_default(),
        max_size: plan.max_size.unwrap_or_default(),
        desired_capacity,
        max_instance_lifetime: plan.max_instance_lifetime.unwrap_or_default(),
        default_instance_warmup: plan.default_instance_warmup.unwrap_or_default(),
        min_healthy_percentage: hardening.min_healthy_percentage.unwrap_or_default(),
        max_healthy_percentage: hardening.max_healthy_percentage.unwrap_or_default(),
    }
}
