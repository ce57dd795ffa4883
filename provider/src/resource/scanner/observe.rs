//! What AWS says: a launch-template version and a group as they show in the state.

use scanner_policy::Region;

use super::super::tagging;
use super::desired::BY_PARAMETER;
use super::group::is_ours;
use super::lifecycle::{InstanceRefresh, observe_hooks};
use super::schema::{Hardening, Model};
use super::user_data::ScannerConfig;
use super::{Machines, Scanner, name_of};
use crate::aws::{AwsError, GroupSettings, Refresh, RefreshStatus, TemplateContent, TemplateRef};
use crate::sdk::{Diagnostic, Value};

impl<A: Machines> Scanner<A> {
    /// What there is of the scanner that `state` says there was.
    pub(super) async fn observed(&self, region: &Region, state: Model) -> Result<Option<Model>, Diagnostic> {
        let name = name_of(&state).to_owned();
        let failed =
            |error: AwsError| error.diagnostic(format!("Could not read scanner {name:?} in {region}"));
        let (template, group, hooks, refresh) = tokio::try_join!(
            self.aws.template_named(region, &name),
            self.aws.scaling_group(region, &name),
            self.aws.hooks(region, &name),
            self.aws.latest_refresh(region, &name),
        )
        .map_err(failed)?;
        // A refresh that succeeded between the two answers has changed what the group launches.
        let group = match (group, &refresh) {
            (Some(group), Some(refresh))
                if refresh.status == RefreshStatus::Successful
                    && refresh.template != group.settings.template =>
            {
                self.aws.scaling_group(region, &name).await.map_err(failed)?
            }
            (group, _) => group,
        };
        let is_imported = state.arn.is_null() && state.launch_template_id.is_null();
        let group = group.filter(|group| !group.is_leaving && (is_imported || is_ours(&state, group)));
        if template.is_none() && group.is_none() {
            return Ok(None);
        }
        let mut model = Model {
            id: name.as_str().into(),
            name: name.as_str().into(),
            region: region.to_string().into(),
            arn: group.as_ref().map(|group| group.arn.clone()).into(),
            launch_template_id: template.as_ref().map(|template| template.id.clone()).into(),
            hardening: state.hardening.clone().unwrap_or_default().into(),
            ..state
        };
        if let Some(group) = group {
            // While a refresh is under way, what it leads to counts.
            let under_way = refresh.as_ref().and_then(Refresh::heads_for).cloned();
            let in_use = under_way.or_else(|| group.settings.template.clone());
            // Neither a group without a template nor one whose version is gone launches what it should.
            let content = match &in_use {
                Some(in_use) => self.aws.content(region, in_use).await.map_err(failed)?,
                None => None,
            };
            model.launch_template_version = match in_use {
                Some(TemplateRef { id, version }) if content.is_some() => {
                    // Another template than ours is a deviation, which the version shows.
                    if template.is_some_and(|template| template.id == id) {
                        version.into()
                    } else {
                        format!("{id}:{version}").into()
                    }
                }
                _ => Value::Null,
            };
            if let Some(content) = content {
                observe_content(&mut model, content);
            }
            let own_tags = group.tags.clone();
            observe_group(&mut model, group.settings);
            observe_hooks(&mut model, &hooks);
            (model.tags, model.tags_all) = tagging::read(&self.settings, &model.tags, own_tags);
        }
        // AWS does not know how a refresh that nobody has started yet is to go.
        if model.instance_refresh.is_null() {
            model.instance_refresh = InstanceRefresh::default_for(model.image_parameter.is_known()).into();
        }
        Ok(Some(model))
    }
}

/// Takes over what a launch-template version says.
fn observe_content(model: &mut Model, content: TemplateContent) {
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
fn observe_group(model: &mut Model, settings: GroupSettings) {
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
