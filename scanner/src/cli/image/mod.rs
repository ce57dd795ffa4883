//! `agentless-scanner image`: scanner images after they are built.

mod prune;
mod shown;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use scanner_policy::ParameterPrefix;
use time::OffsetDateTime;

use super::{Exit, say, unless_closed, write_stdout};
use crate::aws::{Connection, Home, Http, ImageAws};
use crate::image::pointers::{Moved, Pointers, to_apply};
use crate::image::survey::survey;
use crate::image::{Architecture, Names, check, rollout, status};

/// Point to the image that scanners start from, go back to the one before, and retire old ones.
///
/// Three parameters of Systems Manager for each architecture name images: PREFIX/ARCHITECTURE/candidate is to be tried, current
/// is in use, previous was before. All of it is done with the credentials of the environment, for which `agentless-scanner
/// permissions --image-pipeline` prints the policy; a scanner's own role can do none of it. Whatever breaks off is finished by
/// running it again.
///
/// Exit status: 0 done, or nothing was to do; 1 it failed, or was refused; 2 the command line is not understood; 3 there is a
/// status, and something is wrong.
#[derive(Debug, Args)]
pub(super) struct Image {
    #[command(subcommand)]
    verb: Verb,
    /// What the names of the parameters begin with.
    #[arg(long, global = true, value_name = "PREFIX", default_value = DEFAULT_PREFIX)]
    parameter_prefix: ParameterPrefix,
    /// AWS region.
    #[arg(long, global = true, value_name = "REGION", help_heading = "AWS")]
    region: Option<String>,
    /// Profile of the shared AWS configuration.
    #[arg(long, global = true, value_name = "NAME", help_heading = "AWS")]
    profile: Option<String>,
}

/// Where the parameters are.
pub(super) const DEFAULT_PREFIX: &str = "/agentless-scanner/image";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an image the candidate. Refused unless it is available, of this account and its pipeline, not expired, encrypted, and
    /// without version 1 of the metadata service.
    Publish {
        /// The image, such as ami-0123456789abcdef0.
        #[arg(value_name = "AMI")]
        image: String,
        /// The architecture that it must have. Without it, that of the image.
        #[arg(long, value_enum)]
        architecture: Option<Architecture>,
    },
    /// Make the candidate current, and what was that the previous one.
    Promote {
        #[command(flatten)]
        which: Which,
        /// Only after the latest instance refresh of this Auto Scaling group has succeeded and all of its instances run the
        /// candidate. A refresh that is under way is waited for.
        #[arg(long, value_name = "GROUP")]
        after_refresh: Option<String>,
        /// How many minutes to wait for that.
        #[arg(long, value_name = "MINUTES", default_value_t = 60, requires = "after_refresh")]
        timeout: u64,
    },
    /// Make the previous image current again, and what was that the previous one.
    Rollback {
        #[command(flatten)]
        which: Which,
        /// Only to this image: doing it again then changes nothing.
        #[arg(long, value_name = "AMI")]
        to: Option<String>,
    },
    /// Show the parameters, the images, and the groups that use them, and what is wrong with any of it.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    Prune(prune::Prune),
}

#[derive(Clone, Copy, Debug, Args)]
struct Which {
    /// For which processors.
    #[arg(long, value_enum, default_value = "arm64")]
    architecture: Architecture,
}

/// How many versions of a group's launch template before the one in use still count as used.
const EARLIER_VERSIONS: i64 = 3;

impl Image {
    pub(super) fn run(self) -> Result<Exit, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let connection = Connection { region: self.region, profile: self.profile };
            let home = Arc::new(Home::connect(&connection, Http::default()).await?);
            let (cloud, prefix, now) =
                (ImageAws::new(home), self.parameter_prefix, OffsetDateTime::now_utc());
            let pointers =
                async |which: Architecture| Pointers::read(&cloud, Names::of(&prefix, which)).await;
            match self.verb {
                Verb::Publish { image, architecture } => {
                    let (_, architecture) = check::checked(&cloud, &image, architecture, now).await?;
                    let moved = pointers(architecture).await?.publish(&image).await?;
                    told(&moved, &format!("{image} is the candidate already"))
                }
                Verb::Promote { which, after_refresh, timeout } => {
                    let mut pointers = pointers(which.architecture).await?;
                    if let Some(candidate) = pointers.to_promote()? {
                        check::checked(&cloud, &candidate, Some(which.architecture), now).await?;
                        if let Some(group) = after_refresh {
                            let limit = Duration::from_secs(timeout.saturating_mul(60));
                            rollout::wait(&cloud, &group, &candidate, limit, say).await?;
                        }
                    }
                    told(&pointers.promote().await?, "the candidate is current already")
                }
                Verb::Rollback { which, to } => {
                    let mut pointers = pointers(which.architecture).await?;
                    let Some((image, _)) = pointers.to_roll_back(to.as_deref())? else {
                        return told(&Moved::Nothing, "it is current already");
                    };
                    // An image that has expired is better than one that does not work, but it must be there.
                    let problems = check::unusable(&cloud, &image).await?;
                    if let Some(problem) = problems {
                        return Err(problem.into());
                    }
                    let moved = pointers.rollback(to.as_deref()).await?;
                    let exit = told(&moved, "it is current already")?;
                    let name = Names::of(&prefix, which.architecture).current;
                    say(&to_apply(&name, which.architecture, &image));
                    Ok(exit)
                }
                Verb::Status { json } => {
                    let survey = survey(&cloud, &prefix, EARLIER_VERSIONS).await?;
                    let report = status::report(&survey, &prefix, now);
                    unless_closed(write_stdout(|out| {
                        if json { shown::json(&report, out) } else { shown::text(&report, out) }
                    }))?;
                    Ok(if report.problems.is_empty() { Exit::Complete } else { Exit::Incomplete })
                }
                Verb::Prune(prune) => prune.run(&cloud, &prefix, now).await,
            }
        })
    }
}

/// Says what was set.
fn told(moved: &Moved, otherwise: &str) -> Result<Exit, Box<dyn Error>> {
    match moved {
        Moved::Nothing => say(otherwise),
        Moved::Set(set) => unless_closed(write_stdout(|out| {
            set.iter().try_for_each(|(name, image)| writeln!(out, "{name} = {image}"))
        }))?,
    }
    Ok(Exit::Complete)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Verb as Any};
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Image, clap::Error> {
        let arguments = ["agentless-scanner", "image"].iter().chain(arguments);
        match Cli::try_parse_from(arguments)?.verb {
            Any::Image(image) => Ok(image),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_verb_has_its_arguments() {
        let image =
            parse(&["publish", "ami-1", "--architecture", "amd64", "--parameter-prefix", "/a/b"]).unwrap();
        assert_eq!(image.parameter_prefix.as_str(), "/a/b");
        let image = parse(&["promote"]).unwrap();
        assert_eq!(image.parameter_prefix.as_str(), DEFAULT_PREFIX);
        assert!(
            matches!(image.verb, Verb::Promote { which, .. } if which.architecture == Architecture::Arm64)
        );
        for wrong in [
            &["publish"][..],
            &["publish", "ami-1", "--architecture", "x86_64"],
            &["promote", "--timeout", "5"],
            &["status", "--parameter-prefix", "/aws/service"],
            &["prune", "--yes", "--dry-run"],
            &["prune", "--keep", "0"],
            &["prune", "--older-than", "0"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
