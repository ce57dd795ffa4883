//! What there is: the account's scanner images, and everything that uses one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use scanner_policy::ParameterPrefix;

use super::ImageError;
use super::check::is_ours;
use crate::aws::{
    BY_PARAMETER, Group, ImageCloud, MachineImage, Parameter, Started, TemplateRef, TemplateVersion,
};

/// Everything that was found out.
#[derive(Debug, Default)]
pub struct Survey {
    /// Every image of the account, also those that are not the pipeline's.
    pub images: Vec<MachineImage>,
    /// The parameters under the prefix, and those that launch templates name.
    pub parameters: BTreeMap<String, Parameter>,
    /// The groups that run scanners.
    pub groups: Vec<Launching>,
    /// The instances that were started from scanner images, or from what these groups launch.
    pub instances: Vec<Started>,
    /// What uses an image, by its id.
    pub uses: BTreeMap<String, BTreeSet<Use>>,
}

/// Something that would miss an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A parameter names it.
    Parameter(String),
    /// A version of a launch template launches it.
    Template {
        /// The template's id.
        template: String,
        /// The version.
        number: i64,
    },
    /// A group launches it.
    Group(String),
    /// An instance was started from it.
    Instance(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "{name} names it"),
            Self::Template { template, number } => write!(f, "version {number} of {template} launches it"),
            Self::Group(name) => write!(f, "the group {name} launches it"),
            Self::Instance(id) => write!(f, "{id} was started from it"),
        }
    }
}

/// A group that runs scanners, and what it launches.
#[derive(Clone, Debug, Default)]
pub struct Launching {
    /// The group.
    pub group: Group,
    /// The version of the launch template; none where it does not exist.
    pub version: Option<TemplateVersion>,
    /// The image; none where it is not known, because the version or the parameter does not exist.
    pub image: Option<String>,
}

/// Looks around. Of the launch templates of groups, the `earlier` versions before the one that is in use count as well: a
/// rollback leads there.
pub async fn survey(
    cloud: &impl ImageCloud,
    prefix: &ParameterPrefix,
    earlier: i64,
) -> Result<Survey, ImageError> {
    let images = cloud.images().await?;
    let mut parameters = cloud.parameters(&prefix.pointers()).await?;
    let groups = cloud.groups().await?;
    let mut versions: BTreeSet<TemplateVersion> = cloud.main_versions().await?.into_iter().collect();
    let pinned: BTreeSet<(String, i64)> = groups
        .iter()
        .flat_map(|group| {
            group.instances.iter().filter_map(|it| it.template.as_ref()).chain(&group.templates)
        })
        .filter_map(|it| Some((it.template.clone(), it.version.parse().ok()?)))
        .collect();
    for (template, number) in &pinned {
        versions.extend(cloud.versions(template, number.saturating_sub(earlier), *number).await?);
    }
    for version in &versions {
        read_parameter(cloud, version, &mut parameters).await?;
    }

    let mut survey = Survey { images, parameters, ..Survey::default() };
    let names: Vec<String> = prefix.pointers();
    for (name, parameter) in survey.parameters.iter().filter(|(name, _)| names.contains(name)) {
        survey.uses.entry(parameter.value.clone()).or_default().insert(Use::Parameter(name.clone()));
    }
    for version in &versions {
        if let Some(image) = survey.named_by(version) {
            let template = Use::Template { template: version.template.clone(), number: version.number };
            survey.uses.entry(image).or_default().insert(template);
        }
    }
    let ours: BTreeSet<String> =
        survey.images.iter().filter(|image| is_ours(image)).map(|image| image.id.clone()).collect();
    for group in groups {
        for template in group.templates.clone() {
            let version = in_use(&versions, &template);
            let image = version.as_ref().and_then(|version| survey.named_by(version));
            if let Some(image) = &image {
                survey.uses.entry(image.clone()).or_default().insert(Use::Group(group.name.clone()));
            }
            let is_pointed = |version: &TemplateVersion| {
                let name = version.image.strip_prefix(BY_PARAMETER);
                name.is_some_and(|name| names.iter().any(|pointer| pointer == parameter_name(name)))
            };
            let runs_scanners = image.as_ref().is_some_and(|image| ours.contains(image))
                || version.as_ref().is_some_and(|version| version.is_scanner || is_pointed(version));
            if runs_scanners {
                survey.groups.push(Launching { group: group.clone(), version, image });
            }
        }
    }
    let launched = survey.groups.iter().filter_map(|launching| launching.image.clone());
    let wanted: BTreeSet<String> = ours.into_iter().chain(launched).collect();
    if !wanted.is_empty() {
        survey.instances = cloud.instances_from(&wanted).await?;
    }
    for Started { instance, image, .. } in &survey.instances {
        survey.uses.entry(image.clone()).or_default().insert(Use::Instance(instance.clone()));
    }
    Ok(survey)
}

