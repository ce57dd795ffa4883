//! A region with images, for the tests of this folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use scanner_policy::tags;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::aws::{
    AwsError, Group, GroupInstance, IMAGE_DATA_TYPE, ImageCloud, ImageSnapshot, MachineImage, Parameter,
    Refresh, Started, TemplateRef, TemplateVersion,
};

/// The time of all tests here.
pub(super) const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

/// The account of all of them.
pub(super) const ACCOUNT: &str = "111122223333";

const TEMPLATE: &str = "lt-1";

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Fake(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) images: Vec<MachineImage>,
    pub(super) snapshots: Vec<ImageSnapshot>,
    pub(super) instances: Vec<Started>,
    pub(super) groups: Vec<Group>,
    /// Each is seen once, and the last for ever.
    pub(super) refreshes: Vec<Refresh>,
    pub(super) versions: Vec<TemplateVersion>,
    parameters: BTreeMap<String, Parameter>,
    denied: BTreeSet<String>,
    protected: BTreeSet<String>,
    puts_left: Option<usize>,
    drops_puts: bool,
    done: Vec<String>,
}

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn set(&self, name: &str, value: &str) {
        let parameter = Parameter {
            value: value.to_owned(),
            data_type: IMAGE_DATA_TYPE.to_owned(),
            changed: Some(NOW - Duration::DAY),
        };
        self.state().parameters.insert(name.to_owned(), parameter);
    }

    /// Empty where it is not set.
    pub(super) fn value(&self, name: &str) -> String {
        self.state().parameters.get(name).map(|it| it.value.clone()).unwrap_or_default()
    }

    /// Setting parameters fails after so many.
    pub(super) fn fail_puts_after(&self, count: usize) {
        self.state().puts_left = Some(count);
    }

    /// Setting parameters succeeds, and changes nothing.
    pub(super) fn drop_puts(&self) {
        self.state().drops_puts = true;
    }

    /// The parameter may not be read.
    pub(super) fn deny(&self, name: &str) {
        self.state().denied.insert(name.to_owned());
    }

    /// The image cannot be deregistered.
    pub(super) fn protect(&self, image: &str) {
        self.state().protected.insert(image.to_owned());
    }

    pub(super) fn add_version(&self, number: i64, image: &str) {
        self.state().versions.push(TemplateVersion {
            template: TEMPLATE.to_owned(),
            name: "scanner".to_owned(),
            number,
            image: image.to_owned(),
            ..TemplateVersion::default()
        });
    }

    /// What was changed, in order.
    pub(super) fn done(&self) -> Vec<String> {
        self.state().done.clone()
    }
}

/// A good image, made so many days ago, with one snapshot.
pub(super) fn image(id: &str, days: i64) -> MachineImage {
    let tags = [(tags::IMAGE, tags::TRUE), (tags::IMAGE_VERSION, "1.2.3")];
    MachineImage {
        id: id.to_owned(),
        name: format!("agentless-scanner-1.2.3-{id}"),
        owner: ACCOUNT.to_owned(),
        state: "available".to_owned(),
        architecture: "arm64".to_owned(),
        created: Some(NOW - Duration::days(days)),
        imds: Some("v2.0".to_owned()),
        snapshots: vec![(format!("snap-{id}"), Some(true))],
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..MachineImage::default()
    }
}

/// A snapshot with the tag, begun so many days ago.
pub(super) fn snapshot(id: &str, days: i64) -> ImageSnapshot {
    let tags = [(tags::IMAGE.to_owned(), tags::TRUE.to_owned())].into();
    ImageSnapshot { id: id.to_owned(), started: Some(NOW - Duration::days(days)), tags }
}

/// A group with one instance, of this version of the template.
pub(super) fn group(name: &str, version: &str) -> Group {
    let template = TemplateRef { template: TEMPLATE.to_owned(), version: version.to_owned() };
    let instance = GroupInstance {
        id: "i-1".to_owned(),
        state: "InService".to_owned(),
        healthy: true,
        template: Some(template.clone()),
    };
    Group { name: name.to_owned(), templates: vec![template], desired: 1, instances: vec![instance] }
}

