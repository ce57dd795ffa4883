//! Whether a group of scanners has taken an image: its latest instance refresh succeeded, and brought exactly this one.

use std::time::Duration;

use super::ImageError;
use crate::aws::{BY_PARAMETER, Group, ImageCloud, Refresh, TemplateRef};

/// Between two looks at a refresh.
const INTERVAL: Duration = Duration::from_secs(15);

/// Waits until the group's latest instance refresh has ended, and demands that it brought this image. `tell` hears what is
/// waited for.
pub async fn wait(
    cloud: &impl ImageCloud,
    group: &str,
    image: &str,
    limit: Duration,
    tell: impl Fn(&str),
) -> Result<(), ImageError> {
    let unproven = |why: String| ImageError::Unproven { image: image.to_owned(), why };
    let start = tokio::time::Instant::now();
    let refresh = loop {
        let Some(refresh) = cloud.latest_refresh(group).await? else {
            return Err(unproven(format!("the group {group} has had no instance refresh")));
        };
        if !is_under_way(&refresh) {
            break refresh;
        }
        if start.elapsed() >= limit {
            return Err(unproven(format!(
                "the instance refresh {} of the group {group} is {} after {} s; run this again when it has ended",
                refresh.id,
                refresh.status,
                limit.as_secs()
            )));
        }
        tell(&format!("the instance refresh {} of the group {group} is {}", refresh.id, refresh.status));
        tokio::time::sleep(INTERVAL).await;
    };
    if refresh.status != "Successful" {
        let reason = refresh.reason.map_or(String::new(), |reason| format!(" ({reason})"));
        return Err(unproven(format!(
            "the latest instance refresh of the group {group}, {}, is {}{reason}",
            refresh.id, refresh.status
        )));
    }
    let groups = cloud.groups().await?;
    let found = groups.into_iter().find(|found| found.name == group);
    let found = found.ok_or_else(|| unproven(format!("there is no Auto Scaling group {group}")))?;
    took(cloud, &found, refresh.template.as_ref(), image).await.map_err(|problem| match problem {
        Problem::Error(error) => error,
        Problem::Why(why) => unproven(format!("the group {group} {why}")),
    })
}

enum Problem {
    Error(ImageError),
    Why(String),
}

/// Whether what the group launches, and every instance that it has, is of this image.
async fn took(
    cloud: &impl ImageCloud,
    group: &Group,
    refreshed: Option<&TemplateRef>,
    image: &str,
) -> Result<(), Problem> {
    let why = |why: String| Err(Problem::Why(why));
    let [template] = group.templates.as_slice() else {
        return why("launches from no launch template, or from several".to_owned());
    };
    let TemplateRef { template: id, version } = template;
    let Ok(number) = version.parse::<i64>() else {
        return why(format!("launches the version {version} of {id}, which means another one tomorrow"));
    };
    if let Some(refreshed) = refreshed.filter(|refreshed| *refreshed != template) {
        let TemplateRef { template: other, version: brought } = refreshed;
        return why(format!(
            "launches the version {version} of {id}, and its latest refresh brought version {brought} of {other}"
        ));
    }
    let versions = cloud.versions(id, number, number).await.map_err(|error| Problem::Error(error.into()))?;
    match versions.into_iter().find(|found| found.number == number) {
        Some(found) if found.image == image => {}
        Some(found) if found.image.starts_with(BY_PARAMETER) => {
            return why(format!("launches what a parameter names ({}), and not this image", found.image));
        }
        Some(found) => return why(format!("launches {}", found.image)),
        None => return why(format!("launches the version {version} of {id}, which there is not")),
    }
    if group.instances.is_empty() {
        return why("has no instance, so nothing has shown that the image works".to_owned());
    }
    let is_one = |instance: &&crate::aws::GroupInstance| {
        instance.state == "InService" && instance.healthy && instance.template.as_ref() == Some(template)
    };
    match group.instances.iter().find(|instance| !is_one(instance)) {
        None => Ok(()),
        Some(other) => {
            let health = if other.healthy { "healthy" } else { "unhealthy" };
            let from = other.template.as_ref().map_or("nothing known", |from| from.version.as_str());
            why(format!(
                "has the instance {}, which is {}, {health}, and launched from version {from} and not {version}",
                other.id, other.state
            ))
        }
    }
}

/// Whether it has not ended yet.
fn is_under_way(refresh: &Refresh) -> bool {
    matches!(
        refresh.status.as_str(),
        "Pending" | "InProgress" | "Baking" | "Cancelling" | "RollbackInProgress"
    )
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, group, refresh};
    use super::*;

    const LIMIT: Duration = Duration::from_mins(10);

    /// A region in which the group took `ami-2` with version 2.
    fn cloud() -> Fake {
        let fake = Fake::default();
        fake.state().groups = vec![group("scanner", "2")];
        fake.state().refreshes = vec![refresh("Successful", Some("2"))];
        fake.add_version(1, "ami-1");
        fake.add_version(2, "ami-2");
        fake
    }

    async fn waited(cloud: &Fake) -> Result<(), String> {
        wait(cloud, "scanner", "ami-2", LIMIT, |_| ()).await.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_brought_the_image_proves_it() {
        let cloud = cloud();
        waited(&cloud).await.unwrap();
        // Also after waiting for it, and by a refresh that changed nothing.
        cloud.state().refreshes =
            ["Pending", "InProgress", "Baking", "Successful"].map(|status| refresh(status, None)).into();
        waited(&cloud).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_else_there_is_proves_nothing() {
        type Change = fn(&Fake);
        let cases: &[(Change, &str)] = &[
            (|cloud| cloud.state().refreshes.clear(), "no instance refresh"),
            (
                |cloud| cloud.state().refreshes = vec![refresh("RollbackSuccessful", Some("2"))],
                "RollbackSuccessful",
            ),
            (
                |cloud| cloud.state().refreshes = vec![refresh("InProgress", Some("2"))],
                "is InProgress after 600 s",
            ),
            (|cloud| cloud.state().refreshes = vec![refresh("Successful", Some("1"))], "brought version 1"),
            (|cloud| cloud.state().groups.clear(), "no Auto Scaling group"),
            (|cloud| cloud.state().groups = vec![group("scanner", "$Latest")], "another one tomorrow"),
            (|cloud| cloud.state().groups[0].templates.clear(), "no launch template"),
            (|cloud| cloud.state().versions[1].image = "ami-1".to_owned(), "launches ami-1"),
            (|cloud| cloud.state().versions[1].image = "resolve:ssm:/a".to_owned(), "what a parameter names"),
            (|cloud| drop(cloud.state().versions.pop()), "which there is not"),
            (|cloud| cloud.state().groups[0].instances.clear(), "has no instance"),
            (|cloud| cloud.state().groups[0].instances[0].healthy = false, "unhealthy"),
            (|cloud| cloud.state().groups[0].instances[0].state = "Pending:Wait".to_owned(), "Pending:Wait"),
            (
                |cloud| cloud.state().groups[0].instances[0].template = None,
                "launched from version nothing known",
            ),
        ];
        for (change, expected) in cases {
            let cloud = cloud();
            change(&cloud);
            let told = waited(&cloud).await.unwrap_err();
            assert!(
                told.starts_with("ami-2 is not promoted") && told.contains(expected),
                "{expected}: {told}"
            );
        }
    }
}
