//! What AWS is to be told: the plan as a launch template and the settings of a group.

use scanner_policy::{Region, tags};

use super::lifecycle::told_of;
use super::schema::{Hardening, Model};
use super::user_data::{LIMIT, ScannerConfig};
use crate::aws::{GroupSettings, MetadataOptions, RootVolume, Tags, TemplateContent, TemplateRef};
use crate::sdk::{Convert, Diagnostic, Raw, Value};

/// What the launch template is to say.
pub(super) fn content(plan: &Model, root_device_name: String) -> TemplateContent {
    let hardening = Hardening::required();
    let key_name = hardening.key_name.known().filter(|name| !name.is_empty());
    TemplateContent {
        image_id: image_of(plan),
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
            device_name: root_device_name,
            size: plan.root_volume_size.unwrap_or_default(),
            volume_type: hardening.root_volume_type.unwrap_or_default(),
            encrypted: hardening.root_volume_encrypted.unwrap_or_default(),
            kms_key_id: plan.root_volume_kms_key_id.clone().known(),
        },
        user_data: plan.user_data.clone().unwrap_or_default(),
        tags: launched_tags(plan),
    }
}

/// What a parameter of Systems Manager stands behind in a launch template ("Use a Systems Manager parameter instead of
/// an AMI ID").
pub(super) const BY_PARAMETER: &str = "resolve:ssm:";

/// The image as launch templates name it.
fn image_of(plan: &Model) -> String {
    match plan.image_parameter.as_str() {
        Some(parameter) => format!("{BY_PARAMETER}{parameter}"),
        None => plan.image_id.clone().unwrap_or_default(),
    }
}

/// The tags of instances and volumes: those of the scanner, and its name.
fn launched_tags(plan: &Model) -> Tags {
    let name = plan.name.clone().unwrap_or_default();
    let mut launched = Tags::from([("Name".to_owned(), name.clone()), (tags::SCANNER_ID.to_owned(), name)]);
    launched.extend(plan.tags_all.clone().unwrap_or_default());
    launched
}

/// The plan with what could not be planned because the region or the image was not known.
pub(super) fn complete(plan: Model, region: &Region) -> Result<Model, Diagnostic> {
    let user_data = user_data(&plan, region)?;
    let mut complete = Model { id: plan.name.clone(), region: region.to_string().into(), user_data, ..plan };
    if let Value::Known(refresh) = &mut complete.instance_refresh
        && refresh.auto_rollback.is_unknown()
    {
        refresh.auto_rollback = complete.image_parameter.is_null().into();
    }
    Ok(complete)
}

/// What cloud-init is to read; unknown until all that goes into it is known.
///
/// # Errors
/// It is larger than EC2 accepts.
pub(super) fn user_data(model: &Model, region: &Region) -> Result<Value<String>, Diagnostic> {
    let is_known = |raw: Raw| raw.is_wholly_known();
    if !model.name.is_known()
        || !is_known(model.settings.to_raw())
        || !is_known(model.launch_hook.to_raw())
        || !is_known(model.termination_hook.to_raw())
    {
        return Ok(Value::Unknown);
    }
    let config = ScannerConfig::new(told_of(model), region, model.settings.clone().unwrap_or_default());
    let text = config.to_user_data();
    if text.len() > LIMIT {
        let largest = config.sizes().into_iter().take(3);
        let largest = largest.map(|(key, size)| format!("{key} ({size})")).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "What the settings make of the instances' user data takes {} bytes, and EC2 accepts {LIMIT}. Most of them \
             are for {largest}. Shorten these, or divide the work among several scanners.",
            text.len()
        );
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
    needs_refresh(prior, plan) || prior.tags_all != plan.tags_all
}

/// The same without the tags, for which no instance is replaced before its time.
pub(super) fn needs_refresh(prior: &Model, plan: &Model) -> bool {
    let is_pinned =
        prior.launch_template_version.as_str().is_some_and(|version| version.parse::<u64>().is_ok());
    !is_pinned
        || prior.launch_template_id.is_null()
        || prior.image_id != plan.image_id
        || prior.image_parameter != plan.image_parameter
        || prior.instance_type != plan.instance_type
        || prior.instance_profile_arn != plan.instance_profile_arn
        || prior.security_group_ids != plan.security_group_ids
        || prior.root_volume_size != plan.root_volume_size
        || prior.root_volume_kms_key_id != plan.root_volume_kms_key_id
        || prior.user_data != plan.user_data
        || of_template(&prior.hardening) != of_template(&plan.hardening)
}

/// The part of the hardening that launch templates carry.
pub(super) fn of_template(hardening: &Value<Hardening>) -> Hardening {
    Hardening {
        min_healthy_percentage: Value::Null,
        max_healthy_percentage: Value::Null,
        ..hardening.clone().unwrap_or_default()
    }
}

/// `plan` as it is while the group still launches what `prior` says.
pub(super) fn not_launched_yet(prior: &Model, plan: Model) -> Model {
    let groups = plan.hardening.unwrap_or_default();
    let hardening = Hardening {
        min_healthy_percentage: groups.min_healthy_percentage,
        max_healthy_percentage: groups.max_healthy_percentage,
        ..of_template(&prior.hardening)
    };
    Model {
        image_id: prior.image_id.clone(),
        image_parameter: prior.image_parameter.clone(),
        instance_type: prior.instance_type.clone(),
        instance_profile_arn: prior.instance_profile_arn.clone(),
        security_group_ids: prior.security_group_ids.clone(),
        root_volume_size: prior.root_volume_size,
        root_volume_kms_key_id: prior.root_volume_kms_key_id.clone(),
        settings: prior.settings.clone(),
        user_data: prior.user_data.clone(),
        launch_template_version: prior.launch_template_version.clone(),
        hardening: hardening.into(),
        ..plan
    }
}

/// How the group is to be set. Without a template it goes on launching what it does.
pub(super) fn group_settings(
    plan: &Model,
    template: Option<TemplateRef>,
    desired_capacity: Option<i32>,
) -> GroupSettings {
    let hardening = Hardening::required();
    GroupSettings {
        template,
        subnet_ids: plan.subnet_ids.clone().unwrap_or_default(),
        min_size: plan.min_size.unwrap_or_default(),
        max_size: plan.max_size.unwrap_or_default(),
        desired_capacity,
        max_instance_lifetime: plan.max_instance_lifetime.unwrap_or_default(),
        default_instance_warmup: plan.default_instance_warmup.unwrap_or_default(),
        health_check_grace_period: plan.health_check_grace_period.unwrap_or_default(),
        min_healthy_percentage: hardening.min_healthy_percentage.unwrap_or_default(),
        max_healthy_percentage: hardening.max_healthy_percentage.unwrap_or_default(),
    }
}
