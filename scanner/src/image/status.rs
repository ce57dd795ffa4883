//! What there is of images, and what is wrong with it, for people and for programs.

use scanner_policy::{ParameterPrefix, tags};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::check::is_ours;
use super::survey::{Launching, Survey};
use super::{Architecture, Names};
use crate::aws::{BY_PARAMETER, IMAGE_DATA_TYPE, MachineImage};

/// An instance is replaced within about 24 hours. One that is older than this is held up.
const OLDEST_INSTANCE: Duration = Duration::hours(26);

/// Images are built daily. What is in use should not be much older than this.
const OLDEST_IMAGE: Duration = Duration::days(30);

/// Everything that is shown.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What points to images.
    pub parameters: Vec<Pointer>,
    /// The account's scanner images, the newest first.
    pub images: Vec<ImageRow>,
    /// The groups that run scanners.
    pub groups: Vec<GroupRow>,
    /// What is wrong, and what to do about it.
    pub problems: Vec<String>,
}

/// A parameter.
#[derive(Debug, Serialize)]
pub struct Pointer {
    /// Its name.
    pub name: String,
    /// The image; none where the parameter is not set.
    pub image: Option<String>,
    /// When it was set (RFC 3339).
    pub changed: Option<String>,
}

/// An image.
#[derive(Debug, Serialize)]
pub struct ImageRow {
    /// Its id.
    pub id: String,
    /// Its architecture, as parameters name it.
    pub architecture: String,
    /// The version of its scanner.
    pub version: Option<String>,
    /// Its state in EC2's words.
    pub state: String,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
    /// How old it is, in days.
    pub age_days: Option<i64>,
    /// What uses it.
    pub uses: Vec<String>,
}

/// A group.
#[derive(Debug, Serialize)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// The launch template and the version that it launches.
    pub template: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// The parameter that names that, if one does.
    pub parameter: Option<String>,
    /// How many instances are in service.
    pub in_service: usize,
    /// How many there are to be.
    pub desired: i32,
    /// How old the oldest is, in hours, as far as known.
    pub oldest_hours: Option<i64>,
}

/// Puts what was found together.
pub fn report(survey: &Survey, prefix: &ParameterPrefix, now: OffsetDateTime) -> Report {
    let mut problems = Vec::new();
    let mut parameters = Vec::new();
    for architecture in Architecture::ALL {
        let names = Names::of(prefix, architecture);
        for name in names.all() {
            let found = survey.parameters.get(&name);
            if let Some(found) = found {
                let is_current = name == names.current;
                problems.extend(pointer_problem(survey, &name, &found.value, is_current, now));
                if found.data_type != IMAGE_DATA_TYPE {
                    problems.push(format!(
                        "{name} has the data type {}, so that anything could be written into it: delete it, and publish again",
                        found.data_type
                    ));
                }
            }
            parameters.push(Pointer {
                name,
                image: found.map(|found| found.value.clone()),
                changed: found.and_then(|found| text_of(found.changed)),
            });
        }
    }
    let mut ours: Vec<&MachineImage> = survey.images.iter().filter(|image| is_ours(image)).collect();
    ours.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
    let images = ours.into_iter().map(|image| image_row(survey, image, now)).collect();
    let mut groups = Vec::new();
    for launching in &survey.groups {
        problems.extend(group_problems(survey, launching, now));
        groups.push(group_row(survey, launching, now));
    }
    Report { parameters, images, groups, problems }
}

fn pointer_problem(
    survey: &Survey,
    name: &str,
    id: &str,
    is_current: bool,
    now: OffsetDateTime,
) -> Option<String> {
    let Some(image) = survey.image(id) else {
        return Some(format!(
            "{name} names {id}, which this account does not have: publish another image, or roll back"
        ));
    };
    if image.state != "available" {
        return Some(format!(
            "{name} names {id}, which is {}: publish another image, or roll back",
            image.state
        ));
    }
    let age = image.created.map(|created| now - created).filter(|age| is_current && *age > OLDEST_IMAGE);
    age.map(|age| {
        format!("{name} names {id}, which is {} days old: look why no newer image is built", age.whole_days())
    })
}

fn group_problems(survey: &Survey, launching: &Launching, now: OffsetDateTime) -> Vec<String> {
    let Launching { group, version, image } = launching;
    let name = &group.name;
    let mut problems = Vec::new();
    match (version, image) {
        (None, _) => problems.push(format!(
            "the group {name} launches from a version of a launch template that does not exist: it cannot launch anything. \
             Apply its configuration again"
        )),
        (Some(version), None) => {
            let parameter = version.image.trim_start_matches(BY_PARAMETER);
            problems.push(format!(
                "the group {name} takes its image from the parameter {parameter}, which is not set: it cannot launch \
                 anything. Publish and promote an image"
            ));
        }
        (Some(version), Some(id)) => match survey.image(id) {
            // Of another account, perhaps, that shares it.
            None if id.starts_with("ami-") => problems.push(format!(
                "the group {name} launches {id}, which this account does not have ({}, version {}): if it is not shared with \
                 it either, the group cannot launch anything. Apply with another image",
                version.template, version.number
            )),
            None => problems.push(format!(
                "the group {name} launches {id:?}, which is no image: it cannot launch anything. Publish and promote one"
            )),
            Some(found) if found.state != "available" => problems.push(format!(
                "the group {name} launches {id}, which is {}: it cannot launch anything. Apply with another image",
                found.state
            )),
            Some(_) => {}
        },
    }
    let in_service = in_service(launching);
    if i64::try_from(in_service).unwrap_or(i64::MAX) < i64::from(group.desired) {
        problems.push(format!(
            "the group {name} has {in_service} of {} instances in service: `aws autoscaling describe-scaling-activities \
             --auto-scaling-group-name {name}` says why",
            group.desired
        ));
    }
    for (instance, age) in ages(survey, launching, now).filter(|(_, age)| *age > OLDEST_INSTANCE) {
        problems.push(format!(
            "{instance} of the group {name} has run for {} hours: it should have been replaced. The group's scaling \
             activities say what holds it up",
            age.whole_hours()
        ));
    }
    problems
}

