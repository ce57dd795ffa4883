//! Retiring images that nothing uses: deregistering them, and deleting their snapshots.
//!
//! An image stays unless everything says that it may go. What cannot be found out stops it before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use scanner_policy::tags;
use time::{Duration, OffsetDateTime};

use super::check::is_ours;
use super::survey::Survey;
use super::{Architecture, ImageError};
use crate::aws::{AwsError, ImageCloud, ImageSnapshot, MachineImage};

/// What stays in any case.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// So many of the newest of each architecture.
    pub keep: usize,
    /// What was made, or started, less than this ago.
    pub older_than: Duration,
}

/// What is to become of the account's scanner images.
#[derive(Debug, Default)]
pub struct Plan {
    /// Those that stay, and why.
    pub kept: Vec<(MachineImage, String)>,
    /// Those that go.
    pub retired: Vec<MachineImage>,
    /// Snapshots of images that are gone already: a run before broke off.
    pub leftovers: Vec<ImageSnapshot>,
    /// The snapshots that may be deleted with an image: they carry the tag.
    tagged: BTreeSet<String>,
    /// The images, of whatever kind, that use a snapshot.
    users: BTreeMap<String, BTreeSet<String>>,
}

/// What became of an image or a snapshot.
#[derive(Debug)]
pub enum Outcome {
    /// It is gone.
    Gone,
    /// It is still there for a reason that passes by itself, or that is none of ours.
    Left(String),
    /// It should be gone, and is not.
    Failed(AwsError),
}

/// Decides. Changes nothing.
pub async fn plan(
    cloud: &impl ImageCloud,
    survey: &Survey,
    rules: Rules,
    now: OffsetDateTime,
) -> Result<Plan, ImageError> {
    let snapshots = cloud.snapshots_with(tags::IMAGE, tags::TRUE).await?;
    let mut plan = Plan { tagged: snapshots.iter().map(|it| it.id.clone()).collect(), ..Plan::default() };
    for image in &survey.images {
        for (snapshot, _) in &image.snapshots {
            plan.users.entry(snapshot.clone()).or_default().insert(image.id.clone());
        }
    }
    let mut ours: Vec<&MachineImage> = survey.images.iter().filter(|image| is_ours(image)).collect();
    ours.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
    let mut newest: BTreeMap<Option<Architecture>, usize> = BTreeMap::new();
    for image in ours {
        // What was never available is no image to go back to.
        let mut rank = None;
        if image.state == "available" {
            let count = newest.entry(Architecture::of_ec2(&image.architecture)).or_default();
            *count = count.saturating_add(1);
            rank = Some(*count);
        }
        match reason_to_keep(image, rank, survey, rules, now) {
            Some(reason) => plan.kept.push((image.clone(), reason)),
            None => plan.retired.push(image.clone()),
        }
    }
    let is_left = |snapshot: &ImageSnapshot| {
        !plan.users.contains_key(&snapshot.id) && is_older(snapshot.started, rules.older_than, now)
    };
    plan.leftovers = snapshots.into_iter().filter(is_left).collect();
    Ok(plan)
}

/// `rank` is 1 for the newest of its architecture.
fn reason_to_keep(
    image: &MachineImage,
    rank: Option<usize>,
    survey: &Survey,
    rules: Rules,
    now: OffsetDateTime,
) -> Option<String> {
    if let Some(used) = survey.uses.get(&image.id).and_then(|uses| uses.first()) {
        return Some(used.to_string());
    }
    if rank.is_some_and(|rank| rank <= rules.keep) {
        return Some(format!("it is one of the {} newest", rules.keep));
    }
    let days = rules.older_than.whole_days();
    if !is_older(image.created, rules.older_than, now) {
        return Some(format!("it is not older than {days} days"));
    }
    // Accounts that it is shared with cannot be looked into. EC2 says when they used it, a day later.
    let lag = Duration::DAY;
    if image.launched.is_some_and(|launched| now - launched < rules.older_than.max(lag * 2)) {
        return Some(format!("an instance was started from it in the last {days} days"));
    }
    None
}