pub(super) fn refresh(status: &str, version: Option<&str>) -> Refresh {
    let template =
        version.map(|version| TemplateRef { template: TEMPLATE.to_owned(), version: version.to_owned() });
    Refresh { id: "refresh-1".to_owned(), status: status.to_owned(), reason: None, template }
}

impl ImageCloud for Fake {
    async fn account(&self) -> Result<String, AwsError> {
        Ok(ACCOUNT.to_owned())
    }

    async fn image(&self, id: &str) -> Result<Option<MachineImage>, AwsError> {
        Ok(self.state().images.iter().find(|image| image.id == id).cloned())
    }

    async fn images(&self) -> Result<Vec<MachineImage>, AwsError> {
        Ok(self.state().images.clone())
    }

    async fn snapshots_with(&self, _tag: &str, _value: &str) -> Result<Vec<ImageSnapshot>, AwsError> {
        Ok(self.state().snapshots.clone())
    }

    async fn instances_from(&self, images: &BTreeSet<String>) -> Result<Vec<Started>, AwsError> {
        let state = self.state();
        Ok(state.instances.iter().filter(|it| images.contains(&it.image)).cloned().collect())
    }

    async fn groups(&self) -> Result<Vec<Group>, AwsError> {
        Ok(self.state().groups.clone())
    }

    async fn latest_refresh(&self, _group: &str) -> Result<Option<Refresh>, AwsError> {
        let mut state = self.state();
        let latest = state.refreshes.first().cloned();
        if state.refreshes.len() > 1 {
            state.refreshes.remove(0);
        }
        Ok(latest)
    }

    async fn main_versions(&self) -> Result<Vec<TemplateVersion>, AwsError> {
        let state = self.state();
        let latest = state.versions.last().cloned();
        Ok(state.versions.iter().filter(|version| version.is_default).cloned().chain(latest).collect())
    }

    async fn versions(
        &self,
        template: &str,
        first: i64,
        last: i64,
    ) -> Result<Vec<TemplateVersion>, AwsError> {
        let state = self.state();
        let wanted = |it: &&TemplateVersion| it.template == template && (first..=last).contains(&it.number);
        Ok(state.versions.iter().filter(wanted).cloned().collect())
    }

    async fn parameters(&self, names: &[String]) -> Result<BTreeMap<String, Parameter>, AwsError> {
        let state = self.state();
        if names.iter().any(|name| state.denied.contains(name)) {
            return Err(denied("ssm:GetParameters"));
        }
        let found = names.iter().filter_map(|name| state.parameters.get_key_value(name));
        Ok(found.map(|(name, parameter)| (name.clone(), parameter.clone())).collect())
    }

    async fn point(&self, name: &str, image: &str) -> Result<(), AwsError> {
        if let Some(left) = &mut self.state().puts_left {
            *left = left.checked_sub(1).ok_or_else(|| denied("ssm:PutParameter"))?;
        }
        if !self.state().drops_puts {
            self.set(name, image);
        }
        Ok(())
    }

    async fn disable_protection(&self, image: &str) -> Result<(), AwsError> {
        self.state().done.push(format!("unprotect {image}"));
        Ok(())
    }

    async fn deregister(&self, image: &str) -> Result<(), AwsError> {
        if self.state().protected.contains(image) {
            let detail = "OperationNotPermitted: it is protected".to_owned();
            return Err(AwsError::Refused { call: "ec2:DeregisterImage", detail });
        }
        self.state().done.push(format!("deregister {image}"));
        Ok(())
    }

    async fn delete_snapshot_of_image(&self, snapshot: &str) -> Result<(), AwsError> {
        self.state().done.push(format!("delete {snapshot}"));
        Ok(())
    }
}

fn denied(call: &'static str) -> AwsError {
    AwsError::DeniedToPipeline { call, detail: "no".to_owned() }
}