impl Survey {
    /// The image that a version launches, as far as it is known.
    fn named_by(&self, version: &TemplateVersion) -> Option<String> {
        let image = match version.image.strip_prefix(BY_PARAMETER) {
            Some(name) => &self.parameters.get(parameter_name(name))?.value,
            None => &version.image,
        };
        (!image.is_empty()).then(|| image.clone())
    }

    /// The image of this id.
    pub fn image(&self, id: &str) -> Option<&MachineImage> {
        self.images.iter().find(|image| image.id == id)
    }
}

/// Reads the parameter that a version takes its image from, where it is not known yet. AWS's own never name an image of the
/// account.
async fn read_parameter(
    cloud: &impl ImageCloud,
    version: &TemplateVersion,
    parameters: &mut BTreeMap<String, Parameter>,
) -> Result<(), ImageError> {
    let Some(name) = version.image.strip_prefix(BY_PARAMETER).map(parameter_name) else { return Ok(()) };
    if name.starts_with("/aws/") || parameters.contains_key(name) {
        return Ok(());
    }
    let found =
        cloud.parameters(&[name.to_owned()]).await.map_err(|source| ImageError::UnknownParameter {
            template: version.template.clone(),
            parameter: name.to_owned(),
            source,
        })?;
    parameters.extend(found);
    Ok(())
}

/// Without the version or label that may follow it. An earlier value is not read: its image counts as used only if it is
/// recent, or something else uses it.
fn parameter_name(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

/// The version that a group launches from.
fn in_use(versions: &BTreeSet<TemplateVersion>, wanted: &TemplateRef) -> Option<TemplateVersion> {
    let of_template = || versions.iter().filter(|version| version.template == wanted.template);
    match wanted.version.as_str() {
        "$Default" => of_template().find(|version| version.is_default),
        "$Latest" => of_template().max_by_key(|version| version.number),
        number => of_template().find(|version| version.number.to_string() == number),
    }
    .cloned()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, group, image};
    use super::*;

    fn prefix() -> ParameterPrefix {
        "/images".parse().unwrap()
    }

    #[tokio::test]
    async fn everything_that_uses_an_image_is_found() {
        let cloud = Fake::default();
        cloud.state().images = (1..=5).map(|number| image(&format!("ami-{number}"), 30)).collect();
        cloud.set("/images/arm64/current", "ami-1");
        cloud.set("/other", "ami-5");
        for (number, image) in [(1, "ami-9"), (2, "ami-2"), (3, "ami-3"), (4, "resolve:ssm:/other:3")] {
            cloud.add_version(number, image);
        }
        cloud.state().versions[3].is_default = true;
        cloud.state().groups = vec![group("scanner", "3")];
        cloud.state().instances =
            vec![Started { instance: "i-1".to_owned(), image: "ami-4".to_owned(), launched: None }];
        let survey = survey(&cloud, &prefix(), 1).await.unwrap();
        let used: Vec<_> = survey.uses.keys().map(String::as_str).collect();
        assert_eq!(used, ["ami-1", "ami-2", "ami-3", "ami-4", "ami-5"]);
        assert!(survey.uses["ami-3"].contains(&Use::Group("scanner".to_owned())));
        assert_eq!(survey.groups.len(), 1);
    }

    #[tokio::test]
    async fn a_parameter_that_cannot_be_read_is_not_passed_over() {
        let cloud = Fake::default();
        cloud.add_version(1, "resolve:ssm:/hidden");
        cloud.deny("/hidden");
        let error = survey(&cloud, &prefix(), 3).await.unwrap_err();
        assert!(error.to_string().contains("/hidden"), "{error}");
        // One of AWS's own is not asked for.
        cloud.state().versions[0].image = "resolve:ssm:/aws/service/x".to_owned();
        survey(&cloud, &prefix(), 3).await.unwrap();
    }

    #[tokio::test]
    async fn a_group_of_scanners_whose_image_is_gone_is_one() {
        let cloud = Fake::default();
        cloud.add_version(1, "ami-gone");
        cloud.state().versions[0].is_scanner = true;
        cloud.state().groups =
            vec![group("scanner", "1"), Group { name: "web".to_owned(), ..Group::default() }];
        let survey = survey(&cloud, &prefix(), 3).await.unwrap();
        assert_eq!(survey.groups[0].image.as_deref(), Some("ami-gone"));
        assert_eq!(survey.groups.len(), 1);
    }
}