/// What has no date counts as new.
fn is_older(date: Option<OffsetDateTime>, than: Duration, now: OffsetDateTime) -> bool {
    date.is_some_and(|date| now - date > than)
}

/// Retires one image of the plan. Its snapshots follow, each with what became of it, once the image is gone.
pub async fn retire(
    cloud: &impl ImageCloud,
    plan: &mut Plan,
    image: &MachineImage,
) -> (Outcome, Vec<(String, Outcome)>) {
    let outcome = deregister(cloud, image).await;
    if !matches!(outcome, Outcome::Gone) {
        return (outcome, Vec::new());
    }
    for users in plan.users.values_mut() {
        users.remove(&image.id);
    }
    let mut snapshots = Vec::new();
    for (snapshot, _) in &image.snapshots {
        let user = plan.users.get(snapshot).and_then(|users| users.first());
        let outcome = match user {
            Some(user) => Outcome::Left(format!("the image {user} uses it")),
            None if !plan.tagged.contains(snapshot) => {
                Outcome::Left(format!("it lacks the tag {}={}", tags::IMAGE, tags::TRUE))
            }
            None => delete(cloud, snapshot).await,
        };
        snapshots.push((snapshot.clone(), outcome));
    }
    (outcome, snapshots)
}

async fn deregister(cloud: &impl ImageCloud, image: &MachineImage) -> Outcome {
    if image.protection.starts_with("enabled") {
        if let Err(error) = cloud.disable_protection(&image.id).await {
            return Outcome::Failed(error);
        }
        if image.protection.contains("with-cooldown") {
            return Outcome::Left(
                "its protection was taken away, and ends in 24 hours: prune again then".to_owned(),
            );
        }
    }
    match cloud.deregister(&image.id).await {
        Ok(()) => Outcome::Gone,
        Err(error) if is_protected(&error) => {
            Outcome::Left("its protection has not ended yet: prune again within 24 hours".to_owned())
        }
        Err(error) => Outcome::Failed(error),
    }
}

/// Deletes a snapshot that no image uses.
pub async fn delete(cloud: &impl ImageCloud, snapshot: &str) -> Outcome {
    match cloud.delete_snapshot_of_image(snapshot).await {
        Ok(()) => Outcome::Gone,
        Err(error) => Outcome::Failed(error),
    }
}

/// Whether EC2 refuses because of the protection from deregistration ("Protect an Amazon EC2 AMI from deregistration").
fn is_protected(error: &AwsError) -> bool {
    matches!(error, AwsError::Refused { detail, .. }
        if detail.starts_with("OperationNotPermitted") || detail.to_ascii_lowercase().contains("deregistration protect"))
}

#[cfg(test)]
mod tests {
    use scanner_policy::ParameterPrefix;

    use super::super::fake::{Fake, NOW, image, snapshot};
    use super::super::survey::survey;
    use super::*;

    const RULES: Rules = Rules { keep: 1, older_than: Duration::days(14) };

    async fn planned(cloud: &Fake) -> Plan {
        let prefix: ParameterPrefix = "/images".parse().unwrap();
        let survey = survey(cloud, &prefix, 3).await.unwrap();
        plan(cloud, &survey, RULES, NOW).await.unwrap()
    }

    /// Images of these ages in days, with their snapshots.
    fn cloud(ages: &[i64]) -> Fake {
        let cloud = Fake::default();
        for age in ages {
            let id = format!("ami-{age}");
            cloud.state().images.push(image(&id, *age));
            cloud.state().snapshots.push(snapshot(&format!("snap-{id}"), *age));
        }
        cloud
    }

    fn retired(plan: &Plan) -> Vec<&str> {
        plan.retired.iter().map(|image| image.id.as_str()).collect()
    }

