//! Whether an image may be pointed to.

use scanner_policy::tags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Architecture, ImageError};
use crate::aws::{ImageCloud, MachineImage};

/// Looks an image up and checks it. Everything that is wrong is told at once.
pub async fn checked(
    cloud: &impl ImageCloud,
    id: &str,
    wanted: Option<Architecture>,
    now: OffsetDateTime,
) -> Result<(MachineImage, Architecture), ImageError> {
    let image = cloud.image(id).await?.ok_or_else(|| ImageError::NoImage { image: id.to_owned() })?;
    let problems = problems(&image, &cloud.account().await?, wanted, now);
    match Architecture::of_ec2(&image.architecture) {
        Some(architecture) if problems.is_empty() => Ok((image, architecture)),
        _ => Err(ImageError::Refused { image: id.to_owned(), problems }),
    }
}

/// Why an image that was in use before cannot be used again, if it cannot. That it has expired is no reason.
pub async fn unusable(cloud: &impl ImageCloud, id: &str) -> Result<Option<ImageError>, ImageError> {
    let refused = |problem: String| ImageError::Refused { image: id.to_owned(), problems: vec![problem] };
    Ok(match cloud.image(id).await? {
        None => Some(ImageError::NoImage { image: id.to_owned() }),
        Some(image) if image.state != "available" => {
            Some(refused(format!("it is {}, not available", image.state)))
        }
        Some(image) if !is_ours(&image) => {
            Some(refused(format!("it lacks the tag {}={} of scanner images", tags::IMAGE, tags::TRUE)))
        }
        Some(_) => None,
    })
}

/// Whether the pipeline made it: without the tag it is somebody else's, and no verb touches it.
pub fn is_ours(image: &MachineImage) -> bool {
    image.tags.get(tags::IMAGE).is_some_and(|value| value == tags::TRUE)
}

/// What is wrong with an image, in full.
pub fn problems(
    image: &MachineImage,
    account: &str,
    wanted: Option<Architecture>,
    now: OffsetDateTime,
) -> Vec<String> {
    let mut problems = Vec::new();
    if image.state != "available" {
        problems.push(format!("it is {}, not available", image.state));
    }
    if image.owner != account {
        problems.push(format!("it belongs to the account {}, not to {account}", image.owner));
    } else if !is_ours(image) {
        problems.push(format!("it lacks the tag {}={} of scanner images", tags::IMAGE, tags::TRUE));
    } else if !image.tags.contains_key(tags::IMAGE_VERSION) {
        problems.push(format!("it lacks the tag {}, by which scanners find it", tags::IMAGE_VERSION));
    }
    match (Architecture::of_ec2(&image.architecture), wanted) {
        (None, _) => problems.push(format!("it is built for {}", image.architecture)),
        (Some(built), Some(wanted)) if built != wanted => {
            problems.push(format!("it is built for {built}, not for {wanted}"));
        }
        _ => {}
    }
    if let Some(date) = image.deprecated.filter(|date| *date <= now) {
        problems.push(format!("it has been deprecated since {}", date.date()));
    }
    if let Some(text) = image.tags.get(tags::EXPIRES_AT) {
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(date) if date <= now => problems.push(format!("it expired at {text}: build a new one")),
            Ok(_) => {}
            Err(_) => problems.push(format!("its tag {} is {text:?}, which is no time", tags::EXPIRES_AT)),
        }
    }
    if image.imds.as_deref() != Some("v2.0") {
        problems.push(
            "its instances would have version 1 of the metadata service: register it with ImdsSupport v2.0"
                .to_owned(),
        );
    }
    for (snapshot, _) in image.snapshots.iter().filter(|(_, encrypted)| *encrypted == Some(false)) {
        problems.push(format!("its snapshot {snapshot} is not encrypted"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::fake::{ACCOUNT, NOW, image};
    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_full() {
        type Change = fn(&mut MachineImage);
        let told = |change: Change| {
            let mut image = image("ami-1", 0);
            change(&mut image);
            problems(&image, ACCOUNT, Some(Architecture::Arm64), NOW).join("; ")
        };
        assert_eq!(told(|_| ()), "");
        assert_eq!(told(|image| image.snapshots[0].1 = None), "", "EC2 does not say");
        let cases: &[(Change, &str)] = &[
            (|image| image.state = "pending".to_owned(), "it is pending"),
            (|image| image.state = "disabled".to_owned(), "it is disabled"),
            (|image| image.owner = "444455556666".to_owned(), "belongs to the account 444455556666"),
            (|image| drop(image.tags.remove(tags::IMAGE)), "lacks the tag DatadogAgentlessScannerImage=true"),
            (
                |image| drop(image.tags.insert(tags::IMAGE.to_owned(), "false".to_owned())),
                "lacks the tag DatadogAgentlessScannerImage=true",
            ),
            (|image| drop(image.tags.remove(tags::IMAGE_VERSION)), "DatadogAgentlessScannerVersion"),
            (|image| image.architecture = "x86_64".to_owned(), "built for amd64, not for arm64"),
            (|image| image.architecture = "i386".to_owned(), "built for i386"),
            (|image| image.deprecated = Some(NOW), "deprecated since"),
            (|image| drop(image.tags.insert(tags::EXPIRES_AT.to_owned(), "soon".to_owned())), "no time"),
            (|image| image.imds = None, "version 1 of the metadata service"),
            (|image| image.snapshots[0].1 = Some(false), "snap-ami-1 is not encrypted"),
        ];
        for (change, expected) in cases {
            assert!(told(*change).contains(expected), "{expected}: {}", told(*change));
        }
        let mut expiring = image("ami-1", 0);
        let at = |time: OffsetDateTime| time.format(&Rfc3339).unwrap();
        expiring.tags.insert(tags::EXPIRES_AT.to_owned(), at(NOW + Duration::SECOND));
        assert!(problems(&expiring, ACCOUNT, None, NOW).is_empty());
        expiring.tags.insert(tags::EXPIRES_AT.to_owned(), at(NOW));
        expiring.imds = None;
        assert_eq!(problems(&expiring, ACCOUNT, None, NOW).len(), 2);
    }
}
