//! What AWS says: a launch-template version and a group as they show in the state.

use super::desired::BY_PARAMETER;
use super::schema::{Hardening, Model};
use super::user_data::ScannerConfig;
use crate::aws::{GroupSettings, TemplateContent};
use crate::sdk::Value;

/// Takes over what a launch-template version says.
pub(super) fn observe_content(model: &mut Model, content: TemplateContent) {
    let TemplateContent {
        image_id,
        instance_type,
        instance_profile_arn,
        security_group_ids,
        public_address,
        key_name,
        metadata,
        root_volume,
        user_data,
        // Those of the group are the same, and EC2 Auto Scaling puts them on the instances as well.
        tags: _,
    } = content;
    let config = ScannerConfig::from_user_data(&user_data);
    (model.image_id, model.image_parameter) = match image_id.strip_prefix(BY_PARAMETER) {
        Some(parameter) => (Value::Null, parameter.into()),
        None => (image_id.into(), Value::Null),
    };
    model.instance_type = instance_type.into();
    model.instance_profile_arn = instance_profile_arn.into();
    model.security_group_ids = security_group_ids.into();
    model.root_volume_size = root_volume.size.into();
    model.root_volume_kms_key_id = root_volume.kms_key_id.into();
    model.user_data = user_data.into();
    // User data that is not ours shows as such; the settings stay what they were.
    if let Some(config) = config {
        model.settings = config.settings.into();
    }
    model.hardening = Hardening {
        http_tokens: metadata.http_tokens.into(),
        http_put_response_hop_limit: metadata.hop_limit.into(),
        public_address: public_address.into(),
        key_name: key_name.unwrap_or_default().into(),
        root_volume_type: root_volume.volume_type.into(),
        root_volume_encrypted: root_volume.encrypted.into(),
        ..model.hardening.clone().unwrap_or_default()
    }
    .into();
}

/// Takes over how a group is set.
pub(super) fn observe_group(model: &mut Model, settings: GroupSettings) {
    model.subnet_ids = settings.subnet_ids.into();
    model.min_size = settings.min_size.into();
    model.max_size = settings.max_size.into();
    model.desired_capacity = settings.desired_capacity.into();
    model.max_instance_lifetime = settings.max_instance_lifetime.into();
    model.default_instance_warmup = settings.default_instance_warmup.into();
    model.health_check_grace_period = settings.health_check_grace_period.into();
    model.hardening = Hardening {
        min_healthy_percentage: settings.min_healthy_percentage.into(),
        max_healthy_percentage: settings.max_healthy_percentage.into(),
        ..model.hardening.clone().unwrap_or_default()
    }
    .into();
}
