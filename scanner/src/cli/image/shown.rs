//! `agentless-scanner image status`, as text and as JSON.

use std::io::{self, Write};

use agentless_core::text::{JsonText, printable};

use crate::image::status::Report;
use crate::output::table;

pub(super) fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut text = JsonText(Vec::new());
    serde_json::to_writer_pretty(&mut text, report)?;
    let JsonText(mut text) = text;
    text.push(b'\n');
    out.write_all(&text)
}

pub(super) fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let parameters = report.parameters.iter();
    let parameters =
        parameters.map(|it| [it.name.clone(), or_nothing(it.image.clone()), or_nothing(it.changed.clone())]);
    table::render(out, &["PARAMETER", "IMAGE", "SINCE"], parameters)?;
    if !report.images.is_empty() {
        writeln!(out)?;
        let images = report.images.iter().map(|image| {
            let age = image.age_days.map(|days| format!("{days} d"));
            // In full in the JSON: there may be many.
            let uses = match image.uses.as_slice() {
                [] => "-".to_owned(),
                [only] => only.clone(),
                [first, others @ ..] => format!("{first}, and {} more", others.len()),
            };
            let version = or_nothing(image.version.clone());
            [
                image.id.clone(),
                image.architecture.clone(),
                version,
                image.state.clone(),
                or_nothing(age),
                uses,
            ]
        });
        table::render(out, &["IMAGE", "ARCHITECTURE", "VERSION", "STATE", "AGE", "USED"], images)?;
    }
    if !report.groups.is_empty() {
        writeln!(out)?;
        let groups = report.groups.iter().map(|group| {
            let image = match (&group.image, &group.parameter) {
                (image, Some(parameter)) => {
                    format!("{} by {parameter}", image.as_deref().unwrap_or("nothing"))
                }
                (image, None) => or_nothing(image.clone()),
            };
            let instances = format!("{}/{}", group.in_service, group.desired);
            let oldest = group.oldest_hours.map(|hours| format!("{hours} h"));
            [group.name.clone(), or_nothing(group.template.clone()), image, instances, or_nothing(oldest)]
        });
        table::render(out, &["GROUP", "LAUNCHES", "IMAGE", "IN SERVICE", "OLDEST"], groups)?;
    }
    if !report.problems.is_empty() {
        writeln!(out)?;
    }
    report.problems.iter().try_for_each(|problem| writeln!(out, "problem: {}", printable(problem)))
}