    #[tokio::test]
    async fn the_newest_and_the_young_stay() {
        let cloud = cloud(&[20, 30, 14, 15]);
        cloud
            .state()
            .images
            .push(MachineImage { architecture: "x86_64".to_owned(), ..image("ami-intel", 40) });
        assert_eq!(retired(&planned(&cloud).await), ["ami-15", "ami-20", "ami-30"]);
        // One that never became available is not the newest of anything, and goes when it is old.
        cloud.state().images[2].state = "failed".to_owned();
        assert_eq!(retired(&planned(&cloud).await), ["ami-20", "ami-30"]);
    }

    #[tokio::test]
    async fn what_is_used_stays_and_what_is_not_ours_is_not_touched() {
        let cloud = cloud(&[1, 20, 30, 40, 50]);
        cloud.set("/images/arm64/previous", "ami-20");
        cloud.state().images[2].launched = Some(NOW - Duration::days(13));
        cloud.state().images[3].launched = Some(NOW - Duration::days(15));
        cloud.state().images[4].tags.remove(tags::IMAGE);
        let plan = planned(&cloud).await;
        assert_eq!(retired(&plan), ["ami-40"]);
        let kept: Vec<_> = plan.kept.iter().map(|(image, why)| format!("{}: {why}", image.id)).collect();
        assert_eq!(
            kept,
            [
                "ami-1: it is one of the 1 newest",
                "ami-20: /images/arm64/previous names it",
                "ami-30: an instance was started from it in the last 14 days",
            ]
        );
    }

    #[tokio::test]
    async fn snapshots_go_only_with_their_last_image_and_only_ours() {
        let cloud = cloud(&[1, 20, 30]);
        cloud.state().images[0].snapshots.push(("snap-ami-20".to_owned(), None));
        cloud.state().images[2].snapshots.push(("snap-foreign".to_owned(), None));
        let mut plan = planned(&cloud).await;
        let mut told = Vec::new();
        for image in plan.retired.clone() {
            let (outcome, snapshots) = retire(&cloud, &mut plan, &image).await;
            assert!(matches!(outcome, Outcome::Gone), "{outcome:?}");
            told.extend(snapshots.into_iter().map(|(id, outcome)| format!("{id} {outcome:?}")));
        }
        assert_eq!(
            told,
            [
                "snap-ami-20 Left(\"the image ami-1 uses it\")",
                "snap-ami-30 Gone",
                "snap-foreign Left(\"it lacks the tag DatadogAgentlessScannerImage=true\")",
            ]
        );
        assert_eq!(cloud.done(), ["deregister ami-20", "deregister ami-30", "delete snap-ami-30"]);
    }

    #[tokio::test]
    async fn what_a_run_left_is_found_by_the_next() {
        let cloud = cloud(&[1]);
        cloud.state().snapshots.push(snapshot("snap-old", 20));
        // Of an image that is being built.
        cloud.state().snapshots.push(snapshot("snap-new", 0));
        let plan = planned(&cloud).await;
        let leftovers: Vec<_> = plan.leftovers.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(leftovers, ["snap-old"]);
    }

    #[tokio::test]
    async fn protection_takes_a_day_to_end() {
        let cloud = cloud(&[1, 20, 30, 40]);
        let protections = ["", "enabled-with-cooldown", "enabled-without-cooldown", "disabled"];
        for (image, protection) in cloud.state().images.iter_mut().zip(protections) {
            image.protection = protection.to_owned();
        }
        cloud.protect("ami-40");
        let mut plan = planned(&cloud).await;
        let mut outcomes = Vec::new();
        for image in plan.retired.clone() {
            outcomes.push(format!("{:?}", retire(&cloud, &mut plan, &image).await.0));
        }
        assert!(outcomes[0].starts_with("Left(\"its protection was taken away"), "{outcomes:?}");
        assert_eq!(outcomes[1], "Gone");
        assert!(outcomes[2].starts_with("Left(\"its protection has not ended"), "{outcomes:?}");
        assert_eq!(
            cloud.done(),
            ["unprotect ami-20", "unprotect ami-30", "deregister ami-30", "delete snap-ami-30"]
        );
    }
}