fn group_row(survey: &Survey, launching: &Launching, now: OffsetDateTime) -> GroupRow {
    let Launching { group, version, image } = launching;
    let oldest = ages(survey, launching, now).map(|(_, age)| age.whole_hours()).max();
    let parameter = version.as_ref().and_then(|version| version.image.strip_prefix(BY_PARAMETER));
    GroupRow {
        name: group.name.clone(),
        template: version.as_ref().map(|version| format!("{} version {}", version.template, version.number)),
        image: image.clone(),
        parameter: parameter.map(str::to_owned),
        in_service: in_service(launching),
        desired: group.desired,
        oldest_hours: oldest,
    }
}

fn in_service(launching: &Launching) -> usize {
    launching
        .group
        .instances
        .iter()
        .filter(|instance| instance.state == "InService" && instance.healthy)
        .count()
}

/// The instances of a group, and how long they have run.
fn ages<'a>(
    survey: &'a Survey,
    launching: &'a Launching,
    now: OffsetDateTime,
) -> impl Iterator<Item = (&'a str, Duration)> {
    let launched = |id: &str| survey.instances.iter().find(|it| it.instance == id)?.launched;
    let instances = launching.group.instances.iter();
    instances.filter_map(move |instance| Some((instance.id.as_str(), now - launched(&instance.id)?)))
}

fn image_row(survey: &Survey, image: &MachineImage, now: OffsetDateTime) -> ImageRow {
    let architecture = Architecture::of_ec2(&image.architecture);
    let uses = survey.uses.get(&image.id).into_iter().flatten();
    ImageRow {
        id: image.id.clone(),
        architecture: architecture.map_or_else(|| image.architecture.clone(), |it| it.name().to_owned()),
        version: image.tags.get(tags::IMAGE_VERSION).cloned(),
        state: image.state.clone(),
        created: text_of(image.created),
        age_days: image.created.map(|created| (now - created).whole_days()),
        uses: uses.map(ToString::to_string).collect(),
    }
}

fn text_of(time: Option<OffsetDateTime>) -> Option<String> {
    time.and_then(|time| time.format(&Rfc3339).ok())
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, NOW, group, image};
    use super::super::survey::survey;
    use super::*;
    use crate::aws::Started;

    fn cloud() -> Fake {
        let cloud = Fake::default();
        cloud.state().images = vec![image("ami-1", 3), image("ami-2", 1)];
        cloud.set("/images/arm64/current", "ami-2");
        cloud.add_version(1, "ami-2");
        cloud.state().versions[0].is_scanner = true;
        cloud.state().groups = vec![group("scanner", "1")];
        let launched = Some(NOW - Duration::hours(25));
        let started = Started { instance: "i-1".to_owned(), image: "ami-2".to_owned(), launched };
        cloud.state().instances = vec![started];
        cloud
    }

    async fn reported(cloud: &Fake) -> Report {
        let prefix: ParameterPrefix = "/images".parse().unwrap();
        report(&survey(cloud, &prefix, 3).await.unwrap(), &prefix, NOW)
    }

    #[tokio::test]
    async fn what_is_well_is_shown_without_problems() {
        let report = reported(&cloud()).await;
        assert_eq!(report.problems, [""; 0]);
        assert_eq!(report.parameters.len(), 6);
        let newest = &report.images[0];
        assert_eq!((newest.id.as_str(), newest.age_days, newest.uses.len()), ("ami-2", Some(1), 4));
        let group = &report.groups[0];
        assert_eq!((group.in_service, group.desired, group.oldest_hours), (1, 1, Some(25)));
    }

    #[tokio::test]
    async fn each_failure_of_rotation_is_named() {
        type Change = fn(&Fake);
        let cases: &[(Change, &str)] = &[
            (|cloud| cloud.state().images.truncate(1), "launches ami-2, which this account does not have"),
            (
                |cloud| cloud.state().images.truncate(1),
                "/images/arm64/current names ami-2, which this account",
            ),
            (
                |cloud| cloud.state().images[1].state = "disabled".to_owned(),
                "launches ami-2, which is disabled",
            ),
            (|cloud| cloud.state().images[1].created = Some(NOW - Duration::days(31)), "31 days old"),
            (
                |cloud| cloud.state().instances[0].launched = Some(NOW - Duration::hours(27)),
                "i-1 of the group scanner has run for 27",
            ),
            (|cloud| cloud.state().groups[0].instances.clear(), "0 of 1 instances"),
            (
                |cloud| cloud.state().versions[0].image = "resolve:ssm:/images/amd64/current".to_owned(),
                "/images/amd64/current, which is not set",
            ),
            (
                |cloud| {
                    cloud.set("/emptied", "-");
                    cloud.state().versions[0].image = "resolve:ssm:/emptied".to_owned();
                },
                "which is no image",
            ),
        ];
        for (change, expected) in cases {
            let cloud = cloud();
            change(&cloud);
            let problems = reported(&cloud).await.problems;
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
    }
}
