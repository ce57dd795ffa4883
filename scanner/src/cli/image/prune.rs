//! `agentless-scanner image prune`.

use std::error::Error;

use clap::Args;
use scanner_policy::{ParameterPrefix, tags};
use time::{Duration, OffsetDateTime};

use super::super::{Exit, say, unless_closed, write_stdout};
use crate::aws::{ImageCloud, MachineImage};
use crate::chain;
use crate::image::prune::{Outcome, Plan, Rules, delete, plan, retire};
use crate::image::survey::survey;
use crate::output::table;

/// Deregister old scanner images of this account and region, and delete their snapshots. Without --yes it only says what it would
/// do.
///
/// An image stays if a parameter names it, if a version of a launch template does that is the default, the latest, or one of a
/// group's last ones, if an instance was started from it that still exists, or anybody started one lately, if it is one of the
/// newest of its architecture, or young. Only what carries the pipeline's tag is touched. An image that is protected loses its
/// protection first, and goes a day later.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Prune {
    /// How many of the newest images of each architecture stay.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// How many days old an image must be, and how long ago the last instance was started from it.
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..))]
    older_than: u16,
    /// Only say what would be done, as without --yes.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

const HEAD: [&str; 5] = ["IMAGE OR SNAPSHOT", "VERSION", "ARCHITECTURE", "CREATED", "RESULT"];

impl Prune {
    pub(super) async fn run(
        self,
        cloud: &impl ImageCloud,
        prefix: &ParameterPrefix,
        now: OffsetDateTime,
    ) -> Result<Exit, Box<dyn Error>> {
        let rules = Rules { keep: self.keep.into(), older_than: Duration::days(self.older_than.into()) };
        let survey = survey(cloud, prefix, self.keep.into()).await?;
        let plan = plan(cloud, &survey, rules, now).await?;
        let pruned = if self.yes { done(cloud, plan).await } else { foreseen(&plan) };
        if pruned.rows.is_empty() {
            say("there is no scanner image in this account and region");
            return Ok(Exit::Complete);
        }
        unless_closed(write_stdout(|out| table::render(out, &HEAD, pruned.rows.iter())))?;
        for error in &pruned.errors {
            say(&format!("error: {error}"));
        }
        if !self.yes && pruned.changes > 0 {
            say("nothing was changed: with --yes it is done");
        }
        Ok(if pruned.errors.is_empty() { Exit::Complete } else { Exit::Failed })
    }
}

#[derive(Debug, Default)]
struct Pruned {
    rows: Vec<[String; 5]>,
    errors: Vec<String>,
    changes: usize,
}

fn foreseen(plan: &Plan) -> Pruned {
    let mut pruned = kept(plan);
    pruned.changes = plan.retired.len().saturating_add(plan.leftovers.len());
    let retired = plan.retired.iter().map(|image| row(image, "would be deregistered".to_owned()));
    let leftovers = plan.leftovers.iter().map(|it| snapshot_row(&it.id, "would be deleted".to_owned()));
    pruned.rows.extend(retired.chain(leftovers));
    pruned
}

/// Each by itself: what fails stops no other.
async fn done(cloud: &impl ImageCloud, mut plan: Plan) -> Pruned {
    let mut pruned = kept(&plan);
    for image in std::mem::take(&mut plan.retired) {
        let (outcome, snapshots) = retire(cloud, &mut plan, &image).await;
        let result = pruned.result(&image.id, &outcome, "deregistered");
        pruned.rows.push(row(&image, result));
        for (id, outcome) in snapshots {
            let result = pruned.result(&id, &outcome, "deleted");
            pruned.rows.push(snapshot_row(&id, result));
        }
    }
    for snapshot in std::mem::take(&mut plan.leftovers) {
        let outcome = delete(cloud, &snapshot.id).await;
        let result = pruned.result(&snapshot.id, &outcome, "deleted");
        pruned.rows.push(snapshot_row(&snapshot.id, result));
    }
    pruned
}

fn kept(plan: &Plan) -> Pruned {
    let rows = plan.kept.iter().map(|(image, why)| row(image, format!("kept: {why}"))).collect();
    Pruned { rows, ..Pruned::default() }
}

impl Pruned {
    fn result(&mut self, id: &str, outcome: &Outcome, gone: &str) -> String {
        match outcome {
            Outcome::Gone => gone.to_owned(),
            Outcome::Left(why) => format!("left: {why}"),
            Outcome::Failed(error) => {
                self.errors.push(format!("{id} is still there: {}", chain(error)));
                "failed".to_owned()
            }
        }
    }
}

fn row(image: &MachineImage, result: String) -> [String; 5] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let version = or_nothing(image.tags.get(tags::IMAGE_VERSION).cloned());
    let created = or_nothing(image.created.map(|created| created.date().to_string()));
    [image.id.clone(), version, image.architecture.clone(), created, result]
}

fn snapshot_row(id: &str, result: String) -> [String; 5] {
    [id.to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned(), result]
}
