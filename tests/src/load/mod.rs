//! Load: many targets in several regions, several scanners at once, and what AWS would have counted meanwhile.
//!
//! Scanners do not share work, so each is told a part of the targets by their tags. All of them use the same account, so each
//! is given a part of the requests that the account may send.

mod crew;
mod fleet;
mod rates;
mod traffic;

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use agentless_service::board::View;
use tempfile::TempDir;

use crate::local_aws::{LocalAws, SeedError, StartError};
use crate::machine_image::{self, ImageError};
use crate::service::ServiceError;
use crate::tools::ToolError;

pub use crew::{Crew, Scanner, Usage};
pub use fleet::{Fleet, Target};
pub use rates::{Bucket, CLASSES, Class};
pub use traffic::{Flow, Traffic, is_discovery};

/// How much there is to scan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Instances with one volume each.
    pub instances: usize,
    /// Functions: each fifth uses a layer, each tenth is a container image.
    pub functions: usize,
    /// Images of the account's own.
    pub images: usize,
}

/// Why a load was not worked off, or is not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No local AWS.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing to scan.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// No disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No code of functions.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A scanner.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A file, or the system's figures of a process.
    #[error("could not {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// It takes too long.
    #[error("{done} of {targets} targets are reported after {limit:?}; the scanners show:\n{shown}")]
    Late {
        /// How many.
        done: u64,
        /// Of how many.
        targets: usize,
        /// How long was waited.
        limit: Duration,
        /// The problems on the boards.
        shown: String,
    },
}

/// What is scanned, by whom, and how fast they may be.
#[derive(Debug)]
pub struct Load<'a> {
    /// The local AWS.
    pub aws: &'a LocalAws,
    /// The regions, among which the targets are spread evenly.
    pub regions: &'a [&'static str],
    /// The targets.
    pub size: Size,
    /// The scanners, among which they are spread evenly.
    pub scanners: usize,
    /// The requests a second of each scanner, by class and for each account and region.
    pub rates: fn(&Class, usize) -> u32,
    /// How long it may take.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What there was to scan.
    pub fleet: Fleet,
    /// What the scanners showed at the end.
    pub views: Vec<View>,
    /// What each of them used, its analysers included.
    pub usage: Vec<Usage>,
    /// The package lists of each.
    pub lists: Vec<Vec<PathBuf>>,
    /// From the first scanner's start until the last report was written.
    pub wall: Duration,
    /// What is written of the disk that all volumes have.
    pub disk_bytes: u64,
    /// Where the lists are.
    _crew: Crew,
    _disk: TempDir,
}

impl Outcome {
    /// The targets of which there is no package list by the scanner whose they are, or one by another.
    pub fn unreported(&self) -> Vec<&Target> {
        let by = |target: &Target| -> Vec<usize> {
            let of_target =
                |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with(&target.folder));
            let lists = self.lists.iter().enumerate();
            lists.filter(|(_, lists)| lists.iter().any(of_target)).map(|(scanner, _)| scanner).collect()
        };
        self.fleet.targets.iter().filter(|target| by(target) != [target.scanner]).collect()
    }
}

impl Size {
    /// What the product is to bear.
    pub const FULL: Self = Self { instances: 1000, functions: 500, images: 50 };

    /// All of it.
    pub fn targets(self) -> usize {
        self.instances + self.functions + self.images
    }
}

/// Not three numbers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:?} is no size: it takes instances, functions and images, as in 1000,500,50")]
pub struct InvalidSize(String);

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let numbers =
            text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<Vec<usize>>>();
        match numbers.as_deref() {
            Some(&[instances, functions, images]) => Ok(Self { instances, functions, images }),
            _ => Err(InvalidSize(text.to_owned())),
        }
    }
}

impl Load<'_> {
    /// Makes the targets, lets the scanners find all of them due, and waits until each is reported. Calls are recorded from the
    /// scanners' start to their end; `before` comes in between, for faults.
    ///
    /// # Errors
    /// When something is missing, a scanner ends by itself, or it takes longer than the limit.
    pub async fn bear(&self, before: impl FnOnce(&Fleet)) -> Result<Outcome, LoadError> {
        let disk = tempfile::tempdir().map_err(io("make a temporary folder"))?;
        let image = machine_image::build(disk.path(), machine_image::Size::SMALL, &|| false)?;
        let written = std::fs::metadata(&image.path).map_err(io("look at the disk"))?;
        let disk_bytes = written.blocks() * 512;
        let fleet = Fleet::seed(self, &image.path).await?;
        before(&fleet);
        self.aws.clear_calls();
        let begin = Instant::now();
        let crew = Crew::start(self).await?;
        let (views, usage) = crew.until_done(self.size.targets(), self.limit).await?;
        let wall = begin.elapsed();
        let lists = crew.lists()?;
        let crew = crew.end().await?;
        Ok(Outcome { fleet, views, usage, lists, wall, disk_bytes, _crew: crew, _disk: disk })
    }
}

fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> LoadError {
    let doing = doing.into();
    move |source| LoadError::Io { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_three_numbers() {
        assert_eq!("1000, 500,50".parse::<Size>().unwrap(), Size::FULL);
        for wrong in ["", "1", "1,2", "1,2,3,4", "1,2,x", "-1,2,3"] {
            let message = wrong.parse::<Size>().unwrap_err().to_string();
            assert!(message.contains("as in 1000,500,50"), "{message}");
        }
    }
}
