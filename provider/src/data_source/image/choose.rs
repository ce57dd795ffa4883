//! Which of the images that were found is taken, and whether it is too old.

use std::collections::BTreeSet;
use std::fmt::Write;

use scanner_policy::Region;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Model;
use crate::aws::{ImageQuery, MachineImage};
use crate::sdk::{Context, Diagnostic, parse_duration};

/// The value of `max_age_action` that makes an old image an error.
pub(super) const FAIL: &str = "fail";

/// The value of `max_age_action` that makes it a warning.
pub(super) const WARN: &str = "warn";

/// The newest image: of the latest date, and where two have the same, of the greater id.
pub(super) fn newest(
    found: Vec<MachineImage>,
    region: &Region,
    query: &ImageQuery,
    now: OffsetDateTime,
) -> Result<MachineImage, Diagnostic> {
    let mut images = Vec::new();
    let mut deprecated = 0_usize;
    for image in found {
        // EC2 tells the owner of deprecated ones whatever it is asked (`DescribeImages`).
        let is_deprecated =
            image.deprecation_time.as_deref().map(date).transpose()?.is_some_and(|date| date <= now);
        if is_deprecated && !query.include_deprecated {
            deprecated += 1;
        } else {
            images.push((date(&image.creation_date)?, image));
        }
    }
    let owners: BTreeSet<&str> = images.iter().map(|(_, image)| image.owner.as_str()).collect();
    if owners.len() > 1 {
        return Err(several_owners(&owners));
    }
    let newest = images
        .into_iter()
        .max_by(|(left_date, left), (right_date, right)| (left_date, &left.id).cmp(&(right_date, &right.id)));
    newest.map(|(_, image)| image).ok_or_else(|| none(region, query, deprecated))
}

/// Tells of an image that is older than the configuration wants.
pub(super) fn check_age(
    ctx: &Context,
    config: &Model,
    image: &MachineImage,
    now: OffsetDateTime,
) -> Result<(), Diagnostic> {
    let Some(max_age) = config.max_age.as_str() else { return Ok(()) };
    let limit = parse_duration(max_age)
        .map_err(|error| Diagnostic::caused_by("Invalid duration", &error).at("max_age"))?;
    let age = now - date(&image.creation_date)?;
    if age <= limit {
        return Ok(());
    }
    let (id, name, made) = (&image.id, &image.name, &image.creation_date);
    let summary = "The newest scanner image is too old";
    let detail = format!(
        "{id} ({name}) was made at {made}, {} hours ago, and max_age is {max_age}. Build a new image, so that scanners \
         start with the fixes of their operating system; or raise max_age.",
        age.whole_hours()
    );
    if config.max_age_action.as_str() == Some(FAIL) {
        return Err(Diagnostic::error(summary, detail).at("max_age"));
    }
    ctx.report(Diagnostic::warning(summary, detail).at("max_age"));
    Ok(())
}

fn date(text: &str) -> Result<OffsetDateTime, Diagnostic> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|error| Diagnostic::caused_by(format!("EC2 gave {text:?} as a date"), &error))
}

fn several_owners(owners: &BTreeSet<&str>) -> Diagnostic {
    let owners = owners.iter().copied().collect::<Vec<_>>().join(", ");
    Diagnostic::error(
        "Images of several accounts match",
        format!(
            "The images that match belong to the accounts {owners}. Whoever made the newest would decide what scanners \
             run. Name one account in owners, or a name_prefix that only one of them uses."
        ),
    )
    .at("owners")
}

fn none(region: &Region, query: &ImageQuery, deprecated: usize) -> Diagnostic {
    let mut detail = format!("No image in {region} of owner {}", query.owners.join(" or "));
    for (name, values) in &query.filters {
        _ = write!(detail, ", {name} {}", values.join(" or "));
    }
    detail.push_str(
        ". Images belong to one region: build or copy one there, look for others, or name one by its id, as image_id of \
         datadog_agentless_scanner.",
    );
    if deprecated > 0 {
        _ = write!(
            detail,
            " Deprecated images that match: {deprecated}. With include_deprecated = true the newest of them is taken."
        );
    }
    Diagnostic::error("No scanner image found", detail)
}
